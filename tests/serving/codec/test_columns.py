import numpy as np
import pytest
import tiny_table
from hypothesis import given
from hypothesis import strategies as st

from modelpackage import Signature, Tensor
from serving.codec.binary import raw
from serving.codec.columns import NUMBERS, Columns, described
from serving.errors import InvalidInputError
from serving.settings import Limits

BOUNDS = Limits(max_rows=8)
TABLE = Columns(tiny_table.SIGNATURE)
OUTPUTS = tiny_table.SIGNATURE.outputs


def column(data, shape=None, datatype="FP32"):
    return {"datatype": datatype, "shape": [len(data)] if shape is None else shape, "data": data}


def row(**changes):
    return {"age": column([30]), "visits": column([1]), "town": column(["Zürich"], datatype="BYTES")} | changes


def single(datatype, **more):
    return Columns(
        Signature(inputs=(Tensor(name="x", datatype=datatype, shape=(1,), fields=("a",), **more),), outputs=OUTPUTS)
    )


def test_columns_become_the_tensors_of_the_model():
    found = TABLE.decode(row(), BOUNDS)
    np.testing.assert_array_equal(found["numbers"], np.float32([[30, 1]]))
    assert found["categories"].tolist() == [["Zürich"]]


@pytest.mark.parametrize(
    "age",
    [
        column([30, 31], [2, 1]),
        column([[30], [31]], [2, 1]),
        column(np.float32([30, 31]).tobytes(), [2]),
        column(np.float32([30, 31]).tobytes(), [2, 1]),
    ],
)
def test_a_column_has_one_dimension_or_two_in_every_form(age):
    rest = {"visits": column([1, 2]), "town": column(["a", "b"], datatype="BYTES")}
    np.testing.assert_array_equal(TABLE.decode(rest | {"age": age}, BOUNDS)["numbers"], [[30, 1], [31, 2]])


@given(
    st.sampled_from(sorted(NUMBERS)),
    st.sampled_from(sorted(NUMBERS)),
    st.lists(st.integers(0, 100), min_size=1, max_size=8),
)
def test_a_number_may_come_in_any_numeric_datatype(theirs, ours, values):
    array = np.array(values, Tensor(name="x", datatype=theirs, shape=()).dtype)
    for data in (array.tolist(), raw(theirs, array)):
        found = single(ours).decode({"a": column(data, [len(values)], theirs)}, BOUNDS)["x"]
        assert found.dtype == Tensor(name="x", datatype=ours, shape=()).dtype
        assert found[:, 0].tolist() == values


@pytest.mark.parametrize(
    ("ours", "theirs", "value"),
    [
        ("INT8", "INT64", 300),
        ("UINT8", "INT64", -1),
        ("UINT64", "INT8", -1),
        ("INT32", "FP32", 1.7),
        ("INT64", "FP64", 1e30),
        ("UINT8", "FP64", -1.0),
    ],
)
def test_a_number_that_the_model_cannot_hold_is_not_bent_to_fit(ours, theirs, value):
    with pytest.raises(InvalidInputError, match=f"column 'a' holds a number that {ours} can't hold"):
        single(ours).decode({"a": column([value], datatype=theirs)}, BOUNDS)


@pytest.mark.parametrize(("ours", "theirs", "value"), [("FP32", "FP64", 1e39), ("FP16", "INT32", 70000)])
def test_a_number_that_becomes_infinite_is_refused(ours, theirs, value):
    with pytest.raises(InvalidInputError, match="NaN or infinite"):
        single(ours).decode({"a": column([value], datatype=theirs)}, BOUNDS)


def test_the_bounds_of_the_model_hold_in_every_datatype():
    for datatype in ("FP32", "FP64", "UINT8"):
        with pytest.raises(InvalidInputError, match="the largest value is 16"):
            single("FP32", maximum=16.0).decode({"a": column([17], datatype=datatype)}, BOUNDS)


@pytest.mark.parametrize("datatype", ["FP32", "FP64"])
def test_a_gap_is_null_or_nan_where_the_model_allows_it(datatype):
    gap = np.array([np.nan], Tensor(name="x", datatype=datatype, shape=()).dtype)
    for data in ([None], gap.tobytes()):
        found = TABLE.decode(row(age=column(data, [1], datatype)), BOUNDS)["numbers"]
        np.testing.assert_array_equal(found, np.float32([[np.nan, 1]]))
        with pytest.raises(InvalidInputError, match="holds null|NaN or infinite"):
            single("FP32").decode({"a": column(data, [1], datatype)}, BOUNDS)


def test_true_and_false_are_a_column_of_their_own():
    flags = single("BOOL")
    assert flags.decode({"a": column([True, False], datatype="BOOL")}, BOUNDS)["x"].tolist() == [[True], [False]]
    with pytest.raises(InvalidInputError, match="column 'a' has datatype 'INT8', it takes BOOL"):
        flags.decode({"a": column([1], datatype="INT8")}, BOUNDS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"age": column([1], datatype="BYTES")}, "column 'age' has datatype 'BYTES', it takes a numeric datatype"),
        ({"age": column([1], datatype="BOOL")}, "it takes a numeric datatype"),
        ({"age": column([1], datatype="FP8")}, "it takes a numeric datatype"),
        ({"age": column([1], datatype=["FP32"])}, "column 'age' has datatype a list"),
        ({"age": column([1], datatype={})}, "column 'age' has datatype an object"),
        ({"age": {"shape": [1], "data": [1]}}, "column 'age' has datatype null"),
        ({"town": column([1])}, "column 'town' has datatype 'FP32', it takes BYTES"),
        ({"age": column([1], [1, 2])}, "input 'age' has shape of 2 dimensions"),
        ({"age": column([1], [1, True])}, "needs a 'shape' of whole numbers"),
        ({"age": column([1], [1, 1.0])}, "needs a 'shape' of whole numbers"),
        ({"age": column([1], [0])}, "at least one row"),
        ({"age": column([1] * 9)}, "has 9 rows, the most is 8"),
        ({"age": column([1], [2])}, "does not fill its shape"),
        ({"age": column([1, 2])}, "the columns differ in their number of rows"),
        ({"age": column(["1"])}, "input 'age' holds a string"),
        ({"age": column(b"123", [1])}, "has 3 raw bytes"),
    ],
)  # fmt: skip
def test_a_column_that_does_not_fit_is_refused_with_the_reason(changes, message):
    with pytest.raises(InvalidInputError, match=message):
        TABLE.decode(row(**changes), BOUNDS)


def test_missing_columns_are_named_and_not_all_of_many():
    with pytest.raises(InvalidInputError, match=r"columns are missing: 'town', 'visits'; give one input for each"):
        TABLE.decode({"age": column([1])}, BOUNDS)
    fields = tuple(f"f{place:02}" for place in range(40))
    wide = Signature(inputs=(Tensor(name="x", datatype="FP32", shape=(40,), fields=fields),), outputs=OUTPUTS)
    with pytest.raises(InvalidInputError, match="'f05' and 34 more") as caught:
        Columns(wide).decode({"f00": column([1])}, BOUNDS)
    assert len(str(caught.value)) < 200


def test_values_are_counted_over_all_columns():
    with pytest.raises(InvalidInputError, match="has 4 values, the most is 3"):
        TABLE.decode(row(age=column([1, 2]), visits=column([1, 2])), Limits(max_elements=3))


def test_a_model_without_named_columns_has_none():
    bare = Tensor(name="x", datatype="FP32", shape=(2,))
    assert Columns(Signature(inputs=(bare,), outputs=OUTPUTS)).names == frozenset()
    same = bare.model_copy(update={"name": "y", "fields": ("a", "b")})
    twice = Signature(inputs=(same.model_copy(update={"name": "z"}), same), outputs=OUTPUTS)
    assert Columns(twice).names == frozenset()


def test_a_few_names_describe_many():
    assert described(["a", "b"]) == "a, b"
    assert described(list("abcdefg")) == "a, b, c, d, e and 2 more"
