"""Tables become features: gaps filled, numbers scaled, categories one-hot with a place for the unknown."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.encoding import Category, Encoding, Number, fit_encoding

NUMBERS = np.array([[1, 5], [np.nan, 5], [3, 5], [5, 5]], np.float32)
TOWNS = np.array([["Bern"]] * 3 + [["Basel"]] * 4 + [[""]] * 3 + [["Genf"]] * 2, dtype=object)


def fitted():
    return fit_encoding(NUMBERS, np.empty((4, 0), object), ("age", "same"), ())


def test_a_gap_is_filled_with_the_median_and_a_feature_tells_of_it():
    encoding = fitted()
    assert (encoding.numbers[0].fill, encoding.numbers[0].indicator) == (3.0, True)
    features = encoding.apply({"numbers": NUMBERS})
    assert features[:, 2].tolist() == [0, 1, 0, 0]
    assert features[1, 0] == features[2, 0]
    np.testing.assert_allclose(features[:, 0].mean(), 0, atol=1e-6)


def test_a_constant_column_is_centred_and_has_no_indicator():
    encoding = fitted()
    assert (encoding.apply({"numbers": NUMBERS})[:, 1] == 0).all()
    assert not encoding.numbers[1].indicator


def test_a_column_without_any_value_stays_finite():
    encoding = fit_encoding(np.full((3, 1), np.nan, np.float32), np.empty((3, 0), object), ("x",), ())
    assert np.isfinite(encoding.apply({"numbers": np.array([[np.nan], [7]], np.float32)})).all()


def test_values_are_one_hot_and_rare_or_new_ones_are_unknown():
    encoding = fit_encoding(np.empty((12, 0), np.float32), TOWNS, (), ("town",))
    assert encoding.categories == (Category(name="town", values=("", "Basel", "Bern")),)
    rows = np.array([["Bern"], ["Genf"], ["Paris"], [""]], dtype=object)
    assert encoding.apply({"categories": rows}).tolist() == [[0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1], [1, 0, 0, 0]]


def test_a_column_has_at_most_a_hundred_values_the_most_frequent_ones():
    text = np.array([[f"v{number:03d}"] for number in range(150) for _ in range(3 + (number >= 50))], dtype=object)
    (category,) = fit_encoding(np.empty((len(text), 0), np.float32), text, (), ("v",)).categories
    assert category.values == tuple(f"v{number:03d}" for number in range(50, 150))


def test_features_have_names_in_their_order():
    encoding = Encoding(
        numbers=(Number(name="age", fill=0, mean=0, factor=1, indicator=True),),
        categories=(Category(name="town", values=("Bern",)),),
    )
    assert encoding.feature_names() == ["age", "age is missing", "town is Bern", "town is (unknown)"]
    assert encoding.apply(
        {"numbers": np.ones((2, 1), np.float32), "categories": np.full((2, 1), "x", object)}
    ).shape == (2, 4)


@given(st.lists(st.floats(-(2.0**100), 2.0**100, width=32) | st.just(float("nan")), min_size=1, max_size=20))
def test_whatever_the_numbers_features_are_finite_and_what_is_fitted_is_exact_in_float32(values):
    column = np.array(values, np.float32).reshape(-1, 1)
    encoding = fit_encoding(column, np.empty((len(column), 0), object), ("x",), ())
    features = encoding.apply({"numbers": column})
    assert np.isfinite(features).all()
    back = Encoding.model_validate_json(encoding.model_dump_json())
    assert back.apply({"numbers": column}).tobytes() == features.tobytes()
    for value in (encoding.numbers[0].fill, encoding.numbers[0].mean, encoding.numbers[0].factor):
        assert float(np.float32(value)) == value


def of_column(values: list[float]) -> Encoding:
    return fit_encoding(np.array([values], np.float32).T, np.empty((len(values), 0), object), ("x",), ())


def test_numbers_have_unit_deviation():
    features = fit_encoding(
        np.array([[1, 10], [2, 10], [3, 30], [4, 30]], np.float32), np.empty((4, 0), object), ("a", "b"), ()
    ).apply({"numbers": np.array([[1, 10], [2, 10], [3, 30], [4, 30]], np.float32)})
    assert features.dtype == np.float32
    np.testing.assert_allclose(features.std(axis=0), 1, rtol=1e-6)


@pytest.mark.parametrize("value", [0.1, 1e30, -1e-30, 0.0, 3.3e38])
def test_a_constant_column_keeps_the_distance_of_other_values(value):
    (column,) = of_column([value] * 7).numbers
    assert (column.mean, column.factor) == (float(np.float32(value)), 1)


def test_a_column_without_any_value_is_filled_with_zero_and_its_gaps_are_told():
    encoding = of_column([np.nan, np.nan])
    assert encoding.numbers[0].fill == 0
    assert encoding.apply({"numbers": np.array([[np.nan]], np.float32)}).tolist() == [[0, 1]]


@pytest.mark.parametrize("unit", [1e-44, 1e-38, 1e-30, 1e30, 1e38])
def test_tiny_and_huge_columns_have_finite_features(unit):
    values = [0, unit, 2 * unit, 3 * unit]
    assert np.isfinite(of_column(values).apply({"numbers": np.array([values], np.float32).T})).all()


def test_a_gap_where_training_rows_had_none_takes_the_median_and_no_more():
    encoding = of_column([1, 2, 9])
    gap, median = encoding.apply({"numbers": np.array([[np.nan], [2]], np.float32)}).tolist()
    assert gap == median


def test_of_equally_frequent_values_the_first_are_kept():
    values = [f"v{number:03}" for number in range(105)]
    text = np.array([values * 3 + ["v104"]], object).T
    (column,) = fit_encoding(np.empty((len(text), 0), np.float32), text, (), ("v",)).categories
    assert column.values == (*(f"v{number:03}" for number in range(99)), "v104")


def test_a_column_of_rare_values_alone_is_all_unknown():
    text = np.array([["a"], ["b"], ["c"]], object)
    encoding = fit_encoding(np.empty((3, 0), np.float32), text, (), ("v",))
    assert encoding.apply({"categories": text}).tolist() == [[1], [1], [1]]
