import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn

from modelpackage import Tensor
from modelpackage.signature import NUMPY_TYPES
from serving.codec import tensors
from serving.errors import InvalidInputError
from serving.settings import Limits

BOUNDS = Limits(max_rows=8)
PAIR = Tensor(name="x", datatype="FP32", shape=(2,), minimum=0.0, maximum=16.0)


def decode(tensor, given_item, bounds=BOUNDS):
    return tensors.decode(tensor, given_item, bounds)


def item(data, shape=None, datatype="FP32"):
    return {"name": "x", "datatype": datatype, "shape": [1, 2] if shape is None else shape, "data": data}


@st.composite
def batches(draw):
    """A tensor of a signature and a batch of its rows, every datatype and up to three dimensions."""
    datatype = draw(st.sampled_from(sorted(NUMPY_TYPES.keys() - {"BYTES"})))
    shape = draw(stn.array_shapes(min_dims=0, max_dims=2, max_side=3)) if draw(st.booleans()) else ()
    tensor = Tensor(name="x", datatype=datatype, shape=shape)
    rows = draw(st.integers(1, 4))
    finite = {} if tensor.dtype.kind != "f" else {"allow_nan": False, "allow_infinity": False}
    values = stn.from_dtype(tensor.dtype, **finite)
    return tensor, draw(stn.arrays(tensor.dtype, (rows, *shape), elements=values))


@given(batches())
def test_flat_nested_and_raw_data_give_the_array_that_was_sent(batch):
    tensor, array = batch
    raw = np.ascontiguousarray(array, tensor.dtype.newbyteorder("<")).tobytes()
    for data in (array.ravel().tolist(), array.tolist(), raw):
        found = decode(tensor, item(data, list(array.shape), tensor.datatype))
        assert found.dtype == tensor.dtype
        np.testing.assert_array_equal(found, array)


@given(batches(), st.data())
def test_a_value_more_or_less_is_refused(batch, data):
    tensor, array = batch
    values = array.ravel().tolist()
    wrong = data.draw(st.sampled_from([values[:-1], [*values, values[0]]]))
    with pytest.raises(InvalidInputError, match="does not fill its shape"):
        decode(tensor, item(wrong, list(array.shape), tensor.datatype))


@pytest.mark.parametrize(
    ("given_item", "message"),
    [
        (item([1, 2], datatype="FP64"), "datatype 'FP64', the model takes FP32"),
        (item([1, 2], datatype=None), "datatype null"),
        (item([1, 2], datatype="x" * 99), r"datatype 'x{32}\.\.\.'"),
        (item([1, 2], shape=None) | {"shape": None}, r"needs a 'shape' of whole numbers, such as \[1, 2\]"),
        (item([1, 2], shape=["1", "2"]), "needs a 'shape'"),
        (item([1, 2], shape=[True, 2]), "needs a 'shape'"),
        (item([1, 2], shape=[1.0, 2]), "needs a 'shape'"),
        (item([1, 2], shape=[]), r"has shape \[\]"),
        (item([1, 2], shape=[2]), r"has shape \[2\], the model takes \[-1, 2\] with at least one row"),
        (item([1, 2], shape=[1, 3]), r"has shape \[1, 3\]"),
        (item([1, 2], shape=[0, 2]), "at least one row"),
        (item([1, 2], shape=[-1, 2]), "at least one row"),
        (item([1, 2], shape=[1] * 1000), "has shape of 1000 dimensions"),
        (item([1, 2], shape=[9, 2]), "has 9 rows, the most is 8; send several requests"),
        (item(None), "has no values"),
        (item("abc"), "has no values"),
        (item(1), "has no values"),
        (item([]), "give 2 values, flat or nested"),
        (item([[1, 2], [3, 4]]), "does not fill its shape"),
        (item([[1], [2]], shape=[2, 2]), "does not fill its shape"),
        (item([[1, 2], 3], shape=[2, 2]), "does not fill its shape"),
        (item([[1, 2], [3]], shape=[2, 2]), "does not fill its shape"),
        (item([1, [2]]), "holds a list, FP32 takes numbers"),
        (item(["1", "2"]), "holds a string"),
        (item([1, None]), "holds null"),
        (item([1, True]), "holds true or false"),
        (item([{}, "a"]), "holds a string and an object"),
        (item([1, 1e39]), "NaN or infinite"),
        (item([1, float("nan")]), "NaN or infinite"),
        (item([1, -1]), "holds -1.0, the smallest value is 0.0"),
        (item([1, 17]), "holds 17.0, the largest value is 16.0"),
        (item(b"1234567"), r"has 7 raw bytes, shape \[1, 2\] of FP32 takes 8"),
        (item(np.array([1, np.nan], "<f4").tobytes()), "NaN or infinite"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(given_item, message):
    with pytest.raises(InvalidInputError, match=message) as caught:
        decode(PAIR, given_item)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("datatype", "data", "message"),
    [
        ("INT8", [300, 1], "holds a number that INT8 can't hold"),
        ("UINT8", [-1, 1], "holds a number that UINT8 can't hold"),
        ("INT32", [1.5, 1], "holds a floating-point number, INT32 takes whole numbers"),
        ("INT64", [True, 1], "holds true or false"),
        ("BOOL", [1, 0], "holds a number, BOOL takes true and false"),
        ("BOOL", b"\1\2", "a raw byte other than 0 and 1"),
        ("FP16", [1e6, 1], "NaN or infinite"),
    ],
)
def test_a_value_must_be_one_of_its_datatype(datatype, data, message):
    tensor = Tensor(name="x", datatype=datatype, shape=(2,))
    with pytest.raises(InvalidInputError, match=message):
        decode(tensor, item(data, datatype=datatype))


TOWN = Tensor(name="x", datatype="BYTES", shape=(2,), missing=True)
GAPS = Tensor(name="x", datatype="FP32", shape=(2,), missing=True)
TEXTS = st.lists(
    st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=30), min_size=2, max_size=2
)


def framed(texts):
    return b"".join(len(text.encode()).to_bytes(4, "little") + text.encode() for text in texts)


@given(TEXTS)
def test_text_arrives_as_it_was_sent_in_lists_and_in_bytes(texts):
    for data in (texts, [texts], framed(texts)):
        found = decode(TOWN, item(data, [1, 2], "BYTES"))
        assert found.tolist() == [texts]


def test_null_is_a_missing_value_where_the_model_allows_it():
    assert np.isnan(decode(GAPS, item([1, None], [1, 2]))[0, 1])
    assert decode(TOWN, item(["a", None], [1, 2], "BYTES")).tolist() == [["a", ""]]
    for tensor in (GAPS, TOWN):
        values = [1, None] if tensor is GAPS else ["a", None]
        with pytest.raises(InvalidInputError, match="holds null, "):
            decode(tensor.model_copy(update={"missing": None}), item(values, [1, 2], tensor.datatype))


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ([1, "a"], "holds a number, BYTES takes text or null"),
        (["a" * 1025, "a"], "a text of 1025 characters, the most is 1024"),
        (framed(["a"]), "which are not 2 elements; give each after its length"),
        (framed(["a", "b", "c"]), "which are not 2 elements"),
        (framed(["a", "b"])[:-1], "which are not 2 elements"),
        (b"\xff\xff\xff\xff" * 2, "which are not 2 elements"),
        (b"\x01\0\0\0\xff" * 2, "holds bytes that are no UTF-8; encode text as UTF-8"),
    ],
)
def test_text_that_does_not_fit_is_refused(data, told):
    with pytest.raises(InvalidInputError, match=told):
        decode(TOWN, item(data, [1, 2], "BYTES"))


def test_nan_arrives_in_bytes_only_where_a_value_may_be_missing():
    data = np.float32([1, np.nan]).tobytes()
    np.testing.assert_array_equal(decode(GAPS, item(data, [1, 2])), np.float32([[1, np.nan]]))
    with pytest.raises(InvalidInputError, match="NaN or infinite"):
        decode(GAPS.model_copy(update={"missing": None}), item(data, [1, 2]))
    with pytest.raises(InvalidInputError, match="NaN or infinite"):
        decode(GAPS, item(np.float32([1, np.inf]).tobytes(), [1, 2]))


def test_empty_text_is_a_missing_value_only_where_the_model_allows_it():
    for data in (["a", ""], framed(["a", ""])):
        assert decode(TOWN, item(data, [1, 2], "BYTES")).tolist() == [["a", ""]]
        with pytest.raises(InvalidInputError, match="an empty text, and no value of it may be missing"):
            decode(TOWN.model_copy(update={"missing": None}), item(data, [1, 2], "BYTES"))


@given(
    st.binary(max_size=24)
    | st.lists(st.binary(max_size=6), max_size=3).map(
        lambda parts: b"".join(len(part).to_bytes(4, "little") + part for part in parts)
    )
)
def test_any_bytes_are_text_in_its_only_form_or_refused(data):
    try:
        found = decode(TOWN, item(data, [1, 2], "BYTES"))
    except InvalidInputError as error:
        assert len(str(error)) < 200  # noqa: PT017  # refusing is one of two right outcomes
    else:
        assert framed(found.ravel().tolist()) == data


LIMITS_OF_INTEGERS = [
    (name, bound)
    for name, kind in NUMPY_TYPES.items()
    if np.dtype(kind).kind in "iu"
    for bound in (np.iinfo(kind).min, np.iinfo(kind).max)
]


@pytest.mark.parametrize(("datatype", "bound"), LIMITS_OF_INTEGERS)
def test_an_integer_fits_up_to_its_last_value_and_not_beyond(datatype, bound):
    tensor = Tensor(name="x", datatype=datatype, shape=())
    assert decode(tensor, item([bound], [1], datatype)).tolist() == [bound]
    beyond = bound + 1 if bound > 0 else bound - 1
    with pytest.raises(InvalidInputError, match=f"a number that {datatype} can't hold"):
        decode(tensor, item([beyond], [1], datatype))


@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64"])
def test_a_float_fits_up_to_its_last_value_and_not_beyond(datatype):
    tensor = Tensor(name="x", datatype=datatype, shape=())
    last = float(np.finfo(tensor.dtype).max)
    for value in (last, -last, -0.0, float(np.finfo(tensor.dtype).smallest_subnormal)):
        assert decode(tensor, item([value], [1], datatype)).tolist() == [value]
    with pytest.raises(InvalidInputError, match="NaN or infinite"):
        decode(tensor, item([last * 2], [1], datatype))


@pytest.mark.parametrize("datatype", sorted(NUMPY_TYPES))
@pytest.mark.parametrize("value", [True, 1, 1.5, "1"], ids=repr)
def test_a_value_of_another_kind_is_never_converted(datatype, value):
    tensor = Tensor(name="x", datatype=datatype, shape=())
    takes = {"b": bool, "f": int | float, "O": str}.get(tensor.dtype.kind, int)
    if isinstance(value, takes) and (takes is bool or not isinstance(value, bool)):
        assert decode(tensor, item([value], [1], datatype)).tolist() == [value]
    else:
        with pytest.raises(InvalidInputError, match=f"{datatype} takes "):
            decode(tensor, item([value], [1], datatype))


@pytest.mark.parametrize(
    "shape",
    [[2**63, 2], [2**62, 2**62], [-1, -1], [1, 2, 1], [1] * 65, [10**12] * 2, [1, True], [[1], 2], {}, "x", 1.5],
)
def test_a_shape_that_lies_is_refused_before_anything_is_made_of_it(shape):
    with pytest.raises(InvalidInputError, match=r"needs a 'shape'|has shape|the most is 8"):
        decode(PAIR, item([1, 2], shape))


def test_values_are_counted_up_to_the_limit_and_not_beyond():
    bounds = Limits(max_elements=4)
    assert decode(PAIR, item([1, 2, 3, 4], [2, 2]), bounds).shape == (2, 2)
    with pytest.raises(InvalidInputError, match="has 6 values, the most is 4; send several requests"):
        decode(PAIR, item([0] * 6, [3, 2]), bounds)


def test_rows_are_counted_up_to_the_limit_and_not_beyond():
    assert len(decode(PAIR, item([0] * 16, [8, 2]))) == 8
    with pytest.raises(InvalidInputError, match="has 9 rows, the most is 8"):
        decode(PAIR, item([0] * 18, [9, 2]))


@given(st.integers(1, 7))
def test_raw_numbers_are_aligned_wherever_they_stand(offset):
    sent = np.float32([1, 2])
    body = memoryview(b" " * offset + sent.tobytes())[offset:]
    found = decode(PAIR, item(body))
    assert found.flags.aligned
    np.testing.assert_array_equal(found, [sent])
