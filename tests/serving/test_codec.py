import json

import numpy as np
import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st

from modelpackage import PackageError, Signature, Tensor
from serving.codec import Codec, Request, parse, render, request_id
from serving.errors import InvalidInputError

IMAGE = {"name": "image", "datatype": "FP32", "shape": [1, 2, 2], "data": [1, 2, 3, 4]}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64) | st.floats() | st.text("aé\0", max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("aé\0", max_size=5), inner, max_size=4),
    max_leaves=10,
)


@pytest.fixture(scope="module")
def codec(sealed):
    return Codec(sealed.descriptor, name="tiny", max_rows=8)


def two_inputs(descriptor):
    inputs = (Tensor(name="a", datatype="FP32", shape=(2,)), Tensor(name="b", datatype="INT8", shape=()))
    signature = Signature(inputs=inputs, outputs=descriptor.signature.outputs)
    return Codec(descriptor.model_copy(update={"signature": signature}), name="two", max_rows=8)


def test_a_request_becomes_arrays_and_every_output_is_answered(codec):
    request = codec.decode({"inputs": [IMAGE]}, "7")
    np.testing.assert_array_equal(request.inputs["image"], np.array([[[1, 2], [3, 4]]], np.float32))
    assert (request.id, request.outputs) == ("7", ("probabilities", "label"))


def test_outputs_are_answered_in_the_order_they_were_asked_for(codec):
    fields = {"inputs": [IMAGE], "outputs": [{"name": "label"}, {"name": "probabilities"}]}
    assert codec.decode(fields, "7").outputs == ("label", "probabilities")
    assert codec.decode(fields | {"outputs": []}, "7").outputs == ("probabilities", "label")


def test_a_row_of_a_table_has_its_gaps_and_its_text(table):
    numbers = {"name": "numbers", "datatype": "FP32", "shape": [1, 2], "data": [None, 2]}
    town = {"name": "categories", "datatype": "BYTES", "shape": [1, 1], "data": ["Zürich"]}
    request = Codec(table.descriptor, name="table", max_rows=8).decode({"inputs": [town, numbers]}, "7")
    np.testing.assert_array_equal(request.inputs["numbers"], np.float32([[np.nan, 2]]))
    assert request.inputs["categories"].tolist() == [["Zürich"]]


def test_fields_that_are_not_known_are_ignored(codec):
    fields = {"inputs": [IMAGE | {"parameters": {"a": 1}, "extra": 1}], "parameters": {}, "extra": []}
    assert codec.decode(fields, "7").outputs


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "'inputs' must be a list of objects"),
        ({"inputs": {}}, "'inputs' must be a list"),
        ({"inputs": [1]}, "'inputs' must be a list of objects, each with a 'name'"),
        ({"inputs": []}, "input 'image' is missing; the model takes image"),
        ({"inputs": [{}]}, "there is no input null, the model has image"),
        ({"inputs": [IMAGE | {"name": 1}]}, "there is no input a number"),
        ({"inputs": [IMAGE | {"name": "picture"}]}, "there is no input 'picture', the model has image"),
        ({"inputs": [IMAGE, IMAGE]}, "input 'image' is given twice"),
        ({"inputs": [IMAGE], "outputs": {}}, "'outputs' must be a list"),
        ({"inputs": [IMAGE], "outputs": 0}, "'outputs' must be a list"),
        ({"inputs": [IMAGE], "outputs": [{"name": "x"}]}, "no output 'x', the model has probabilities, label"),
        ({"inputs": [IMAGE], "outputs": [{"name": "label"}] * 2}, "output 'label' is given twice"),
    ],
)
def test_what_breaks_the_protocol_is_refused_with_the_reason(codec, fields, message):
    with pytest.raises(InvalidInputError, match=message):
        codec.decode(fields, "7")


def test_inputs_must_have_the_same_number_of_rows(sealed):
    codec = two_inputs(sealed.descriptor)
    first = {"name": "a", "datatype": "FP32", "shape": [2, 2], "data": [1, 2, 3, 4]}
    second = {"name": "b", "datatype": "INT8", "shape": [2], "data": [1, 2]}
    assert set(codec.decode({"inputs": [second, first]}, "7").inputs) == {"a", "b"}
    with pytest.raises(InvalidInputError, match="differ in their number of rows"):
        codec.decode({"inputs": [second | {"shape": [1], "data": [1]}, first]}, "7")
    with pytest.raises(InvalidInputError, match="input 'b' is missing; the model takes a, b"):
        codec.decode({"inputs": [first]}, "7")


@given(fields=st.dictionaries(st.sampled_from(["inputs", "outputs", "id"]), JSON))
def test_no_json_object_gets_past_the_one_error(codec, fields):
    with pytest.raises(InvalidInputError):
        codec.decode(fields, "7")


@given(changes=st.dictionaries(st.sampled_from(sorted(IMAGE)), JSON, min_size=1))
def test_no_change_of_a_good_tensor_gives_another_error(codec, changes):
    try:
        request = codec.decode({"inputs": [IMAGE | changes]}, "7")
    except InvalidInputError as error:
        assert len(str(error)) < 300  # noqa: PT017  # either outcome is right, an error must be short
    else:
        assert request.inputs["image"].shape == (1, 2, 2)


@given(body=st.binary(max_size=50) | JSON.map(lambda value: json.dumps(value).encode()))
def test_a_body_is_a_json_object_or_refused(body):
    try:
        assert isinstance(parse(body), dict)
    except InvalidInputError as error:
        assert "the body is" in str(error)  # noqa: PT017  # same


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body is not JSON, see line 1 column 1"),
        (b'{"inputs": [1,', "not JSON"),
        (b'{"a": NaN}', "not JSON, see line 1 column 7"),
        (b'{"a": 1e400}', "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"null", "the body is null; send a JSON object with 'inputs'"),
        (b"[]", "the body is a list"),
        (b"5", "the body is a number"),
    ],
)
def test_a_bad_body_is_refused_with_the_reason(body, message):
    with pytest.raises(InvalidInputError, match=message):
        parse(body)


@pytest.mark.parametrize(("fields", "found"), [({}, "default"), ({"id": None}, "default"), ({"id": ""}, "default")])
def test_a_request_without_an_id_takes_the_default(fields, found):
    assert request_id(fields, "default") == found


@pytest.mark.parametrize("given_id", ["a", "é" * 128, "\n"])
def test_an_id_is_taken_as_it_is(given_id):
    assert request_id({"id": given_id}, "default") == given_id


@pytest.mark.parametrize("given_id", [0, False, [], "a" * 129])
def test_an_id_that_is_no_short_string_is_refused(given_id):
    with pytest.raises(InvalidInputError, match="'id' must be a string of at most 128 characters"):
        request_id({"id": given_id}, "default")


def test_an_answer_names_the_model_the_package_and_the_most_probable_class(codec, sealed):
    scores = tiny.answers(tiny.rows(2))
    request = Request(id="7", inputs={}, outputs=("probabilities", "label"))
    answer = codec.answer(request, {"probabilities": scores})
    assert (answer.id, answer.model_name, answer.rows) == ("7", "tiny", 2)
    assert answer.model_version == sealed.digest[:12]
    assert answer.package == f"sha256:{sealed.digest}"
    assert answer.outputs[1].array.tolist() == [tiny.LABELS[index] for index in scores.argmax(axis=1)]


def test_a_rendered_answer_is_the_v2_object(codec, sealed):
    scores = tiny.answers(tiny.rows(2))
    answer = codec.answer(Request("é", {}, ("label", "probabilities")), {"probabilities": scores})
    fields = json.loads(render(answer))
    label, probabilities = fields.pop("outputs")
    assert fields == {
        "model_name": "tiny",
        "model_version": sealed.digest[:12],
        "id": "é",
        "parameters": {"package": f"sha256:{sealed.digest}"},
    }
    assert (label["name"], label["datatype"], label["shape"], len(label["data"])) == ("label", "BYTES", [2], 2)
    assert (probabilities["datatype"], probabilities["shape"]) == ("FP32", [2, 3])
    np.testing.assert_array_equal(np.float32(probabilities["data"]), scores.ravel())


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_model_that_gives_no_finite_scores_gets_no_label(codec, bad):
    request = Request("7", {}, ("probabilities", "label"))
    with pytest.raises(FloatingPointError, match="probabilities"):
        codec.answer(request, {"probabilities": np.full((1, 3), bad, np.float32)})


def test_a_model_with_an_output_of_the_derived_name_is_refused(sealed):
    outputs = (*sealed.descriptor.signature.outputs, Tensor(name="label", datatype="INT64", shape=()))
    signature = Signature(inputs=sealed.descriptor.signature.inputs, outputs=outputs)
    with pytest.raises(PackageError, match="output 'label'"):
        Codec(sealed.descriptor.model_copy(update={"signature": signature}), name="tiny", max_rows=8)
