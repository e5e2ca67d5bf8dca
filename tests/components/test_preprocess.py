"""Splits are disjoint, stratified, seeded, and the preprocessing knows the training rows alone."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stages import CONFIGS

from components.config import Split, read_config
from components.dataset import SPLITS, Rows, Splits
from components.errors import DataError
from components.preprocess import deal, fit_scaling, preprocess, read_findings
from components.snapshot import FREE, Snapshot, row_digests, twins

LABELS = ("a", "b", "c")


def table(rows: int, seed: int = 0, home: np.ndarray | None = None, copies: int = 0) -> Snapshot:
    random = np.random.default_rng(seed)
    x, y = random.random((rows, 4)).astype(np.float32), np.arange(rows) % len(LABELS)
    x, y = np.concatenate([x, *[x[: rows // 3]] * copies]), np.concatenate([y, *[y[: rows // 3]] * copies])
    return Snapshot(
        rows=Rows(kind="tabular", labels=LABELS, numbers=("p", "q", "r", "s")),
        arrays={"numbers": x},
        y=y,
        digests=row_digests(x),
        home=np.full(len(y), FREE, np.int8) if home is None else home,
        read=len(y),
    )


def dealt(snapshot: Snapshot, seed: int = 0, split: Split | None = None) -> dict[str, np.ndarray]:
    return deal(snapshot, twins(snapshot.arrays), split or Split(), seed)


@settings(max_examples=30, deadline=None)
@given(st.integers(60, 400), st.integers(0, 10_000), st.integers(0, 3))
def test_every_row_is_in_exactly_one_split_and_equal_rows_are_together(rows, seed, copies):
    snapshot = table(rows, seed, copies=copies)
    parts, x = dealt(snapshot, seed), snapshot.arrays["numbers"]
    assert sorted(np.concatenate(list(parts.values()))) == list(range(len(snapshot)))
    seen = [{row.tobytes() for row in x[parts[name]]} for name in SPLITS]
    assert not (seen[0] & seen[1] or seen[0] & seen[2] or seen[1] & seen[2])


def test_every_class_has_its_share_in_every_split():
    snapshot = table(900)
    parts = dealt(snapshot)
    for name, share in zip(SPLITS, (240, 30, 30), strict=True):
        assert np.bincount(snapshot.y[parts[name]]).tolist() == [share] * 3


def test_the_seed_decides_and_nothing_else_does():
    one, same, other = (dealt(table(300), seed)["test"] for seed in (1, 1, 2))
    assert one.tolist() == same.tolist()
    assert one.tolist() != other.tolist()


def test_another_order_of_the_rows_deals_the_same_rows():
    one = table(300)
    order = np.random.default_rng(5).permutation(300)
    other = Snapshot(
        rows=one.rows,
        arrays={"numbers": one.arrays["numbers"][order]},
        y=one.y[order],
        digests=[one.digests[row] for row in order],
        home=one.home,
        read=300,
    )
    for name in SPLITS:
        rows = [snapshot.arrays["numbers"][dealt(snapshot)[name]] for snapshot in (one, other)]
        np.testing.assert_array_equal(*rows)


def test_a_sources_own_test_rows_stay_the_test_rows():
    home = np.full(300, FREE, np.int8)
    home[200:] = 2
    parts = dealt(table(300, home=home))
    assert sorted(parts["test"]) == list(range(200, 300))
    assert len(parts["validation"]) == 21


def test_training_rows_that_are_copies_of_test_rows_leave_the_training_rows():
    snapshot = table(300)
    snapshot.home[200:] = 2
    snapshot.arrays["numbers"][:5] = snapshot.arrays["numbers"][[203, 204, 205, 206, 207]]
    parts = dealt(snapshot)
    assert len(parts["test"]) == 100
    assert not set(range(5)) & set(np.concatenate([parts["train"], parts["validation"]]))


def test_scaling_is_fitted_per_channel_and_exact_for_bytes():
    x = np.random.default_rng(0).integers(0, 256, (40, 5, 6, 3), dtype=np.uint8)
    scaling = fit_scaling(x)
    scaled = scaling.apply(x)
    np.testing.assert_allclose(scaled.mean(axis=(0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.std(axis=(0, 1, 2)), 1, atol=1e-5)
    assert len(fit_scaling(x[..., 0]).mean) == 1
    assert fit_scaling(x).mean == tuple(
        float(np.float32(x[..., channel].mean(dtype=np.float64))) for channel in range(3)
    )


def test_pictures_without_any_variation_are_refused():
    for dtype in (np.float32, np.uint8):
        with pytest.raises(DataError, match="of one even colour"):
            fit_scaling(np.full((10, 3, 3), 2, dtype))


def test_held_out_rows_do_not_reach_the_scaling(forest_run):
    train = np.array(forest_run.splits.part("train").x)
    assert forest_run.splits.preprocessing == fit_scaling(train)
    assert forest_run.splits.preprocessing != fit_scaling(forest_run.snapshot.arrays["x"])


def test_what_was_found_and_how_rows_are_sliced_is_kept(tmp_path, capsys):
    snapshot = table(120, copies=1)
    snapshot = Snapshot(**{**snapshot.__dict__, "slices": {"town": np.array(["x", "y"] * 80, dtype=object)}})
    config = read_config(CONFIGS / "iris.yaml")
    counts = preprocess(config, snapshot, tmp_path / "splits")
    splits = Splits(tmp_path / "splits")
    assert {name: len(splits.part(name)) for name in SPLITS} == counts
    assert any("equal" in finding.text or "copies" in finding.text for finding in read_findings(tmp_path / "splits"))
    slices = json.loads((tmp_path / "splits" / "slices.json").read_text())
    assert len(slices["town"]) == counts["test"]
    assert (tmp_path / "splits" / "profile.html").read_text().startswith("<!doctype html>")
