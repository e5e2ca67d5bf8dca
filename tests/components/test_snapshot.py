"""A snapshot has one digest, whatever the order of its rows; and equal rows are found without hashing the rest."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.dataset import Rows
from components.snapshot import FREE, Snapshot, row_digests, twins


def snapshot(x: np.ndarray, y: np.ndarray, labels=("a", "b"), home=None) -> Snapshot:
    rows = Rows(kind="image", labels=labels, shape=x.shape[1:])
    home = np.full(len(y), FREE, np.int8) if home is None else home
    return Snapshot(rows=rows, arrays={"x": x}, y=y, digests=row_digests(x), home=home, read=len(y))


@pytest.fixture
def some():
    return np.random.default_rng(0).random((20, 2, 2)).astype(np.float32), np.arange(20) % 2


def test_the_same_rows_in_another_order_are_the_same_version(some):
    x, y = some
    order = np.random.default_rng(1).permutation(20)
    one, other = snapshot(x, y), snapshot(x[order], y[order])
    assert one.digest() == other.digest()
    np.testing.assert_array_equal(x[one.order()], x[order][other.order()])


def test_classes_that_are_numbered_otherwise_are_the_same_version(some):
    x, y = some
    assert snapshot(x, y, ("a", "b")).digest() == snapshot(x, 1 - y, ("b", "a")).digest()


def test_a_changed_value_label_or_split_is_another_version(some):
    x, y = some
    changed, moved = x.copy(), np.full(20, FREE, np.int8)
    changed[0, 0, 0] += 1
    moved[3] = 2
    versions = [snapshot(x, y), snapshot(changed, y), snapshot(x, 1 - y), snapshot(x, y, home=moved)]
    assert len({version.digest() for version in versions}) == 4


@given(st.lists(st.lists(st.integers(0, 3), min_size=3, max_size=3), min_size=1, max_size=30), st.booleans())
def test_twins_are_exactly_the_rows_of_equal_content(values, wide):
    x = np.array(values, dtype=np.uint64 if wide else np.uint8)
    found = twins({"x": x})
    expected = [values.index(row) for row in values]
    assert found.tolist() == expected


def test_rows_with_one_sum_of_bytes_are_told_apart():
    x = np.array([[1, 2], [2, 1], [1, 2], [3, 0]], dtype=np.uint8)
    assert twins({"x": x}).tolist() == [0, 1, 0, 3]


def test_twins_agree_in_all_their_arrays():
    numbers, codes = np.zeros((3, 1), np.float32), np.array([[0], [1], [0]], np.int32)
    assert twins({"numbers": numbers, "codes": codes}).tolist() == [0, 1, 0]
