"""Splits are disjoint, stratified, seeded, and the scaling knows the training rows alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.config import Split
from components.dataset import SPLITS
from components.errors import DataError
from components.preprocess import deal, fit_scaling

LABELS = ("a", "b", "c")


def table(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.random((rows, 4)).astype(np.float32), np.arange(rows) % len(LABELS)


@settings(max_examples=30, deadline=None)
@given(st.integers(60, 400), st.integers(0, 10_000), st.integers(0, 3))
def test_every_row_is_in_exactly_one_split_and_equal_rows_are_together(rows, seed, copies):
    x, y = table(rows, seed)
    x, y = np.concatenate([x, *[x[: rows // 3]] * copies]), np.concatenate([y, *[y[: rows // 3]] * copies])
    parts = deal(x, y, Split(), seed, LABELS)
    assert sorted(np.concatenate(list(parts.values()))) == list(range(len(x)))
    seen = [{row.tobytes() for row in x[parts[name]]} for name in SPLITS]
    assert not (seen[0] & seen[1] or seen[0] & seen[2] or seen[1] & seen[2])


def test_every_class_has_its_share_in_every_split():
    x, y = table(900)
    parts = deal(x, y, Split(), 0, LABELS)
    for name, share in zip(SPLITS, (240, 30, 30), strict=True):
        assert np.bincount(y[parts[name]]).tolist() == [share] * 3


def test_the_seed_decides_and_nothing_else_does():
    x, y = table(300)
    one, same, other = (deal(x, y, Split(), seed, LABELS)["test"] for seed in (1, 1, 2))
    assert one.tolist() == same.tolist()
    assert one.tolist() != other.tolist()


def test_a_class_with_too_few_different_rows_is_named():
    x, y = table(300)
    x[y == 2] = x[2]
    with pytest.raises(DataError, match="class 'c' has 1 different rows, each class needs 10"):
        deal(x, y, Split(), 0, LABELS)


def test_scaling_is_fitted_on_the_rows_it_is_given():
    x, _ = table(200)
    scaling = fit_scaling(x, "tabular")
    scaled = scaling.apply(x)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.std(axis=0), 1, atol=1e-5)
    assert len(fit_scaling(x.reshape(-1, 2, 2), "image").mean) == 1


def test_a_constant_column_is_centred_and_stays_finite():
    x, _ = table(50)
    x[:, 1] = 7
    assert (fit_scaling(x, "tabular").apply(x)[:, 1] == 0).all()


def test_data_without_any_variation_is_refused():
    with pytest.raises(DataError, match="all training values are equal"):
        fit_scaling(np.full((10, 3), 2.0, np.float32), "tabular")


def test_held_out_rows_do_not_reach_the_scaling_or_the_reference(forest_run):
    train = np.array(forest_run.splits.x("train"))
    assert forest_run.splits.scaling == fit_scaling(train, "image")
    everything = np.load(forest_run.raw / "x.npy")
    assert forest_run.splits.scaling != fit_scaling(everything, "image")
