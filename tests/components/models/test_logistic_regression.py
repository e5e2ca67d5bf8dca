"""The regression: the same weights in training and in the graph, in double precision."""

import numpy as np
import pytest
from sklearn import linear_model
from tables import apart, write_table

from components.errors import TrainingError
from components.models import fit
from components.models.settings import LogisticRegression


def wide(rows: int, classes: int, columns: int = 300) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(5)
    x = random.normal(size=(rows, columns)).astype(np.float32)
    return x, (x[:, :5] @ random.normal(size=(5, classes)) + random.normal(size=(rows, classes))).argmax(axis=1)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("scale", [1, 100, 1e-20, 1e20])
def test_the_graph_answers_as_the_regression_on_wide_and_far_rows(tmp_path, classes, scale):
    x, y = wide(900, classes)
    trained = fit(LogisticRegression(c=1e4), write_table(tmp_path / "splits", x, y, classes), 0)
    assert apart(trained, x * np.float32(scale)) <= trained.tolerance <= 1e-5


@pytest.mark.parametrize("classes", [2, 4])
def test_the_regression_is_that_of_scikit_learn(tmp_path, classes):
    x, y = wide(900, classes, columns=8)
    splits = write_table(tmp_path / "splits", x, y, classes)
    trained = fit(LogisticRegression(c=0.5, class_weights="balanced"), splits, 0)
    reference = linear_model.LogisticRegression(C=0.5, class_weight="balanced", max_iter=1000)
    reference.fit(x[::3].astype(np.float64), y[::3])
    np.testing.assert_allclose(trained.predict({"numbers": x}), reference.predict_proba(x), atol=1e-6)


def test_steps_that_do_not_suffice_are_told_with_the_setting_to_change(tmp_path, capsys):
    splits = write_table(tmp_path / "splits", *wide(300, 3), 3)
    fit(LogisticRegression(max_iterations=2), splits, 0)
    assert "not settled after 2 steps; raise train.max_iterations" in capsys.readouterr().out
    fit(LogisticRegression(), splits, 0)
    assert "warning" not in capsys.readouterr().out


def test_the_same_arguments_give_the_same_bytes_whatever_the_seed(tmp_path):
    splits = write_table(tmp_path / "splits", *wide(300, 3), 3)
    assert fit(LogisticRegression(), splits, 1).graph == fit(LogisticRegression(), splits, 2).graph


def test_a_class_without_training_rows_is_refused_by_name(tmp_path):
    x, y = wide(300, 2)
    with pytest.raises(TrainingError, match="class 'class_2' has no training rows"):
        fit(LogisticRegression(), write_table(tmp_path / "splits", x, y, 3), 0)
