import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn

from modelpackage import Tensor
from modelpackage.signature import NUMPY_TYPES
from serving.errors import InvalidInputError
from serving.tensors import decode

PAIR = Tensor(name="x", datatype="FP32", shape=(2,), minimum=0.0, maximum=16.0)


def item(data, shape=None, datatype="FP32"):
    return {"name": "x", "datatype": datatype, "shape": [1, 2] if shape is None else shape, "data": data}


@st.composite
def batches(draw):
    """A tensor of a signature and a batch of its rows, every datatype and up to three dimensions."""
    datatype = draw(st.sampled_from(sorted(NUMPY_TYPES)))
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
        found = decode(tensor, item(data, list(array.shape), tensor.datatype), max_rows=4)
        assert found.dtype == tensor.dtype
        np.testing.assert_array_equal(found, array)


@given(batches(), st.data())
def test_a_value_more_or_less_is_refused(batch, data):
    tensor, array = batch
    values = array.ravel().tolist()
    wrong = data.draw(st.sampled_from([values[:-1], [*values, values[0]]]))
    with pytest.raises(InvalidInputError, match="does not fill its shape"):
        decode(tensor, item(wrong, list(array.shape), tensor.datatype), max_rows=4)


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
        decode(PAIR, given_item, max_rows=8)
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
        decode(tensor, item(data, datatype=datatype), max_rows=8)
