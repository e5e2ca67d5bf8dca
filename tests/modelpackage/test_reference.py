"""The drift reference: what is described, how it is counted, and which files are refused."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_table
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from modelpackage import (
    DescriptorError,
    Histogram,
    Package,
    Reference,
    canonical_json,
    count_texts,
    describe,
    histogram,
)
from modelpackage.errors import MAX_FAULT_CHARACTERS

#: Half the range of a double, so that the distance between two values is one as well.
NUMBERS = st.floats(-8e307, 8e307, allow_subnormal=False) | st.integers(-3, 3).map(float)
VALUES = st.lists(NUMBERS, min_size=1, max_size=60).map(np.array)


@given(values=VALUES)
@settings(max_examples=300, deadline=None)
def test_counts_sum_to_the_rows_and_edges_ascend(values: np.ndarray):
    counted = histogram(values)
    assert sum(counted.counts) == len(values)
    assert len(counted.counts) == len(counted.edges) - 1
    assert all(low <= high for low, high in pairwise(counted.edges))


@given(values=VALUES)
@settings(max_examples=300, deadline=None)
def test_every_bin_but_the_outer_ones_counts_what_lies_between_its_edges(values: np.ndarray):
    counted = histogram(values)
    for index in range(1, len(counted.counts) - 1):
        low, high = counted.edges[index : index + 2]
        assert counted.counts[index] == ((low <= values) & (values < high)).sum()


@given(values=VALUES, seed=st.integers(0, 2**32 - 1))
@settings(max_examples=100, deadline=None)
def test_the_order_of_rows_does_not_matter(values: np.ndarray, seed: int):
    assert histogram(np.random.default_rng(seed).permutation(values)) == histogram(values)


@given(values=VALUES)
@settings(max_examples=100, deadline=None)
def test_counting_again_between_the_same_edges_gives_the_same(values: np.ndarray):
    counted = histogram(values)
    assert histogram(values, counted.edges) == counted


@given(values=VALUES)
@settings(max_examples=100, deadline=None)
def test_outside_values_land_in_the_first_or_last_bin(values: np.ndarray):
    counted = histogram(values)
    outside = histogram(np.array([-1e308, -1e308, 1e308]), counted.edges)
    expected = [0] * len(counted.counts)
    expected[0] += 2
    expected[-1] += 1
    assert outside == Histogram(edges=counted.edges, counts=tuple(expected))


@given(values=VALUES)
@settings(max_examples=100, deadline=None)
def test_a_histogram_survives_json(values: np.ndarray):
    counted = histogram(values)
    assert Histogram.model_validate_json(json.dumps(counted.model_dump(mode="json"))) == counted


@given(value=NUMBERS, rows=st.integers(1, 50))
@settings(max_examples=100, deadline=None)
def test_a_constant_has_a_bin_of_its_own_and_moving_off_it_shows_on_either_side(value: float, rows: int):
    counted = histogram(np.full(rows, value))
    assert counted.counts == (0, rows, 0)
    step = max(abs(value) * 1e-9, 1e-9)
    moved = histogram(np.array([value - step, value, value, value + step, value + step, value + step]), counted.edges)
    assert moved.counts == (1, 2, 3)


@pytest.mark.parametrize(
    "values",
    [
        np.full(100, 5.0),
        np.repeat([0.0, 1.0], 50),
        np.append(np.zeros(95), np.arange(1.0, 6.0)),
        np.append(np.full(95, 9.0), np.arange(1.0, 6.0)),
    ],
    ids=["constant", "flag", "mostly the smallest", "mostly the largest"],
)
@pytest.mark.parametrize("step", [-0.25, 0.25])
def test_values_that_move_off_a_repeated_one_show_in_either_direction(values: np.ndarray, step: float):
    training = histogram(values)
    moved = histogram(values + step, training.edges)
    assert np.abs(np.subtract(moved.counts, training.counts)).max() > 40


def test_a_flag_shows_when_its_share_moves():
    training = histogram(np.array([0.0] * 30 + [1.0] * 70))
    assert sorted(training.counts) == [0] * (len(training.counts) - 2) + [30, 70]
    serving = histogram(np.array([0.0] * 70 + [1.0] * 30), training.edges)
    assert sorted(serving.counts) == sorted(training.counts)
    assert serving.counts != training.counts


def test_a_column_that_is_mostly_zero_keeps_a_bin_for_zero():
    counted = histogram(np.concatenate([np.zeros(70), np.linspace(1, 2, 30)]))
    assert 70 in counted.counts
    assert sum(count > 0 for count in counted.counts) > 2


def test_values_closer_together_than_the_rounding_share_one_bin():
    values = 1e9 + np.linspace(0, 1e-3, 100)
    counted = histogram(values)
    assert counted.counts == (0, 100, 0)
    assert histogram(values + 1, counted.edges).counts == (0, 0, 100)


def test_values_far_from_zero_but_close_together_keep_their_bins():
    assert histogram(1.7e9 + np.arange(1000.0)).counts == (100,) * 10


def test_one_far_value_does_not_merge_the_others():
    assert len(histogram(np.append(np.linspace(0, 1, 1000), 1e9)).counts) == 10


def test_a_continuous_column_falls_into_ten_bins_of_equal_share():
    assert histogram(np.random.default_rng(0).normal(size=1000)).counts == (100,) * 10


def test_the_last_bits_of_a_quantile_reach_no_edge():
    values = np.random.default_rng(0).normal(size=101)
    assert histogram(np.nextafter(values, np.inf)).edges == histogram(values).edges


def test_a_value_on_an_edge_belongs_to_the_bin_above():
    counted = histogram(np.array([0.0, 0.5, 0.5, 1.0]), (0.0, 0.5, 1.0))
    assert counted.counts == (1, 3)


def test_no_values_between_given_edges_are_counted_as_none():
    assert histogram(np.array([]), (0.0, 0.5, 1.0)).counts == (0, 0)


@pytest.mark.parametrize(
    ("edges", "counts"),
    [
        ((), ()),
        ((0.0,), ()),
        ((0.0,), (1,)),
        ((0.0, 1.0), (1, 2)),
        ((0.0, 1.0, 2.0), (1,)),
        ((1.0, 0.0), (1,)),
        ((0.0, 1.0), (-1,)),
        ((0.0, float("nan")), (1,)),
        ((0.0, float("inf")), (1,)),
    ],
    ids=str,
)
def test_a_histogram_with_a_fault_is_refused(edges: tuple[float, ...], counts: tuple[int, ...]):
    with pytest.raises(ValidationError):
        Histogram(edges=edges, counts=counts)


def test_an_image_is_described_by_brightness_and_contrast():
    images = np.array([np.full((2, 2), 7), [[0, 0], [4, 4]]], dtype=np.uint8)
    described = describe(images, kind="image")
    assert {name: values.tolist() for name, values in described.items()} == {"brightness": [7, 2], "contrast": [0, 2]}


def test_a_table_is_described_by_its_columns():
    table = np.array([[1, 2], [3, 4], [5, 6]], dtype=np.float32)
    assert {name: values.tolist() for name, values in describe(table, kind="tabular").items()} == {
        "column_0": [1, 3, 5],
        "column_1": [2, 4, 6],
    }
    assert list(describe(table, kind="tabular", fields=("width", "height"))) == ["width", "height"]


@given(rows=st.integers(1, 9), columns=st.integers(1, 5), kind=st.sampled_from(["tabular", "image"]))
@settings(max_examples=50, deadline=None)
def test_every_quantity_has_a_value_for_each_row(rows: int, columns: int, kind: Any):
    described = describe(np.random.default_rng(0).random((rows, columns)), kind=kind)
    assert len(described) == (2 if kind == "image" else columns)
    for values in described.values():
        assert values.shape == (rows,)
        assert values.dtype == np.float64


@pytest.fixture(scope="module")
def raw(sealed: Package) -> bytes:
    return sealed.read("reference.json")


def test_what_is_rendered_is_parsed(raw: bytes):
    reference = Reference.parse(raw)
    assert reference.render() == raw
    reference.match(("left", "right", "none"))


@pytest.mark.parametrize("labels", [("left", "right"), ("left", "right", "none", "more"), ("left", "right", "None")])
def test_counts_of_other_labels_do_not_match(raw: bytes, labels: tuple[str, ...]):
    with pytest.raises(DescriptorError, match=r"reference\.json counts left"):
        Reference.parse(raw).match(labels)


HOSTILE = {
    "empty": b"",
    "list": b"[]\n",
    "not UTF-8": b'{"rows": "\xff"}',
    "NaN": b'{"rows": NaN}',
    "deep lists": b'{"rows": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "many digits": b'{"rows": ' + b"9" * 100_000 + b"}",
    "10 MB": b'{"rows": "' + b"a" * 10_000_000 + b'"}',
    "long field": b'{"' + b"a" * 100_000 + b'": 1}',
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_hostile_bytes_are_refused_with_one_short_line(content: bytes):
    with pytest.raises(DescriptorError, match=r"^reference\.json") as caught:
        Reference.parse(content)
    assert len(str(caught.value)) < MAX_FAULT_CHARACTERS + 100


@given(content=st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_refused_with_a_package_error(content: bytes):
    with pytest.raises(DescriptorError, match=r"^reference\.json"):
        Reference.parse(content)


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw.replace(b'"rows": 6', b'"rows": 5,\n  "rows": 6'),
        lambda raw: raw.replace(b'"rows": 6', b'"rows": 0'),
        lambda raw: raw.replace(b'"rows": 6', b'"rows": 6.0'),
        lambda raw: raw.replace(b'"rows": 6', b'"lines": 6'),
        lambda raw: raw.replace(b'"left": 2', b'"left": -2'),
        lambda raw: raw.replace(b"1.5", b"NaN"),
        lambda raw: raw.replace(b"1.5", b"1e999"),
        lambda raw: raw.replace(b"1.5", b"1.50"),
        lambda raw: raw.replace(b"1.5", b"99.5"),
        lambda raw: canonical_json(json.loads(raw) | {"more": 1}),
        lambda raw: raw[:-1],
    ],
    ids=["twice", "no rows", "not whole", "renamed", "negative", "NaN", "inf", "digits", "order", "more", "newline"],
)
def test_a_fault_is_refused(raw: bytes, change):
    assert change(raw) != raw
    with pytest.raises(DescriptorError, match=r"^reference\.json"):
        Reference.parse(change(raw))


def test_missing_numbers_are_in_no_histogram():
    values = np.array([1, np.nan, 2, np.nan])
    assert histogram(values) == histogram(np.array([1.0, 2.0]))
    empty = histogram(np.array([np.nan]))
    assert (empty.edges, empty.counts) == ((0.0, 1.0), (0,))


def test_the_most_frequent_texts_are_counted_and_the_rest_together():
    values = np.array(["a", "b", "a", "", "other"] + [f"x{number}" for number in range(200)], dtype=object)
    counted = count_texts(values)
    assert counted.counts["a"] == 2
    assert len(counted.counts) == 100
    assert sum(counted.counts.values()) + counted.others == len(values)
    assert next(iter(counted.counts)) == "a"


def test_missing_numbers_are_described_as_they_are():
    found = describe(tiny_table.NUMBERS, kind="tabular", fields=("age", "visits"))
    np.testing.assert_array_equal(found["age"], [30, np.nan, 50, 40])


@given(values=st.lists(st.text(max_size=2), min_size=1, max_size=150), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=100, deadline=None)
def test_every_text_is_counted_once_in_any_order(values: list[str], seed: int):
    array = np.array(values, dtype=object)
    counted = count_texts(array)
    assert sum(counted.counts.values()) + counted.others == len(values)
    assert counted == count_texts(np.random.default_rng(seed).permutation(array))


def test_a_value_that_is_called_others_is_counted_as_any_other():
    counted = count_texts(np.array(["others", "others", ""], dtype=object))
    assert (counted.counts, counted.others) == ({"others": 2, "": 1}, 0)


@pytest.mark.parametrize(
    "change",
    [
        lambda fields: fields["missing"].update(age=0),
        lambda fields: fields["texts"]["town"].update(others=-1),
        lambda fields: fields["texts"]["town"]["counts"].update(Paris=0),
        lambda fields: fields["texts"]["town"].update(more=1),
        lambda fields: fields.update(texts=None),
    ],
)
def test_counts_that_can_not_be_are_refused(place: Path, change):
    fields = json.loads(tiny_table.seal(place).reference().render())
    assert Reference.parse(canonical_json(fields)).missing == {"age": 1, "visits": 1}
    change(fields)
    with pytest.raises(DescriptorError, match=r"^reference\.json"):
        Reference.parse(canonical_json(fields))
