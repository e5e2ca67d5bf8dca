"""Bins mean what training counted."""

import numpy as np
import pytest
import tiny
import tiny_table
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from modelpackage import Histogram, Reference, count_texts, describe, histogram
from serving.monitoring import quantities
from serving.monitoring.quantities import CHUNK

NUMBERS = st.floats(-1e6, 1e6, width=32)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return tiny_table.seal(tmp_path_factory.mktemp("table") / "package")


def reference(**changes):
    content = {
        "rows": 4,
        "inputs": {},
        "confidence": Histogram(edges=(0.0, 0.5, 1.0), counts=(1, 3)),
        "classes": {"stays": 3, "leaves": 1},
    }
    return Reference(**(content | changes))


def named(found):
    return {quantity.name: quantity for quantity in found}


@given(arrays(np.float64, st.integers(1, 40), elements=NUMBERS), arrays(np.float64, 30, elements=NUMBERS))
def test_a_number_falls_into_the_bin_that_training_would_count_it_in(trained, served):
    counted = histogram(trained)
    quantity = quantities._number("age", counted, 0)
    found = np.bincount(quantity.locate(served), minlength=len(quantity.reference))
    assert found[:-1].tolist() == list(histogram(served, counted.edges).counts)
    assert found[-1] == 0


def test_a_missing_number_has_a_bin_of_its_own():
    quantity = quantities._number("age", Histogram(edges=(0.0, 1.0, 2.0), counts=(3, 4)), 5)
    assert quantity.reference.tolist() == [3, 4, 5]
    assert quantity.locate(np.array([np.nan, -9.0, 9.0])).tolist() == [2, 0, 1]


def test_a_text_falls_into_the_bin_of_its_value_and_others_share_one(table):
    towns = np.array(["Rome"] * 5 + ["Oslo"] * 3 + [""] * 2, object)
    kept = reference(texts={"town": count_texts(towns)})
    quantity = named(quantities.inputs(table.descriptor, kept))["town"]
    assert np.bincount(quantity.locate(towns)).tolist() == quantity.reference.tolist()[:-1]
    assert quantity.locate(np.array(["Lima", "東京"], object)).tolist() == [3, 3]


def test_a_table_is_watched_by_its_columns_of_numbers_and_of_text(table):
    kept = table.reference()
    assert list(named(quantities.inputs(table.descriptor, kept))) == ["age", "visits", "town"]
    served = {"numbers": tiny_table.NUMBERS, "categories": tiny_table.TEXT}
    found = quantities.values(table.descriptor, served)
    for name, quantity in named(quantities.inputs(table.descriptor, kept)).items():
        bins = np.bincount(quantity.locate(found[name]), minlength=len(quantity.reference))
        assert bins.tolist() == quantity.reference.tolist(), name


def test_pictures_are_watched_by_brightness_and_contrast_however_many_come(sealed):
    rows = tiny.rows(CHUNK + 3)
    found = quantities.values(sealed.descriptor, {"image": rows})
    expected = describe(rows, kind="image")
    assert list(named(quantities.inputs(sealed.descriptor, sealed.reference()))) == ["brightness", "contrast"]
    assert all((found[name] == expected[name]).all() for name in ("brightness", "contrast"))


def test_what_the_reference_has_not_counted_is_not_watched(table):
    assert list(quantities.inputs(table.descriptor, reference())) == []


def test_answers_are_watched_by_class_and_confidence(table):
    found = named(quantities.outputs(table.descriptor, reference()))
    assert found["class"].reference.tolist() == [3, 1]
    assert found["confidence"].locate(np.array([0.2, 1.0])).tolist() == [0, 1]


def test_a_reference_that_counted_no_answer_watches_none(table):
    empty = reference(confidence=Histogram(edges=(0.0, 1.0), counts=(0,)), classes=dict.fromkeys(tiny_table.LABELS, 0))
    assert list(quantities.outputs(table.descriptor, empty)) == []


def test_of_two_columns_with_one_name_the_first_is_watched(table):
    numbers, categories = table.descriptor.signature.inputs
    twice = categories.model_copy(update={"fields": ("age",)})
    signature = table.descriptor.signature.model_copy(update={"inputs": (numbers, twice)})
    descriptor = table.descriptor.model_copy(update={"signature": signature})
    served = {"numbers": tiny_table.NUMBERS, "categories": tiny_table.TEXT}
    assert list(named(quantities.inputs(descriptor, table.reference()))) == ["age", "visits"]
    assert quantities.values(descriptor, served)["age"].dtype == np.float64
