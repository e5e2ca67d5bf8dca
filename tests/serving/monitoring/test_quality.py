"""The figures, against values worked out by hand and scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from serving.monitoring.quality import by_class, overall, wilson_interval


def counts(truth, predicted, classes):
    rows = (truth[truth == predicted], predicted, truth)
    return np.array([np.bincount(row, minlength=classes) for row in rows])


def test_the_interval_has_its_published_values():
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)  # Newcombe 1998, table I
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson_interval(29, 29) == pytest.approx((0.8830, 1.0), abs=5e-5)


def test_figures_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 4, 500), rng.integers(0, 4, 500)
    found = by_class(counts(truth, predicted, 4))
    precision, recall, f1, _ = precision_recall_fscore_support(truth, predicted)
    for name, expected in (("precision", precision), ("recall", recall), ("f1", f1)):
        assert list(found[name].values()) == pytest.approx(expected.tolist())
    figures = overall(counts(truth, predicted, 4))
    assert figures["accuracy"] == (truth == predicted).mean()
    assert figures["f1_macro"] == pytest.approx(f1.mean())


def test_a_class_without_a_denominator_has_no_figure():
    found = by_class(counts(np.array([0, 0]), np.array([0, 1]), 4))
    assert found == {"precision": {0: 1.0, 1: 0.0}, "recall": {0: 0.5}, "f1": {0: pytest.approx(2 / 3), 1: 0.0}}


def test_without_rows_there_is_nothing_but_their_number():
    assert overall(np.zeros((3, 2), np.int64)) == {"rows": 0.0}
