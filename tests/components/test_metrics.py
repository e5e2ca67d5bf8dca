"""The numbers, against values worked out by hand or by definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.metrics import calibration, calibration_error, confusion, measure, per_class, wilson_interval

TRUTH = np.array([0, 0, 0, 1, 1, 2])
PROBABILITIES = np.array(
    [[0.9, 0.1, 0], [0.8, 0.2, 0], [0.3, 0.7, 0], [0.1, 0.9, 0], [0.4, 0.6, 0], [0.5, 0.3, 0.2]], np.float32
)


def test_wilson_interval_has_its_published_values():
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)  # Newcombe 1998, table I
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson_interval(29, 29) == pytest.approx((0.8830, 1.0), abs=5e-5)


@given(st.integers(1, 10_000).flatmap(lambda rows: st.tuples(st.integers(0, rows), st.just(rows))))
def test_an_interval_holds_its_share_and_stays_between_zero_and_one(case):
    right, rows = case
    low, high = wilson_interval(right, rows)
    assert 0 <= low <= right / rows <= high <= 1


def test_headline_figures():
    measured = measure(TRUTH, PROBABILITIES)
    assert measured["accuracy"] == pytest.approx(4 / 6, abs=1e-6)
    assert measured["precision_macro"] == pytest.approx((2 / 3 + 2 / 3 + 0) / 3, abs=1e-6)
    assert measured["recall_macro"] == pytest.approx((2 / 3 + 1 + 0) / 3, abs=1e-6)
    assert measured["recall_weighted"] == measured["accuracy"]
    assert measured["log_loss"] == pytest.approx(-np.log([0.9, 0.8, 0.3, 0.9, 0.6, 0.2]).mean(), abs=1e-5)
    assert measured["test_rows"] == 6


def test_confusion_has_true_classes_as_rows():
    assert confusion(TRUTH, PROBABILITIES) == ((2, 1, 0), (0, 2, 0), (1, 0, 0))


def test_per_class_support_is_the_number_of_rows():
    found = per_class(TRUTH, PROBABILITIES, ("a", "b", "c"))
    assert [row["support"] for row in found.values()] == [3, 2, 1]
    assert found["c"] == {"precision": 0, "recall": 0, "f1": 0, "support": 1}


def test_perfect_calibration_has_no_error_and_bins_hold_every_row():
    truth = np.zeros(10, int)
    truth[8:] = 1
    honest = np.tile(np.array([0.8, 0.2], np.float32), (10, 1))
    assert calibration_error(truth, honest) == pytest.approx(0, abs=1e-7)
    assert sum(rows for _, _, rows in calibration(TRUTH, PROBABILITIES)) == 6
    assert calibration_error(truth, np.tile(np.array([1.0, 0], np.float32), (10, 1))) == pytest.approx(0.2)


def test_votes_that_add_up_to_a_bit_more_than_one_have_a_log_loss():
    beyond = np.array([[-1.1920929e-07, 1.0000001], [0.25, 0.75]], dtype=np.float32)
    assert measure(np.array([1, 1]), beyond)["log_loss"] == pytest.approx(-np.log(0.75) / 2, abs=1e-6)
