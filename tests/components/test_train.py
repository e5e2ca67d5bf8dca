"""What training hands over."""

import json

import numpy as np
import onnx
import pytest
from stages import DIGITS, run_stages

from components.config import read_config
from components.dataset import Splits
from components.errors import TrainingError
from components.evaluate import run_graph
from components.models import Trained, fit, require
from components.train import train


def test_the_graph_takes_raw_rows_and_gives_probabilities(forest_run):
    model = onnx.load(forest_run.model / "graph.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert [tensor.name for tensor in model.graph.input] == ["image"]
    assert [tensor.name for tensor in model.graph.output] == ["probabilities"]
    native = np.load(forest_run.model / "native.npy")
    assert native.shape == (len(forest_run.splits.y("test")), 10)
    np.testing.assert_allclose(native.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("overrides", [("train.trees=10",), ("train.model=cnn", "train.epochs=1")])
def test_two_runs_give_the_same_bytes(tmp_path, overrides):
    runs = [run_stages(tmp_path / name, *overrides) for name in ("one", "two")]
    for file in ("graph.onnx", "native.npy", "training.json"):
        one, two = ((run.model / file).read_bytes() for run in runs)
        assert one == two, file


def test_a_graph_tells_nothing_of_the_machine_that_made_it(tmp_path):
    run = run_stages(tmp_path, "train.model=cnn", "train.epochs=1")
    graph = (run.model / "graph.onnx").read_bytes()
    assert b"site-packages" not in graph
    assert str(tmp_path).encode() not in graph


def test_the_best_epoch_is_kept_and_training_stops_when_nothing_gets_better(tmp_path):
    run = run_stages(tmp_path, "train.model=cnn", "train.epochs=30", "train.learning_rate=0.02", "train.patience=1")
    history = json.loads((run.model / "training.json").read_bytes())["history"]
    losses = [entry["loss"] for entry in history]
    assert len(losses) < 30
    assert losses[-1] > min(losses)
    assert losses.index(min(losses)) == len(losses) - 2
    best = history[losses.index(min(losses))]
    x, y = run.splits.x("validation"), run.splits.y("validation")
    trained_accuracy = (run_graph((run.model / "graph.onnx").read_bytes(), "image", x).argmax(axis=1) == y).mean()
    assert trained_accuracy == pytest.approx(best["accuracy"])


def test_a_loss_that_is_no_number_stops_with_the_setting_to_change(forest_run):
    splits = forest_run.splits
    config = read_config(DIGITS, ["train.model=cnn", "train.learning_rate=1.0", "train.epochs=2"])
    broken = Splits(splits.directory)
    broken.scaling = splits.scaling.model_copy(update={"factor": (3e37,)})
    with pytest.raises(TrainingError, match="epoch 1 is not a number; lower train.learning_rate=1"):
        fit(config.train, broken, 0)


def test_rows_that_are_no_pictures_are_refused_by_the_network(forest_run):
    splits = Splits(forest_run.splits.directory)
    splits.rows = splits.rows.model_copy(update={"shape": (64,)})
    with pytest.raises(TrainingError, match=r"takes pictures of shape \(height, width\)"):
        fit(read_config(DIGITS, ["train.model=cnn"]).train, splits, 0)


def test_answers_that_are_no_probabilities_are_refused(forest_run, tmp_path, monkeypatch):
    wrong = Trained(predict=lambda x: np.ones((len(x), 10), np.float32), graph=b"", history=[], tolerance=0.0)
    monkeypatch.setattr("components.train.fit", lambda *_: wrong)
    with pytest.raises(TrainingError, match="does not answer with probabilities"):
        train(forest_run.config, forest_run.splits, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_missing_library_is_told_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(TrainingError, match="train.model=cnn needs torch and onnxscript.*make setup-torch"):
        require("cnn")
    require("forest")
