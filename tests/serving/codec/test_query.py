import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelpackage import PackageError, Signature, Tensor
from serving.codec.query import QueryReader, request_id
from serving.errors import InvalidInputError
from serving.settings import Limits

ALL = ("probabilities", "label", "confidence")
LIMITS = Limits(max_rows=8)
IMAGE = {"name": "image", "datatype": "FP32", "shape": [1, 2, 2], "data": [1, 2, 3, 4]}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64) | st.floats() | st.text("aé\0", max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("aé\0", max_size=5), inner, max_size=4),
    max_leaves=10,
)


@pytest.fixture(scope="module")
def reader(sealed):
    return QueryReader(sealed.descriptor, LIMITS)


def two_inputs(descriptor):
    inputs = (Tensor(name="a", datatype="FP32", shape=(2,)), Tensor(name="b", datatype="INT8", shape=()))
    signature = Signature(inputs=inputs, outputs=descriptor.signature.outputs)
    return QueryReader(descriptor.model_copy(update={"signature": signature}), LIMITS)


def test_a_request_becomes_arrays_and_every_output_is_answered(reader):
    request = reader.read({"inputs": [IMAGE]}, "7")
    np.testing.assert_array_equal(request.inputs["image"], np.array([[[1, 2], [3, 4]]], np.float32))
    assert (request.id, request.outputs) == ("7", ALL)


def test_outputs_are_answered_in_the_order_they_were_asked_for(reader):
    fields = {"inputs": [IMAGE], "outputs": [{"name": "label"}, {"name": "probabilities"}]}
    assert reader.read(fields, "7").outputs == ("label", "probabilities")
    assert reader.read(fields | {"outputs": []}, "7").outputs == ALL


def test_a_row_of_a_table_has_its_gaps_and_its_text(table):
    numbers = {"name": "numbers", "datatype": "FP32", "shape": [1, 2], "data": [None, 2]}
    town = {"name": "categories", "datatype": "BYTES", "shape": [1, 1], "data": ["Zürich"]}
    request = QueryReader(table.descriptor, LIMITS).read({"inputs": [town, numbers]}, "7")
    np.testing.assert_array_equal(request.inputs["numbers"], np.float32([[np.nan, 2]]))
    assert request.inputs["categories"].tolist() == [["Zürich"]]


def test_fields_that_are_not_known_are_ignored(reader):
    fields = {"inputs": [IMAGE | {"parameters": {"a": 1}, "extra": 1}], "parameters": {}, "extra": []}
    assert reader.read(fields, "7").outputs


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "'inputs' must be a list of objects"),
        ({"inputs": {}}, "'inputs' must be a list"),
        ({"inputs": [1]}, "'inputs' must be a list of objects, each with a 'name'"),
        ({"inputs": []}, "'inputs' must be a list of objects, each with a 'name'"),
        ({"inputs": [{}]}, "'inputs' must be a list of objects, each with a 'name'"),
        ({"inputs": [IMAGE | {"name": 1}]}, "'inputs' must be a list of objects, each with a 'name'"),
        ({"inputs": [IMAGE | {"name": "picture"}]}, "there is no input 'picture', the model has image"),
        ({"inputs": [IMAGE, IMAGE]}, "input 'image' is given twice"),
        ({"inputs": [IMAGE], "outputs": {}}, "'outputs' must be a list"),
        ({"inputs": [IMAGE], "outputs": 0}, "'outputs' must be a list"),
        (
            {"inputs": [IMAGE], "outputs": [{"name": "x"}]},
            "no output 'x', the model has probabilities, label, confidence",
        ),
        ({"inputs": [IMAGE], "outputs": [{"name": "label"}] * 2}, "output 'label' is given twice"),
        ({"inputs": [IMAGE], "outputs": ["label"]}, "'outputs' must be a list of objects, each with a 'name'"),
        ({"inputs": [IMAGE | {"name": "x" * 999}]}, r"no input 'x{32}\.\.\.'"),
        ({"inputs": [IMAGE], "parameters": []}, "'parameters' is a list; give an object"),
        ({"inputs": [IMAGE], "parameters": {"a": {}}}, "'parameters' holds an object or a list"),
        ({"inputs": [IMAGE | {"parameters": {"a": [1]}}]}, "'parameters' holds an object or a list"),
        ({"inputs": [IMAGE | {"parameters": 1}]}, "'parameters' is a number"),
        ({"inputs": [IMAGE], "outputs": [{"name": "label", "parameters": 1}]}, "'parameters' is a number"),
        ({"inputs": [IMAGE], "parameters": {"binary_data_output": 1}}, "parameter 'binary_data_output' is a number"),
        (
            {"inputs": [IMAGE], "outputs": [{"name": "label", "parameters": {"binary_data": "yes"}}]},
            "parameter 'binary_data' is 'yes'; give true or false",
        ),
    ],
)
def test_what_breaks_the_protocol_is_refused_with_the_reason(reader, fields, message):
    with pytest.raises(InvalidInputError, match=message):
        reader.read(fields, "7")


def test_inputs_must_have_the_same_number_of_rows(sealed):
    reader = two_inputs(sealed.descriptor)
    first = {"name": "a", "datatype": "FP32", "shape": [2, 2], "data": [1, 2, 3, 4]}
    second = {"name": "b", "datatype": "INT8", "shape": [2], "data": [1, 2]}
    assert set(reader.read({"inputs": [second, first]}, "7").inputs) == {"a", "b"}
    with pytest.raises(InvalidInputError, match="differ in their number of rows"):
        reader.read({"inputs": [second | {"shape": [1], "data": [1]}, first]}, "7")
    with pytest.raises(InvalidInputError, match="input 'b' is missing; the model takes a, b"):
        reader.read({"inputs": [first]}, "7")


@given(fields=st.dictionaries(st.sampled_from(["inputs", "outputs", "id"]), JSON))
def test_no_json_object_gets_past_the_one_error(reader, fields):
    with pytest.raises(InvalidInputError):
        reader.read(fields, "7")


@given(changes=st.dictionaries(st.sampled_from(sorted(IMAGE)), JSON, min_size=1))
def test_no_change_of_a_good_tensor_gives_another_error(reader, changes):
    try:
        request = reader.read({"inputs": [IMAGE | changes]}, "7")
    except InvalidInputError as error:
        assert len(str(error)) < 300  # noqa: PT017  # either outcome is right, an error must be short
    else:
        assert request.inputs["image"].shape == (1, 2, 2)


@pytest.mark.parametrize("fields", [{}, {"id": None}, {"id": ""}])
def test_a_request_without_an_id_has_an_empty_one(fields):
    assert request_id(fields, 128) == ""


@pytest.mark.parametrize("given_id", ["a", "é" * 128, "\n"])
def test_an_id_is_taken_as_it_is(given_id):
    assert request_id({"id": given_id}, 128) == given_id


@pytest.mark.parametrize("given_id", [0, False, [], "a" * 129])
def test_an_id_that_is_no_short_string_is_refused(given_id):
    with pytest.raises(InvalidInputError, match="'id' must be a string of at most 128 characters"):
        request_id({"id": given_id}, 128)


@pytest.mark.parametrize(("given_share", "found"), [(None, None), (0, 0), (1, 1), (0.25, 0.25), ("0.25", 0.25)])
def test_a_bound_of_confidence_is_a_number_or_text(reader, given_share, found):
    assert reader.read({"inputs": [IMAGE], "parameters": {"min_confidence": given_share}}, "7").min_confidence == found


@pytest.mark.parametrize("wrong", [-0.01, 1.01, True, "", "nan", "x", "1e999", 2**64 - 1])
def test_a_bound_that_is_no_share_is_refused(reader, wrong):
    with pytest.raises(InvalidInputError, match="parameter 'min_confidence' is .*give a number from 0 to 1"):
        reader.read({"inputs": [IMAGE], "parameters": {"min_confidence": wrong}}, "7")


def test_raw_outputs_are_those_that_were_asked_for(reader):
    def binary(**fields):
        return reader.read({"inputs": [IMAGE]} | fields, "7").binary

    every, no = {"binary_data_output": True}, {"binary_data": False}
    assert binary() == frozenset()
    assert binary(parameters=every) == frozenset(ALL)
    assert binary(outputs=[{"name": "label", "parameters": {"binary_data": True}}]) == {"label"}
    asked = [{"name": "label", "parameters": no}, {"name": "confidence"}]
    assert binary(outputs=asked, parameters=every) == {"confidence"}


def test_rows_may_be_sent_by_the_names_of_their_columns(table):
    columns = [
        {"name": "visits", "datatype": "INT64", "shape": [2], "data": [1, 2]},
        {"name": "town", "datatype": "BYTES", "shape": [2, 1], "data": ["Zürich", "東京"]},
        {"name": "age", "datatype": "FP64", "shape": [2], "data": [30, None]},
    ]
    table_reader = QueryReader(table.descriptor, LIMITS)
    query = table_reader.read({"inputs": columns}, "7")
    np.testing.assert_array_equal(query.inputs["numbers"], np.float32([[30, 1], [np.nan, 2]]))
    assert query.rows == 2
    short = columns[1] | {"shape": [1], "data": ["Zürich"]}
    with pytest.raises(InvalidInputError, match="the columns differ in their number of rows"):
        table_reader.read({"inputs": [columns[0], short, columns[2]]}, "7")
    with pytest.raises(InvalidInputError, match="there is no input 'x', the model has numbers, categories, age, town"):
        table_reader.read({"inputs": [*columns, columns[0] | {"name": "x"}]}, "7")
    assert [table_reader.datatype(name) for name in ("age", "town", "x")] == ["FP32", "BYTES", None]


@pytest.mark.parametrize(
    "picture", [{"crop": 3}, {"a\nb" * 99: 1}, [2, 2], "grey", {"height": 2, "width": 2, "colour": "x"}]
)
def test_a_picture_that_is_another_tools_is_refused_in_one_line(sealed, picture):
    other = sealed.descriptor.model_copy(update={"preprocessing": {"picture": picture}})
    with pytest.raises(PackageError, match="is not as modelpackage.Picture has it") as caught:
        QueryReader(other, LIMITS)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_pictures_that_the_input_does_not_take_are_refused(sealed):
    picture = {"height": 3, "width": 2, "colour": "grey"}
    other = sealed.descriptor.model_copy(update={"preprocessing": {"picture": picture}})
    with pytest.raises(PackageError, match=r"pictures have shape \(3, 2\), which its input does not take"):
        QueryReader(other, LIMITS)


def test_a_model_with_an_output_of_the_derived_name_is_refused(sealed):
    outputs = (*sealed.descriptor.signature.outputs, Tensor(name="label", datatype="INT64", shape=()))
    signature = Signature(inputs=sealed.descriptor.signature.inputs, outputs=outputs)
    with pytest.raises(PackageError, match="output 'label'"):
        QueryReader(sealed.descriptor.model_copy(update={"signature": signature}), LIMITS)
