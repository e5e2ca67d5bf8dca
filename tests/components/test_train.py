"""What training hands over."""

import json

import numpy as np
import onnx
import pytest
from stages import CONFIGS, DIGITS, run_stages
from trainings import configured, pictures

from components.config import read_config
from components.cores import cores
from components.dataset import Splits
from components.errors import TrainingError
from components.graph import run_graph
from components.ingest import ingest
from components.models import Trained, find, fit
from components.preprocess import preprocess
from components.train import train


def test_the_graph_takes_raw_rows_and_gives_probabilities(forest_run):
    model = onnx.load(forest_run.model / "graph.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert [tensor.name for tensor in model.graph.input] == ["image"]
    assert [tensor.name for tensor in model.graph.output] == ["probabilities"]
    native = np.load(forest_run.model / "native.npy")
    assert native.shape == (len(forest_run.splits.part("test").y), 10)
    np.testing.assert_allclose(native.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("overrides", [("train.trees=10",), ("train.model=mnist_cnn", "train.epochs=1")])
def test_two_runs_give_the_same_bytes(tmp_path, overrides):
    runs = [run_stages(tmp_path / name, *overrides) for name in ("one", "two")]
    for file in ("graph.onnx", "native.npy", "training.json"):
        one, two = ((run.model / file).read_bytes() for run in runs)
        assert one == two, file


def test_a_graph_tells_nothing_of_the_machine_that_made_it(tmp_path):
    run = run_stages(tmp_path, "train.model=mnist_cnn", "train.epochs=1")
    graph = (run.model / "graph.onnx").read_bytes()
    assert b"site-packages" not in graph
    assert str(tmp_path).encode() not in graph


def test_the_best_epoch_is_kept_and_training_stops_when_nothing_gets_better(tmp_path):
    run = run_stages(
        tmp_path, "train.model=mnist_cnn", "train.epochs=30", "train.learning_rate=0.02", "train.patience=1"
    )
    history = json.loads((run.model / "training.json").read_bytes())["history"]
    losses = [entry["loss"] for entry in history]
    assert len(losses) < 30
    assert losses[-1] > min(losses)
    assert losses.index(min(losses)) == len(losses) - 2
    best = history[losses.index(min(losses))]
    held = run.splits.part("validation")
    answers = run_graph((run.model / "graph.onnx").read_bytes(), held.batches())
    trained_accuracy = (answers.argmax(axis=1) == held.y).mean()
    assert trained_accuracy == pytest.approx(best["accuracy"])


def test_a_loss_that_is_no_number_stops_with_the_setting_to_change(forest_run):
    splits = forest_run.splits
    config = read_config(DIGITS, ["train.model=mnist_cnn", "train.learning_rate=1.0", "train.epochs=2"])
    broken = Splits(splits.directory)
    broken.preprocessing = splits.preprocessing.model_copy(update={"factor": (3e37,)})
    told = r"^in epoch 1, batch 1 \(step 1, rows \[.*\] and 59 more .* the loss is nan.* lower train.learning_rate"
    with pytest.raises(TrainingError, match=told):
        fit(config.train, broken, 0)


def test_rows_that_a_model_can_not_learn_from_are_refused_with_those_that_can(tmp_path):
    config = read_config(CONFIGS / "iris.yaml", ["train.model=mnist_cnn"])
    snapshot = ingest(config.data, tmp_path / "scratch", tmp_path / "cache")
    preprocess(config, snapshot, tmp_path / "splits")
    told = "train.model=mnist_cnn learns from image data, these rows are tabular; choose one of random_forest"
    with pytest.raises(TrainingError, match=told):
        fit(config.train, Splits(tmp_path / "splits"), 0)


def test_answers_that_are_no_probabilities_are_refused(forest_run, tmp_path, monkeypatch):
    def predict(inputs):
        return np.ones((len(inputs["image"]), 10), np.float32)

    wrong = Trained(predict=predict, graph=b"", history=[], tolerance=0.0)
    monkeypatch.setattr("components.train.fit", lambda *_: wrong)
    with pytest.raises(TrainingError, match="does not answer with probabilities"):
        train(forest_run.config, forest_run.splits, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_missing_library_is_told_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr("components.models._installed", lambda name: "torch" not in name)
    with pytest.raises(TrainingError, match="train.model=mnist_cnn needs torch and torchvision.*make setup-torch"):
        find("mnist_cnn").require()
    find("random_forest").require()


def test_the_account_of_a_training_holds_its_score_on_validation_rows(forest_run):
    account = json.loads((forest_run.model / "training.json").read_bytes())
    held = forest_run.splits.part("validation")
    answers = run_graph((forest_run.model / "graph.onnx").read_bytes(), held.batches())
    assert account["validation"]["accuracy"] == pytest.approx((answers.argmax(axis=1) == held.y).mean(), abs=1e-6)
    assert account["validation"]["log_loss"] < 1


@pytest.mark.parametrize("learns_in_steps", [False, True], ids=["forest", "network"])
def test_what_training_took_is_told_beside_the_model(forest_run, tmp_path, learns_in_steps):
    if learns_in_steps:
        train(configured(epochs=1), pictures(tmp_path / "splits"), tmp_path / "model")
    else:
        train(read_config(DIGITS, ["train.trees=3"]), forest_run.splits, tmp_path / "model")
    took = json.loads((tmp_path / "model" / "took.json").read_bytes())
    assert (took["device"], took["gpus"], took["processes"]) == ("cpu", 0, 1)
    assert took["seconds"] >= 0
    assert took["cores"] == cores()
    assert 0.01 < took["memory_gb"] < 64
    pace = json.loads((tmp_path / "model" / "pace.json").read_bytes())
    figures = {"step", "seconds", "rows_per_second", "step_seconds", "loss", "gradient_norm"}
    assert all(set(sample) == figures for sample in pace)
    assert bool(pace) == learns_in_steps


def test_a_store_that_refuses_every_checkpoint_costs_no_model(tmp_path, capsys):
    (tmp_path / "store").touch()
    config, splits = configured(epochs=1, batch_size=32), pictures(tmp_path / "splits")
    train(config, splits, tmp_path / "refused", (tmp_path / "store" / "made").as_uri())
    assert "no checkpoint of step 1: can't write " in capsys.readouterr().out
    train(config, splits, tmp_path / "kept", (tmp_path / "checkpoints").as_uri())
    assert (tmp_path / "kept" / "checkpoints.txt").read_text() == (tmp_path / "checkpoints").as_uri()
    for file in ("graph.onnx", "native.npy", "training.json"):
        assert (tmp_path / "refused" / file).read_bytes() == (tmp_path / "kept" / file).read_bytes(), file


def test_a_process_that_does_not_lead_writes_nothing(forest_run, tmp_path, monkeypatch):
    follows = Trained(predict=lambda _: pytest.fail("asked"), graph=b"", history=[], tolerance=0.0, leads=False)
    monkeypatch.setattr("components.train.fit", lambda *_: follows)
    train(forest_run.config, forest_run.splits, tmp_path / "model")
    assert not (tmp_path / "model").exists()
