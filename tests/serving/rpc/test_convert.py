import asking
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelpackage import Tensor
from modelpackage.signature import NUMPY_TYPES
from serving.codec import tensors
from serving.codec.answer import Answer, Output, Writer
from serving.errors import InvalidInputError
from serving.rpc.convert import CONTENTS, read, write
from serving.rpc.messages import pb
from serving.settings import Limits

IMAGE = {"name": "image", "datatype": "FP32", "shape": [1, 2, 2], "data": [1.0, 2.0, 3.0, 4.0]}
GOOD = {"id": "7", "inputs": [IMAGE]}


@pytest.fixture(scope="module")
def writer(sealed):
    return Writer(sealed.descriptor, "tiny")


def answer(*outputs, abstained=None):
    return Answer("7", list(outputs), frozenset(), abstained)


@pytest.mark.parametrize("raw", [False, True])
def test_a_message_becomes_the_object_that_rest_parses(raw):
    fields = GOOD | {"outputs": [{"name": "label"}], "parameters": {"min_confidence": "0.5"}}
    found = read(asking.message(fields, model="tiny", raw_contents=raw))
    assert found == fields | {"inputs": [IMAGE | {"data": asking.content(IMAGE) if raw else IMAGE["data"]}]}


@given(st.sampled_from(sorted(CONTENTS)), st.lists(st.integers(0, 1), min_size=1, max_size=5))
def test_values_of_every_datatype_arrive_typed_and_raw(datatype, values):
    tensor = Tensor(name="x", datatype=datatype, shape=())
    data = [str(value) for value in values] if datatype == "BYTES" else values
    expected = np.array(data, NUMPY_TYPES[datatype])
    for raw in (False, True):
        item = {"name": "x", "datatype": datatype, "shape": [len(values)], "data": data}
        (found,) = read(asking.message({"inputs": [item]}, model="tiny", raw_contents=raw))["inputs"]
        np.testing.assert_array_equal(tensors.decode(tensor, found, Limits()), expected)


@pytest.mark.parametrize("datatype", ["UINT8", "UINT16", "INT8", "INT16"])
def test_a_number_beyond_its_datatype_is_refused(datatype):
    tensor = Tensor(name="x", datatype=datatype, shape=())
    item = {"name": "x", "datatype": datatype, "shape": [1], "data": [np.iinfo(tensor.dtype).max + 1]}
    (found,) = read(asking.message({"inputs": [item]}, model="tiny"))["inputs"]
    with pytest.raises(InvalidInputError, match=f"a number that {datatype} can't hold"):
        tensors.decode(tensor, found, Limits())


def test_the_parameters_that_mean_nothing_here_are_left_out():
    message = asking.message(GOOD, model="tiny")
    message.parameters["other"].bool_param = True
    message.parameters["min_confidence"].int64_param = 1
    assert read(message)["parameters"] == {"min_confidence": 1}
    message.parameters["min_confidence"].Clear()
    assert read(message)["parameters"] == {"min_confidence": None}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda message: message.raw_input_contents.append(b""), "an input has contents beside raw contents"),
        (lambda message: message.raw_input_contents.extend([b""] * 2), "1 inputs come with 2 raw contents"),
        (lambda message: message.inputs[0].contents.bool_contents.append(True), "contents of several types"),
    ],
)
def test_contents_that_contradict_each_other_are_refused(change, told):
    message = asking.message(GOOD, model="tiny")
    change(message)
    with pytest.raises(InvalidInputError, match=told):
        read(message)


def test_an_answer_names_its_model_and_package(writer, sealed):
    message = write(answer(abstained=2), writer, raw_contents=False)
    assert (message.model_name, message.model_version, message.id) == ("tiny", sealed.digest[:12], "7")
    assert message.parameters["package"].string_param == f"sha256:{sealed.digest}"
    assert message.parameters["abstained"].int64_param == 2
    assert "abstained" not in write(answer(), writer, raw_contents=False).parameters


@pytest.mark.parametrize("datatype", sorted(CONTENTS))
def test_outputs_are_written_typed_or_raw(writer, datatype):
    data = ["é", ""] if datatype == "BYTES" else [1, 0]
    output = Output("y", datatype, np.array(data, NUMPY_TYPES[datatype]))
    message = write(answer(output), writer, raw_contents=False)
    typed = list(getattr(message.outputs[0].contents, CONTENTS[datatype]))
    assert typed == (["é".encode(), b""] if datatype == "BYTES" else data)
    assert not message.raw_output_contents
    message = write(answer(output), writer, raw_contents=True)
    assert list(message.raw_output_contents) == [asking.content({"datatype": datatype, "data": data})]
    assert not message.outputs[0].HasField("contents")
    assert list(message.outputs[0].shape) == [2]


def test_a_datatype_without_typed_contents_makes_the_whole_answer_raw(writer):
    half = Output("y", "FP16", np.array([1, 2], np.float16))
    text = Output("z", "BYTES", np.array(["a"], object))
    message = write(answer(half, text), writer, raw_contents=False)
    assert list(message.raw_output_contents) == [np.array([1, 2], "<f2").tobytes(), b"\1\0\0\0a"]


def test_every_datatype_but_fp16_has_its_contents():
    assert CONTENTS.keys() == NUMPY_TYPES.keys() - {"FP16"}
    known = pb.InferTensorContents.DESCRIPTOR.fields_by_name
    assert set(CONTENTS.values()) == set(known)
