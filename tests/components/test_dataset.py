"""Arrays between the stages."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from components.dataset import Rows, Scaling, row_digests


def test_a_row_is_described_once_and_read_back(tmp_path):
    rows = Rows(kind="image", shape=(8, 8), labels=("a", "b"), minimum=0.0, maximum=16.0, digest="0" * 64)
    rows.save(tmp_path)
    assert Rows.open(tmp_path) == rows
    assert rows.tensor().batch_shape == [-1, 8, 8]


def test_a_table_names_its_columns_in_the_signature():
    rows = Rows(kind="tabular", shape=(2,), labels=("a", "b"), fields=("width", "height"))
    assert rows.tensor().name == "row"
    assert rows.tensor().fields == ("width", "height")


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=2, max_size=2), st.floats(0.5, 100, width=32))
def test_scaling_is_float32_arithmetic_and_nothing_else(values, factor):
    scaling = Scaling(mean=(1.5,), factor=(factor,))
    x = np.array(values, np.float32)
    expected = (x - np.float32(1.5)) * np.float32(factor)
    assert scaling.apply(x).dtype == np.float32
    np.testing.assert_array_equal(scaling.apply(x), expected)


def test_a_row_keeps_its_digest_when_classes_are_numbered_otherwise():
    x = np.arange(4, dtype=np.float32).reshape(2, 2)
    one = row_digests(x, np.array([0, 1]), ("cat", "dog"))
    other = row_digests(x, np.array([1, 0]), ("dog", "cat"))
    assert one == other
    assert one != row_digests(x, np.array([0, 0]), ("cat", "dog"))
