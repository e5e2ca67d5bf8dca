import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelpackage import Tensor
from serving.codec import tensors
from serving.codec.binary import raw, raw_texts, split
from serving.errors import InvalidInputError
from serving.settings import Limits

BOUNDS = Limits()
DATATYPES = ("BOOL", "UINT8", "INT16", "UINT32", "INT64", "FP16", "FP32", "FP64")


def parts(*contents, **fields):
    """The JSON and the whole body of a request with an input for each piece of raw bytes."""
    inputs = [
        {"name": f"x{place}", "datatype": "UINT8", "shape": [len(content)],
         "parameters": {"binary_data_size": len(content)}}
        for place, content in enumerate(contents)
    ]  # fmt: skip
    head = json.dumps({"inputs": inputs} | fields).encode()
    return head, head + b"".join(contents)


@given(st.lists(st.binary(max_size=9), min_size=1, max_size=4))
def test_every_tensor_gets_its_own_bytes(contents):
    head, body = parts(*contents)
    found = split(body, str(len(head)), BOUNDS)
    assert [bytes(item["data"]) for item in found["inputs"]] == contents


def test_an_input_with_values_in_the_json_may_stand_beside_raw_ones():
    listed = {"name": "y", "datatype": "UINT8", "shape": [1], "data": [7]}
    binary = {"name": "x", "datatype": "UINT8", "shape": [2], "parameters": {"binary_data_size": 2}}
    head = json.dumps({"inputs": [listed, binary, listed]}).encode()
    found = split(head + b"ab", str(len(head)), BOUNDS)["inputs"]
    assert [item["data"] for item in found] == [[7], b"ab", [7]]


@given(st.lists(st.binary(min_size=1, max_size=9), min_size=1, max_size=4), st.data())
def test_every_single_length_that_is_off_by_one_is_refused(contents, data):
    head, body = parts(*contents)
    place = data.draw(st.integers(-2, len(contents) - 1))
    off = data.draw(st.sampled_from([-1, 1]))
    length = len(head)
    if place == -2:
        length += off
    elif place == -1:
        body = body + b"x" if off > 0 else body[:-1]
    else:
        fields = json.loads(head)
        fields["inputs"][place]["parameters"]["binary_data_size"] += off
        changed = json.dumps(fields).encode()
        body, length = changed + body[len(head) :], len(changed)
    with pytest.raises(InvalidInputError):
        split(body, str(length), BOUNDS)


@pytest.mark.parametrize("length", ["", "abc", "-5", "+5", "12.5", "0x10", " 5", "1_0", "9" * 5000, "²", "٣"])
def test_a_length_that_is_no_number_is_refused(length):
    with pytest.raises(InvalidInputError, match="is no whole number; give the bytes of the JSON"):
        split(b'{"inputs":[]}', length, BOUNDS)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (b"", "the body is not JSON"),
        (b"null", "the body is null"),
        (b"[]", "the body is a list"),
        (b"{}", "'inputs' must be a list of objects"),
        (b'{"inputs": 1}', "'inputs' must be a list of objects"),
    ],
)
def test_json_that_is_no_request_is_refused(head, message):
    with pytest.raises(InvalidInputError, match=message):
        split(head, str(len(head)), BOUNDS)


@pytest.mark.parametrize("size", ["8", -1, 8.0, True, [], {}, ""])
def test_a_size_that_is_no_number_is_refused(size):
    head = json.dumps({"inputs": [{"name": "x", "parameters": {"binary_data_size": size}}]}).encode()
    with pytest.raises(InvalidInputError, match="'binary_data_size' is .*give the tensor's length in bytes"):
        split(head + b"12345678", str(len(head)), BOUNDS)


@pytest.mark.parametrize("size", [9, 10**9, 2**63])
def test_a_size_beyond_the_body_is_refused(size):
    head = json.dumps({"inputs": [{"name": "x", "parameters": {"binary_data_size": size}}]}).encode()
    with pytest.raises(InvalidInputError, match=f"'binary_data_size' is {size}, only 8 bytes are left"):
        split(head + b"12345678", str(len(head)), BOUNDS)


def test_values_beside_raw_bytes_are_refused():
    item = {"name": "x", "data": [1], "parameters": {"binary_data_size": 1}}
    head = json.dumps({"inputs": [item]}).encode()
    with pytest.raises(InvalidInputError, match="has 'data' beside 'binary_data_size'"):
        split(head + b"1", str(len(head)), BOUNDS)


def test_the_json_is_nested_no_deeper_than_a_body_may_be():
    head = b'{"inputs": [[[[[1]]]]]}'
    with pytest.raises(InvalidInputError, match="nested deeper than 4"):
        split(head, str(len(head)), Limits(max_nesting=4))


@given(st.sampled_from(DATATYPES), st.lists(st.integers(0, 1), min_size=1, max_size=6))
def test_raw_bytes_are_read_back_as_the_same_array(datatype, values):
    tensor = Tensor(name="x", datatype=datatype, shape=())
    array = np.array(values, tensor.dtype)
    item = {"name": "x", "datatype": datatype, "shape": [len(values)]}
    found = tensors.decode(tensor, item | {"data": raw(datatype, array)}, BOUNDS)
    listed = tensors.decode(tensor, item | {"data": array.tolist()}, BOUNDS)
    np.testing.assert_array_equal(found, array)
    np.testing.assert_array_equal(listed, array)


def test_raw_numbers_are_little_endian_and_row_major():
    turned = np.arange(6, dtype=">i2").reshape(2, 3).T
    assert raw("INT16", turned) == b"\0\0\3\0\1\0\4\0\2\0\5\0"


def test_raw_text_stands_after_its_length_in_bytes():
    assert raw("BYTES", np.array([["é"], [""]], object)) == b"\2\0\0\0\xc3\xa9\0\0\0\0"
    assert raw_texts([b"\xff"]) == b"\1\0\0\0\xff"
