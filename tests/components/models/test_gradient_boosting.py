"""The booster: stopped by validation rows, kept at its best round, and taken over into the graph split by split."""

import numpy as np
import onnx
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from tables import apart, wild_table, write_table
from threadpoolctl import threadpool_limits

from components.dataset import Splits
from components.errors import TrainingError
from components.models import Trained, fit
from components.models.settings import GradientBoosting

FEW = GradientBoosting(iterations=15)
# skl2onnx 1.20 hands booleans to protobuf 6, which a later protobuf will refuse.
pytestmark = pytest.mark.filterwarnings("ignore:Field onnx.AttributeProto.ints. Expected an int:DeprecationWarning")


def thresholds(graph: bytes) -> np.ndarray:
    (trees,) = (node for node in onnx.load_from_string(graph).graph.node if node.op_type == "TreeEnsembleClassifier")
    held = {attribute.name: attribute for attribute in trees.attribute}
    inner = np.array(held["nodes_modes"].strings) != b"LEAF"
    return np.array(held["nodes_values"].floats, np.float32)[inner]


def noisy(tmp_path) -> Splits:
    x, y = wild_table(900, 2)
    y = np.where(np.random.default_rng(3).random(len(y)) < 0.3, 1 - y, y)
    return write_table(tmp_path / "splits", x, y, 2)


def loss_of(trained: Trained, splits: Splits, split: str) -> float:
    part = splits.part(split)
    return float(-np.log(trained.predict(part.inputs())[np.arange(len(part)), part.y]).mean())


@pytest.mark.parametrize("classes", [2, 3])
def test_the_graph_answers_as_the_booster_on_50_000_rows_of_every_magnitude(tmp_path, classes):
    x, y = wild_table(50_000, classes)
    trained = fit(FEW, write_table(tmp_path / "splits", x[:6000], y[:6000], classes), 1)
    assert apart(trained, x) <= trained.tolerance


@pytest.mark.parametrize("rows", [300, 900])
def test_the_graph_answers_as_the_booster_exactly_at_its_thresholds_and_beside_them(tmp_path, rows):
    x, y = wild_table(rows, 2)
    trained = fit(FEW, write_table(tmp_path / "splits", x, y, 2), 1)
    at = np.unique(thresholds(trained.graph))
    below, above = np.nextafter(at, np.float32(-np.inf)), np.nextafter(at, np.float32(np.inf))
    grid = np.repeat(np.concatenate([at, below, above])[:, None], x.shape[1], axis=1)
    assert apart(trained, grid) <= trained.tolerance


def test_thresholds_between_neighbours_part_them_as_scikit_learn_does(tmp_path):
    """The middle of two neighbours in float32 would round to the upper one half of the time."""
    x = (1 + np.arange(300) // 10 * 2.0**-23).astype(np.float32)[:, None]
    y = (np.arange(300) // 10 % 2).astype(np.int64)
    order = np.random.default_rng(0).permutation(300)
    settings = GradientBoosting(iterations=5, min_samples_leaf=1, max_leaf_nodes=64)
    splits = write_table(tmp_path / "splits", x[order], y[order], 2)
    trained = fit(settings, splits, 1)
    plain = HistGradientBoostingClassifier(max_iter=5, min_samples_leaf=1, max_leaf_nodes=64, early_stopping=False)
    plain.fit(splits.features("train"), splits.part("train").y)
    np.testing.assert_allclose(trained.predict({"numbers": x}), plain.predict_proba(x), atol=1e-6)
    assert apart(trained, x) <= trained.tolerance


def test_the_best_round_is_kept_and_training_stops_when_nothing_gets_better(tmp_path):
    splits = noisy(tmp_path)
    trained = fit(GradientBoosting(iterations=300, patience=5), splits, 1)
    losses = [entry["loss"] for entry in trained.history]
    best = min(losses)
    assert len(losses) < 300
    assert losses.index(best) < len(losses) - 1
    assert loss_of(trained, splits, "validation") == pytest.approx(best, rel=1e-5)
    assert apart(trained, splits.features("test")) <= trained.tolerance


def test_history_counts_rounds_from_one_and_holds_the_losses_of_both_splits(tmp_path):
    splits = noisy(tmp_path)
    trained = fit(GradientBoosting(iterations=4), splits, 1)
    assert [entry["epoch"] for entry in trained.history] == [1, 2, 3, 4]
    best = min(trained.history, key=lambda entry: entry["loss"])
    assert best["train_loss"] == pytest.approx(loss_of(trained, splits, "train"), rel=1e-5)


def test_the_same_arguments_give_the_same_bytes_on_any_number_of_threads(tmp_path, monkeypatch):
    splits = write_table(tmp_path / "splits", *wild_table(600, 3), 3)
    alone = fit(GradientBoosting(iterations=3), splits, 1)
    monkeypatch.setattr("components.models.gradient_boosting.VALUES_WORTH_THREADS", 1)
    with threadpool_limits(2, user_api="openmp"):
        together = fit(GradientBoosting(iterations=3), splits, 1)
    assert (alone.graph, alone.history) == (together.graph, together.history)


def test_settings_reach_the_booster(tmp_path):
    splits = write_table(tmp_path / "splits", *wild_table(600, 2), 2)
    stumps = fit(GradientBoosting(iterations=3, max_leaf_nodes=2, patience=3), splits, 1)
    assert len(thresholds(stumps.graph)) == 3
    usual = fit(FEW, splits, 1)
    for changed in ({"learning_rate": 0.3}, {"min_samples_leaf": 50}, {"l2": 5.0}, {"class_weights": "balanced"}):
        y = splits.part("train").y
        assert y.sum() * 2 != len(y), "balanced weights of even classes change nothing"
        assert fit(GradientBoosting(iterations=15, **changed), splits, 1).graph != usual.graph, changed


def test_a_class_without_training_rows_is_refused_by_name(tmp_path):
    x, y = wild_table(300, 2)
    with pytest.raises(TrainingError, match="class 'class_2' has no training rows"):
        fit(FEW, write_table(tmp_path / "splits", x, y, 3), 0)
