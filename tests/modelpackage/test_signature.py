"""A signature takes the arrays that it describes and tells what is wrong with others."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pydantic import ValidationError

from modelpackage import Signature, SignatureError, Tensor
from modelpackage.signature import NUMPY_TYPES

FLOATS = ("FP16", "FP32", "FP64")
SIZES = {
    "BOOL": 1, "UINT8": 1, "UINT16": 2, "UINT32": 4, "UINT64": 8, "INT8": 1, "INT16": 2, "INT32": 4, "INT64": 8,
    "FP16": 2, "FP32": 4, "FP64": 8,
}  # fmt: skip


def tensor(datatype: str = "FP32", **changes: object) -> Tensor:
    return Tensor(**{"name": "x", "datatype": datatype, "shape": (2, 3)} | changes)


def batch(datatype: str = "FP32", shape: tuple[int, ...] = (4, 2, 3)) -> np.ndarray:
    return np.ones(shape, dtype=NUMPY_TYPES[datatype])


@pytest.mark.parametrize("datatype", SIZES)
def test_every_datatype_takes_its_own_arrays_and_no_other(datatype: str):
    assert tensor(datatype).dtype.itemsize == SIZES[datatype]
    tensor(datatype).check(batch(datatype))
    for other in SIZES.keys() - {datatype}:
        with pytest.raises(SignatureError, match=f"'x' has datatype .* the model takes {datatype}"):
            tensor(datatype).check(batch(other))


@pytest.mark.parametrize("datatype", SIZES)
@pytest.mark.parametrize("shape", [(), (2, 3), (0, 2, 3), (4, 3, 2), (4, 2), (4, 2, 3, 1), (4, 6), (1, 2, 4)], ids=str)
def test_every_datatype_refuses_other_shapes(datatype: str, shape: tuple[int, ...]):
    with pytest.raises(SignatureError, match=r"shape \[.*\], the model takes \[-1, 2, 3\] with at least one row"):
        tensor(datatype).check(batch(datatype, shape))


@pytest.mark.parametrize("datatype", FLOATS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_floats_that_are_no_numbers_are_refused(datatype: str, value: float):
    array = batch(datatype)
    array[3, 1, 2] = value
    with pytest.raises(SignatureError, match="'x' holds NaN or infinite values"):
        tensor(datatype).check(array)


@pytest.mark.parametrize("datatype", sorted(SIZES.keys() - {"BOOL"}))
def test_every_datatype_refuses_values_out_of_range_and_takes_its_limits(datatype: str):
    limited = tensor(datatype, minimum=1.0, maximum=3.0)
    for value in (1, 2, 3):
        limited.check(batch(datatype) * NUMPY_TYPES[datatype](value))
    low, high = batch(datatype), batch(datatype)
    low[0, 0, 0], high[-1, -1, -1] = 0, 4
    with pytest.raises(SignatureError, match=r"holds 0.*, the smallest value is 1\.0"):
        limited.check(low)
    with pytest.raises(SignatureError, match=r"holds 4.*, the largest value is 3\.0"):
        limited.check(high)


@pytest.mark.parametrize("datatype", SIZES)
def test_limits_beyond_a_datatype_are_none(datatype: str):
    tensor(datatype, minimum=-1e300, maximum=1e300).check(batch(datatype))


@pytest.mark.parametrize("datatype", FLOATS)
def test_a_limit_is_read_in_the_precision_of_its_datatype(datatype: str):
    limits = tensor(datatype, minimum=0.7, maximum=0.7)
    limits.check(np.full((1, 2, 3), 0.7, dtype=NUMPY_TYPES[datatype]))


@pytest.mark.parametrize("dtype", [">f4", "S4", "U4", "O", "complex64", "datetime64[s]"])
def test_arrays_that_the_protocol_does_not_know_are_refused(dtype: str):
    with pytest.raises(SignatureError, match="has datatype"):
        tensor().check(np.zeros((4, 2, 3), dtype=dtype))


def test_rows_that_are_scalars_are_batches_of_one_dimension():
    scalar = tensor(shape=())
    assert scalar.batch_shape == [-1]
    scalar.check(batch(shape=(4,)))
    with pytest.raises(SignatureError, match=r"the model takes \[-1\]"):
        scalar.check(batch(shape=(4, 1)))


ANY = arrays.arrays(
    dtype=arrays.scalar_dtypes(), shape=arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3)
)


@given(array=ANY, datatype=st.sampled_from(list(SIZES)))
def test_any_array_fits_or_is_refused_with_a_signature_error(array: np.ndarray, datatype: str):
    fits = (
        array.dtype == NUMPY_TYPES[datatype]
        and array.shape[1:] == (2, 3)
        and len(array) > 0
        and (datatype not in FLOATS or bool(np.isfinite(array).all()))
    )
    try:
        tensor(datatype).check(array)
        accepted = True
    except SignatureError:
        accepted = False
    assert accepted == fits


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""},
        {"name": "1x"},
        {"name": "a/b"},
        {"name": "a" * 65},
        {"name": "a\n"},
        {"datatype": "TEXT"},
        {"datatype": "fp32"},
        {"shape": (-1, 2)},
        {"shape": (0,)},
        {"shape": (2**31,)},
        {"shape": (1,) * 8},
        {"shape": [2, 3]},
        {"fields": ("a", "b")},
        {"shape": (2,), "fields": ("a",)},
        {"shape": (2,), "fields": ("a", "a")},
        {"minimum": float("nan")},
        {"maximum": float("inf")},
        {"minimum": 2.0, "maximum": 1.0},
        {"minimum": "0"},
        {"unknown": 1},
    ],
    ids=str,
)
def test_a_tensor_with_a_fault_is_refused(change: dict[str, object]):
    with pytest.raises(ValidationError):
        tensor(**change)


def test_fields_name_the_columns_of_a_table():
    assert tensor(shape=(2,), fields=("a", "b")).fields == ("a", "b")


def test_tensors_of_one_side_have_different_names():
    x = tensor()
    Signature(inputs=(x,), outputs=(x,))
    with pytest.raises(ValidationError, match="one name"):
        Signature(inputs=(x, x), outputs=(x,))
    with pytest.raises(ValidationError, match="one name"):
        Signature(inputs=(x,), outputs=(x, x))


def test_a_signature_has_inputs_and_outputs_and_can_not_be_changed():
    x = tensor()
    for inputs, outputs in (((), (x,)), ((x,), ())):
        with pytest.raises(ValidationError):
            Signature(inputs=inputs, outputs=outputs)
    with pytest.raises(ValidationError):
        x.name = "y"


TEXT = Tensor(name="town", datatype="BYTES", shape=(2,))
GAPS = Tensor(name="x", datatype="FP32", shape=(2,), missing=True, minimum=0.0)


@pytest.mark.parametrize("value", ["a" * 1025, "a\0b", "", 3, b"bytes", None, "\ud800"])
def test_text_is_text_of_limited_length_and_not_empty_unless_it_may_be_missing(value):
    TEXT.check(np.array([["Zürich", "a" * 1024]], dtype=object))
    with pytest.raises(SignatureError, match="input 'town' holds"):
        TEXT.check(np.array([["a", value]], dtype=object))
    TEXT.model_copy(update={"missing": True}).check(np.array([["a", ""]], dtype=object))


def test_nan_is_a_missing_value_only_where_the_tensor_says_so():
    row = np.array([[1, np.nan]], np.float32)
    GAPS.check(row)
    GAPS.check(np.full((1, 2), np.nan, np.float32))
    with pytest.raises(SignatureError, match="NaN or infinite"):
        GAPS.model_copy(update={"missing": None}).check(row)
    with pytest.raises(SignatureError, match="NaN or infinite"):
        GAPS.check(np.array([[np.nan, np.inf]], np.float32))
    with pytest.raises(SignatureError, match="the smallest value is 0.0"):
        GAPS.check(np.array([[np.nan, -1]], np.float32))


@pytest.mark.parametrize(
    "fault", [{"datatype": "INT8", "missing": True}, {"datatype": "BYTES", "minimum": 0.0}, {"missing": False}]
)
def test_a_tensor_that_contradicts_itself_is_refused(fault):
    with pytest.raises(ValidationError):
        Tensor(**{"name": "x", "datatype": "FP32", "shape": (2,)} | fault)


def test_a_graph_answers_with_numbers():
    with pytest.raises(ValidationError, match="a graph answers with numbers"):
        Signature(inputs=(TEXT,), outputs=(TEXT,))
