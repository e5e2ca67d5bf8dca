"""The forest: what its settings do, and that its graph takes every split as it does."""

import numpy as np
import onnx
import pytest
from tables import apart, wild_table, write_table

from components.errors import TrainingError
from components.graph import run_graph
from components.models import fit
from components.models.settings import RandomForest

FEW = RandomForest(trees=12)


def inner_nodes(graph: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Features and thresholds of all splits."""
    (trees,) = (node for node in onnx.load_from_string(graph).graph.node if node.op_type == "TreeEnsembleClassifier")
    held = {attribute.name: attribute for attribute in trees.attribute}
    inner = np.array(held["nodes_modes"].strings) != b"LEAF"
    return np.array(held["nodes_featureids"].ints)[inner], np.array(held["nodes_values"].floats, np.float32)[inner]


def thresholds(graph: bytes) -> np.ndarray:
    return inner_nodes(graph)[1]


@pytest.mark.parametrize("classes", [2, 3])
def test_the_graph_answers_as_the_forest_on_50_000_rows_of_every_magnitude(tmp_path, classes):
    x, y = wild_table(50_000, classes)
    trained = fit(FEW, write_table(tmp_path / "splits", x[:6000], y[:6000], classes), 1)
    assert apart(trained, x) <= trained.tolerance


def test_the_graph_answers_as_the_forest_exactly_at_its_thresholds_and_beside_them(tmp_path):
    x, y = wild_table(900, 2)
    trained = fit(FEW, write_table(tmp_path / "splits", x, y, 2), 1)
    at = np.unique(thresholds(trained.graph))
    below, above = np.nextafter(at, np.float32(-np.inf)), np.nextafter(at, np.float32(np.inf))
    rows = np.repeat(np.concatenate([at, below, above])[:, None], x.shape[1], axis=1)
    assert apart(trained, rows) <= trained.tolerance


def test_depth_and_leaves_are_bounded_as_told(tmp_path):
    splits = write_table(tmp_path / "splits", *wild_table(600, 2), 2)
    assert len(thresholds(fit(RandomForest(trees=3, max_depth=1), splits, 0).graph)) == 3
    assert len(thresholds(fit(RandomForest(trees=3, min_samples_leaf=150), splits, 0).graph)) <= 3


def test_a_split_chooses_from_the_share_of_features_as_told(tmp_path):
    random = np.random.default_rng(0)
    x = random.normal(size=(600, 9)).astype(np.float32)
    splits = write_table(tmp_path / "splits", x, (x[:, 0] > 0).astype(np.int64), 2)

    def first_features(share: float | None) -> set[int]:
        trained = fit(RandomForest(trees=30, max_depth=1, max_features=share), splits, 0)
        return set(inner_nodes(trained.graph)[0].tolist())

    assert first_features(1.0) == {0}
    assert len(first_features(None)) > 3


def test_the_seed_decides(tmp_path):
    splits = write_table(tmp_path / "splits", *wild_table(300, 2), 2)
    assert fit(FEW, splits, 1).graph == fit(FEW, splits, 1).graph != fit(FEW, splits, 2).graph


def test_threads_change_no_byte(tmp_path, monkeypatch):
    splits = write_table(tmp_path / "splits", *wild_table(900, 3), 3)
    x = splits.part("test").inputs()
    alone = fit(FEW, splits, 1)
    monkeypatch.setattr("components.models.random_forest.ROWS_WORTH_THREADS", 1)
    together = fit(FEW, splits, 1)
    assert alone.graph == together.graph
    np.testing.assert_array_equal(alone.predict(x), together.predict(x))


def test_balanced_weights_find_more_of_a_rare_class(tmp_path):
    random = np.random.default_rng(0)
    y = (random.random(3000) < 0.05).astype(np.int64)
    splits = write_table(tmp_path / "splits", (random.normal(size=(3000, 2)) + y[:, None]).astype(np.float32), y, 2)
    found = {
        weights: fit(RandomForest(trees=20, min_samples_leaf=20, class_weights=weights), splits, 0)
        .predict(splits.part("test").inputs())
        .argmax(axis=1)
        .sum()
        for weights in ("none", "balanced")
    }
    assert found["balanced"] > 2 * found["none"]


def test_a_class_without_training_rows_is_refused_by_name(tmp_path):
    x, y = wild_table(300, 2)
    with pytest.raises(TrainingError, match="class 'class_2' has no training rows.*add rows"):
        fit(FEW, write_table(tmp_path / "splits", x, y, 3), 0)


@pytest.mark.parametrize("trees", [10, 20, 25])
def test_probabilities_of_two_classes_stay_within_zero_and_one(tmp_path, trees):
    x = np.repeat(np.array([[0.0], [9.0]], np.float32), 60, axis=0)
    splits = write_table(tmp_path / "splits", x, (x[:, 0] > 1).astype(np.int64), 2)
    graph = fit(RandomForest(trees=trees), splits, 0).graph
    answers = run_graph(graph, splits.part("test").batches())
    assert (answers.min(), answers.max()) == (0.0, 1.0)
