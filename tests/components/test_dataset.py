"""Arrays between the stages."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components import dataset
from components.dataset import Part, Rows, Scaling, chunks, save_arrays, save_rows
from modelpackage import Picture


def test_a_row_is_described_once_and_read_back(tmp_path):
    picture = Picture(height=8, width=8, colour="grey")
    rows = Rows(
        kind="image", shape=(8, 8), labels=("a", "b"), minimum=0.0, maximum=16.0, digest="0" * 64, picture=picture
    )
    rows.save(tmp_path)
    assert Rows.open(tmp_path) == rows
    (tensor,) = rows.tensors()
    assert tensor.batch_shape == [-1, 8, 8]


def test_a_table_has_a_tensor_of_numbers_and_one_of_text_each_with_its_columns():
    rows = Rows(kind="tabular", labels=("a", "b"), numbers=("width", "height"), categories=("town",), gaps=("height",))
    numbers, categories = rows.tensors()
    assert (numbers.name, numbers.datatype, numbers.fields, numbers.missing) == (
        "numbers", "FP32", ("width", "height"), True,
    )  # fmt: skip
    assert (categories.name, categories.datatype, categories.fields, categories.missing) == (
        "categories", "BYTES", ("town",), None,
    )  # fmt: skip
    assert len(rows.model_copy(update={"categories": ()}).tensors()) == 1


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=2, max_size=2), st.floats(0.5, 100, width=32))
def test_scaling_is_float32_arithmetic_and_nothing_else(values, factor):
    scaling = Scaling(mean=(1.5,), factor=(factor,))
    x = np.array(values, np.float32)
    expected = (x - np.float32(1.5)) * np.float32(factor)
    assert scaling.apply(x).dtype == np.float32
    np.testing.assert_array_equal(scaling.apply(x), expected)


@pytest.fixture
def part(tmp_path):
    rows = Rows(kind="tabular", labels=("a", "b"), numbers=("n",), categories=("t", "u"))
    numbers, codes = np.arange(5, dtype=np.float32).reshape(5, 1), np.array([[0, 1], [1, 0]] * 2 + [[2, 1]], np.int32)
    save_arrays(tmp_path / "train", numbers=numbers, codes=codes, y=np.array([0, 1, 0, 1, 1]))
    (tmp_path / "values.json").write_text(json.dumps([["", "x", "y"], ["p", "q"]]))
    return Part(tmp_path / "train", rows, tmp_path / "values.json")


def test_rows_are_given_as_clients_send_them(part):
    inputs = part.inputs(slice(1, 3))
    assert inputs["numbers"].tolist() == [[1], [2]]
    assert inputs["categories"].tolist() == [["x", "p"], ["", "q"]]
    assert len(part) == 5


def test_batches_are_all_rows_in_order_however_small(part, monkeypatch):
    monkeypatch.setattr(dataset, "BATCH_VALUES", 6)
    batches = list(part.batches())
    assert [len(batch["numbers"]) for batch in batches] == [2, 2, 1]
    assert np.concatenate([batch["numbers"] for batch in batches]).tolist() == part.numbers.tolist()


@given(st.lists(st.integers(0, 19), min_size=1, max_size=30))
def test_rows_are_written_in_the_order_that_was_asked_for(chosen):
    import tempfile
    from pathlib import Path

    x = np.arange(60, dtype=np.float32).reshape(20, 3)
    with tempfile.TemporaryDirectory() as folder:
        save_rows(Path(folder) / "x.npy", x, np.array(chosen))
        np.testing.assert_array_equal(np.load(Path(folder) / "x.npy"), x[chosen])


def test_chunks_are_the_whole_array_a_few_megabytes_at_a_time(tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", np.arange(100, dtype=np.uint8).reshape(25, 4))
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    monkeypatch.setattr(dataset, "CHUNK_BYTES", 12)
    found = list(chunks(x))
    assert [start for start, _ in found] == list(range(0, 25, 3))
    np.testing.assert_array_equal(np.concatenate([part for _, part in found]), x)
