"""Networks learn, the same way every time, and answer as their graphs do."""

import numpy as np
import onnxruntime
import pytest
from trainings import pictures

from components.errors import TrainingError
from components.models.settings import Augment, ImprovedCnn, MnistCnn, ResNet18, SimpleCnn

torch = pytest.importorskip("torch", reason="torch is not installed")
from components.models.network import fit  # noqa: E402 (needs torch)

EVERY_CHANGE = Augment(flip=True, shift=0.1, zoom=0.1, rotation=5, brightness=0.1, contrast=0.1, noise=0.05)
QUICK = {"epochs": 3, "batch_size": 12}


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
    splits = pictures(tmp_path, shape, dtype)
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
    splits, settings = pictures(tmp_path), MnistCnn(epochs=2, batch_size=32, **changes)
    one, same, other = (fit(settings, splits, seed) for seed in (0, 0, 1))
    assert one.graph == same.graph
    assert one.history == same.history
    assert one.graph != other.graph


def test_the_targets_of_test_rows_are_not_read_and_the_history_holds_nothing_that_a_clock_says(tmp_path):
    splits = pictures(tmp_path)
    (tmp_path / "test" / "y.npy").unlink()
    history = fit(MnistCnn(**QUICK), splits, 0).history
    assert [entry["epoch"] for entry in history] == [1, 2, 3]
    figures = {"epoch", "train_loss", "loss", "accuracy", "learning_rate", "gradient_norm"}
    assert all(set(entry) == figures for entry in history)


def test_rows_of_a_table_are_refused(tmp_path):
    splits = pictures(tmp_path)
    splits.rows = splits.rows.model_copy(update={"kind": "tabular"})
    splits.preprocessing = None
    with pytest.raises(TrainingError, match="mnist_cnn learns from pictures, these rows are tabular"):
        fit(MnistCnn(), splits, 0)


def test_a_training_on_a_cpu_has_a_place_for_its_checkpoints_that_is_not_that_of_one_on_a_gpu(tmp_path):
    settings = MnistCnn(epochs=1, batch_size=32, device="cpu", checkpoint_seconds=1e-6)
    fit(settings, pictures(tmp_path / "splits"), 0, (tmp_path / "kept").as_uri())
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["cpu"]
    assert len(list((tmp_path / "kept" / "cpu").iterdir())) == 2


def test_what_was_left_to_the_machine_is_told_as_it_came_out(tmp_path):
    trained = fit(MnistCnn(epochs=1, batch_size=32, device="cpu"), pictures(tmp_path), 0)
    assert trained.settled == {"device": "cpu", "precision": "float32"}
    assert trained.device == "cpu"
    assert trained.leads
    assert [sample["step"] for sample in trained.pace]
    assert trained.seconds > 0
