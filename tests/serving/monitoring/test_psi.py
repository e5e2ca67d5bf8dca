"""The index and what chance makes of it, against values worked out by hand, scipy and simulation."""

import math

import numpy as np
import pytest
from scipy.stats import chi2

from serving.monitoring.psi import EXPECTED, bound, chi_square, fold, psi, regroup


def counts(*values):
    return np.array(values, np.int64)


def test_equal_shares_have_an_index_of_zero():
    assert psi(counts(100, 300), counts(100, 300)) == 0


def test_the_index_is_the_sum_over_bins_as_defined():
    # Halves become 0.25 and 0.75; half a row per bin changes the third digit.
    by_hand = (0.25 - 0.5) * math.log(0.25 / 0.5) + (0.75 - 0.5) * math.log(0.75 / 0.5)
    assert psi(counts(500, 500), counts(250, 750)) == pytest.approx(by_hand, abs=1e-3)


def test_an_empty_bin_has_a_finite_index_on_either_side():
    assert 1 < psi(counts(1000, 0), counts(500, 500)) < 10
    assert 1 < psi(counts(500, 500), counts(1000, 0)) < 10


@pytest.mark.parametrize(("level", "above"), [(0.05, 0.0), (0.01, 0.003), (1e-3, 0.02), (1e-5, 0.06)])
def test_the_chi_square_quantile_is_that_of_scipy_and_errs_upwards_where_it_is_rare(level, above):
    for degrees in range(3, 300):
        ratio = chi_square(degrees, level) / chi2.isf(level, degrees)
        assert 0.994 < ratio < 1.0005 + above
        assert level > 0.01 or ratio > 1


@pytest.mark.parametrize("degrees", [1, 2])
def test_the_chi_square_quantile_is_exact_where_it_has_a_formula(degrees):
    assert chi_square(degrees, 0.003) == pytest.approx(chi2.isf(0.003, degrees), rel=1e-9)


def test_bins_that_expect_enough_stand_alone_and_the_rare_ones_share():
    # With 200 of 1000 rows, a bin expects a fifth of its count.
    groups = fold(counts(20, 500, 30, 400, 30, 15, 5), 200)
    assert groups[0] == groups[2]
    assert groups[4] == groups[5] == groups[6]
    assert len({*groups.tolist()}) == 4


def test_what_the_reference_never_had_does_not_hide_in_a_bin_that_it_has_often():
    groups = fold(counts(0, 1000, 0), 1000)
    assert groups[0] == groups[2] != groups[1]


def test_a_reference_of_few_rows_is_one_group():
    assert fold(counts(3, 2, 1), 1000).max() == 0


def test_groups_add_up_their_bins():
    assert regroup(counts(1, 2, 3), counts(1, 0, 1)).tolist() == [2, 4]


@pytest.mark.parametrize(
    ("bins", "reference_rows", "window_rows"), [(10, 2000, 200), (10, 500, 1000), (30, 5000, 1000)]
)
def test_without_a_shift_the_index_has_the_stated_mean_and_exceeds_its_bound_as_often_as_stated(
    bins, reference_rows, window_rows
):
    rng, shares = np.random.default_rng(7), np.full(bins, 1 / bins)
    assert min(reference_rows, window_rows) / bins > EXPECTED
    found = np.array(
        [psi(rng.multinomial(reference_rows, shares), rng.multinomial(window_rows, shares)) for _ in range(4000)]
    )
    assert found.mean() == pytest.approx((bins - 1) * (1 / reference_rows + 1 / window_rows), rel=0.05)
    assert 0.006 < (found > bound(reference_rows, window_rows, bins, 0.01)).mean() < 0.016
