import json
import re

import httpx
import pytest

from serving.errors import STATUS, DisconnectedError, HeadersTooLargeError, UnsupportedError
from serving.rest.openapi import document

DOCUMENT = document()
OPERATIONS = [
    pytest.param(path, method, operation, id=f"{method} {path}")
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]
#: The example of a request for the tiny model.
ROWS = DOCUMENT["components"]["requestBodies"]["Inference"]["content"]["application/json"]["examples"]["rows"]["value"]
TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
}


def resolve(node):
    """The node that a reference means, or the node itself."""
    while "$ref" in node:
        start, *keys = node["$ref"].split("/")
        assert start == "#"
        node = DOCUMENT
        for key in keys:
            node = node[key]
    return node


def walk(node):
    """Every object of the document."""
    if isinstance(node, dict):
        yield node
        for child in node.values():
            yield from walk(child)
    elif isinstance(node, list):
        for child in node:
            yield from walk(child)


def faults(schema, value, place="$"):
    """What of a value breaks a schema, by the keywords that the document uses."""
    schema = resolve(schema)
    if "type" in schema and (
        not isinstance(value, TYPES[schema["type"]]) or (schema["type"] != "boolean" and isinstance(value, bool))
    ):
        return [f"{place} is no {schema['type']}"]
    found = []
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{place} is none of {schema['enum']}")
    if "pattern" in schema and not re.search(schema["pattern"], value):
        found.append(f"{place} does not match {schema['pattern']}")
    if out_of_range(schema, value):
        found.append(f"{place} is out of range")
    if isinstance(value, dict):
        found += [f"{place}.{key} is missing" for key in schema.get("required", []) if key not in value]
        found += members(schema, value, place)
    if isinstance(value, list):
        if len(value) < schema.get("minItems", 0):
            found.append(f"{place} has too few items")
        for index, child in enumerate(value):
            found += faults(schema.get("items", {}), child, f"{place}[{index}]")
    return found


def members(schema, value, place):
    known, others = schema.get("properties", {}), schema.get("additionalProperties", {})
    found = []
    for key, child in value.items():
        if key not in known and others is False:
            found.append(f"{place}.{key} is unknown")
        else:
            found += faults(known.get(key, others or {}), child, f"{place}.{key}")
    return found


def out_of_range(schema, value):
    low, high = schema.get("minimum"), schema.get("maximum")
    return (low is not None and value < low) or (high is not None and value > high)


def contents():
    """Every media type with its examples: (schema, example) pairs."""
    for node in walk(DOCUMENT):
        if "schema" in node and "example" in node and "in" not in node:
            yield node["schema"], node["example"]
        elif "schema" in node:
            for example in node.get("examples", {}).values():
                yield node["schema"], example["value"]


def test_it_says_openapi_3_1_and_uses_only_what_3_0_shares():
    assert DOCUMENT["openapi"] == "3.1.0"
    keywords = {key for node in walk(DOCUMENT["components"]["schemas"]) for key in node}
    assert not keywords & {"const", "$defs", "prefixItems", "if", "examples", "nullable", "contentEncoding"}
    assert all(isinstance(node.get("type", ""), str | dict) for node in walk(DOCUMENT["components"]["schemas"]))


def test_every_reference_leads_somewhere_and_everything_is_referred_to():
    used = {node["$ref"] for node in walk(DOCUMENT) if "$ref" in node}
    assert used == {f"#/components/{kind}/{name}" for kind, named in DOCUMENT["components"].items() for name in named}
    assert all(resolve({"$ref": reference}) for reference in used)


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_an_operation_names_its_parameters_its_answer_and_its_errors(path, method, operation):
    assert operation["summary"]
    assert any(operation["tags"][0] == tag["name"] for tag in DOCUMENT["tags"])
    parameters = [resolve(parameter) for parameter in operation.get("parameters", [])]
    assert {p["name"] for p in parameters if p["in"] == "path"} == set(re.findall(r"{(\w+)}", path))
    assert "200" in operation["responses"]
    assert "405" in operation["responses"]
    assert ("requestBody" in operation) == (method == "post")
    if method == "post":
        documented = {int(code) for code in operation["responses"]} - {200}
        assert documented == {400, 404, 405, 408, 413, 415, 500, 503, 504}


def test_operations_have_names_of_their_own():
    names = [operation.values[2]["operationId"] for operation in OPERATIONS]
    assert len(set(names)) == len(names)


def test_every_error_has_one_form():
    for name, response in DOCUMENT["components"]["responses"].items():
        if name.startswith("Error"):
            assert response["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Error"}


def test_the_documented_errors_are_those_that_exist():
    # These come before any route, or have no answer at all.
    elsewhere = {DisconnectedError, HeadersTooLargeError, UnsupportedError}
    ours = {f"Error{int(status.http)}" for error, status in STATUS.items() if error not in elsewhere}
    assert ours == set(DOCUMENT["components"]["responses"]) - {"Inference"}


def test_every_example_fits_its_schema():
    checked = list(contents())
    assert len(checked) > 20
    assert [fault for schema, example in checked for fault in faults(schema, example)] == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"model_name": 1}, "$.model_name is no string"),
        ({"parameters": {"package": "sha256:12"}}, "$.parameters.package does not match ^sha256:[0-9a-f]{64}$"),
        ({"outputs": []}, "$.outputs has too few items"),
    ],
)
def test_a_wrong_answer_does_not_fit_the_schema(change, fault):
    content = DOCUMENT["components"]["responses"]["Inference"]["content"]["application/json"]
    assert faults(content["schema"], content["examples"]["label"]["value"] | change) == [fault]


@pytest.fixture
def described(server):
    """The document that a running server gives out."""
    return httpx.get(f"{server.http}/openapi.json").json()


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_a_server_answers_every_operation_as_described(path, method, operation, server, described):
    parameters = described["components"]["parameters"]
    url = path.format(
        model_name=parameters["ModelName"]["example"], model_version=parameters["ModelVersion"]["example"]
    )
    body = None
    if method == "post":
        content = resolve(operation["requestBody"])["content"]["application/json"]
        body = content["example"] if "example" in content else content["examples"]["rows"]["value"]
        # Feedback is about an answer that was given.
        httpx.post(f"{server.http}/v2/models/tiny/infer", json=ROWS).raise_for_status()
    answer = httpx.request(method, server.http + url, json=body)
    assert answer.status_code == 200, answer.text
    contents = resolve(operation["responses"]["200"])["content"]
    kind = answer.headers["content-type"].split(";")[0]
    assert kind in contents
    if kind == "application/json":
        assert faults(contents[kind]["schema"], answer.json()) == []


def test_a_server_describes_its_own_model(sealed, described):
    assert described["components"]["parameters"]["ModelName"]["example"] == "tiny"
    assert described["components"]["parameters"]["ModelVersion"]["example"] == sealed.digest[:12]


def test_the_served_model_is_put_in():
    example = {"inputs": [{"name": "row", "datatype": "FP32", "shape": [1, 1], "data": [3]}]}
    served = document(name="iris", version="0123456789ab", example=example)
    assert served["components"]["parameters"]["ModelName"]["example"] == "iris"
    assert served["components"]["parameters"]["ModelVersion"]["example"] == "0123456789ab"
    content = served["components"]["requestBodies"]["Inference"]["content"]["application/json"]
    assert [entry["value"] for entry in content["examples"].values()] == [example]
    assert document() == DOCUMENT


def test_it_is_json_without_surprises():
    assert json.loads(json.dumps(DOCUMENT, allow_nan=False)) == DOCUMENT
