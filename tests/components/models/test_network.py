"""Networks learn, the same way every time, and answer as their graphs do."""

import numpy as np
import onnxruntime
import pytest

from components.dataset import Rows, Scaling, Splits, save_arrays
from components.errors import TrainingError
from components.models.settings import Augment, ImprovedCnn, MnistCnn, ResNet18, SimpleCnn
from modelpackage import canonical_json

torch = pytest.importorskip("torch", reason="torch is not installed")
from components.models.network import fit  # noqa: E402 (needs torch)

EVERY_CHANGE = Augment(flip=True, shift=0.1, zoom=0.1, rotation=5, brightness=0.1, contrast=0.1, noise=0.05)
QUICK = {"epochs": 3, "batch_size": 12}


def made(directory, shape=(12, 12), dtype="UINT8") -> Splits:
    """Pictures whose class is how bright their upper half is."""
    random = np.random.default_rng(0)
    low, high = 0.0, 255.0 if dtype == "UINT8" else 16.0
    directory.mkdir(exist_ok=True)
    Rows(kind="image", labels=("dark", "light"), shape=shape, datatype=dtype, minimum=low, maximum=high).save(directory)
    for split, count in (("train", 96), ("validation", 32), ("test", 32)):
        y = np.arange(count) % 2
        x = random.random((count, *shape)) * high / 2
        x[:, : shape[0] // 2] += high / 2 * y.reshape(-1, *[1] * len(shape))
        save_arrays(directory / split, x=x.astype(np.uint8 if dtype == "UINT8" else np.float32), y=y)
    channels = shape[2] if len(shape) == 3 else 1
    scaling = Scaling(mean=(high / 2,) * channels, factor=(4 / high,) * channels)
    (directory / "preprocessing.json").write_bytes(canonical_json(scaling.model_dump(mode="json")))
    return Splits(directory)


@pytest.mark.parametrize(
    ("settings", "shape", "dtype"),
    [
        (MnistCnn(**QUICK), (8, 8), "FP32"),
        (SimpleCnn(**QUICK), (16, 20, 3), "UINT8"),
        (ImprovedCnn(**QUICK), (16, 16, 3), "UINT8"),
        (ResNet18(**QUICK), (32, 32), "UINT8"),
        (MnistCnn(**QUICK, precision="bfloat16"), (12, 12), "UINT8"),
    ],
    ids=["mnist_cnn", "simple_cnn", "improved_cnn", "resnet18", "bfloat16"],
)
def test_a_network_learns_and_its_graph_answers_as_it_does_in_float32(tmp_path, settings, shape, dtype):
    splits = made(tmp_path, shape, dtype)
    trained = fit(settings, splits, 0)
    test = splits.part("test")
    answers = trained.predict(test.inputs())
    assert answers.dtype == np.float32
    assert (answers.argmax(axis=1) == test.y).mean() > 0.9
    session = onnxruntime.InferenceSession(trained.graph, providers=["CPUExecutionProvider"])
    for batch in (test.inputs(), test.inputs(slice(0, 1)), test.inputs(slice(0, 7))):
        (found,) = session.run(None, batch)
        np.testing.assert_allclose(found, trained.predict(batch), atol=trained.tolerance)


@pytest.mark.parametrize(
    "changes",
    [
        {"augment": EVERY_CHANGE, "label_smoothing": 0.1, "precision": "bfloat16", "optimizer": "adamw"},
        {"optimizer": "sgd", "schedule": "step", "class_weights": "balanced"},
    ],
    ids=["augment", "sgd"],
)
def test_two_trainings_give_the_same_bytes_and_another_seed_gives_others(tmp_path, changes):
    splits, settings = made(tmp_path), MnistCnn(epochs=2, batch_size=32, **changes)
    one, same, other = (fit(settings, splits, seed) for seed in (0, 0, 1))
    assert one.graph == same.graph
    assert one.history == same.history
    assert one.graph != other.graph


def test_the_targets_of_test_rows_are_not_read_and_the_history_holds_nothing_that_a_clock_says(tmp_path):
    splits = made(tmp_path)
    (tmp_path / "test" / "y.npy").unlink()
    history = fit(MnistCnn(**QUICK), splits, 0).history
    assert [entry["epoch"] for entry in history] == [1, 2, 3]
    assert all(set(entry) == {"epoch", "train_loss", "loss", "accuracy", "learning_rate"} for entry in history)


def test_rows_of_a_table_are_refused(tmp_path):
    splits = made(tmp_path)
    splits.rows = splits.rows.model_copy(update={"kind": "tabular"})
    splits.preprocessing = None
    with pytest.raises(TrainingError, match="mnist_cnn learns from pictures, these rows are tabular"):
        fit(MnistCnn(), splits, 0)
