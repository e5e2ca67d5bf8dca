import json

import asking
import pytest
import tiny_table

from serving import VERSION

IMAGE = {"name": "image", "datatype": "FP32", "shape": [1, 2, 2], "data": [1, 2, 3, 4]}


@pytest.fixture(scope="module")
def line(server):
    with asking.line(server) as kept:
        yield kept


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v2", {"name": "slipway", "version": VERSION, "extensions": ["binary_tensor_data"]}),
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True}),
        ("/v2/models", {"models": ["tiny"]}),
        ("/v2/models/tiny/ready", {"name": "tiny", "ready": True}),
        ("/v1/models", {"models": ["tiny"]}),
        ("/v1/models/tiny", {"name": "tiny", "ready": True}),
    ],
)
def test_health_and_metadata_are_answered_and_their_heads_too(line, path, body):
    reply, head = line.ask("GET", path), line.ask("HEAD", path)
    assert reply.fields == body
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == str(len(reply.body))


def test_a_query_string_changes_nothing(line):
    assert line.ask("GET", "/v2/health/live?verbose=1").fields == {"live": True}


def test_the_metrics_count_requests_by_a_fixed_set_of_labels(line):
    def series():
        text = line.ask("GET", "/metrics").body.decode()
        return {sample.partition(" ")[0] for sample in text.splitlines() if not sample.startswith("#")}

    line.post("/v2/models/tiny/infer", {"inputs": [IMAGE]})
    line.post("/v2/models/tiny/infer", {"id": "\n", "inputs": []})
    line.ask("GET", "/nowhere")
    before = series()
    assert 'slipway_requests_total{code="200",protocol="rest"}' in before
    assert 'request_predict_seconds_count{model_name="tiny"}' in before
    for number in range(50):
        line.post("/v2/models/tiny/infer", {"id": f"id{number}", "inputs": [IMAGE | {"name": f"x{number}"}]})
        line.ask("GET", f"/v2/models/m{number}")
    assert series() == before


def test_the_documentation_shows_a_request_that_works(line):
    assert b"swagger" in line.ask("GET", "/docs").body
    described = line.ask("GET", "/openapi.json").fields
    content = described["components"]["requestBodies"]["Inference"]["content"]["application/json"]
    assert line.post("/v2/models/tiny/infer", content["examples"]["rows"]["value"]).status == 200
    assert not [path for path in described["paths"] if "repository" in path or "load" in path]


def test_an_example_with_a_gap_is_shown_as_null_and_works(launch, place):
    start, stop = launch
    server = start(tiny_table.seal(place, first=1).path)
    with asking.line(server) as line:
        described = line.ask("GET", "/openapi.json").fields
        content = described["components"]["requestBodies"]["Inference"]["content"]["application/json"]
        example = content["examples"]["rows"]["value"]
        assert [item["data"] for item in example["inputs"]] == [[None, 2.0], [""]]
        assert line.post("/v2/models/tiny-table/infer", example).status == 200
    assert stop(server)[0] == 0


def test_ground_truth_is_joined_by_the_id_of_the_answer(line):
    label = line.post("/v2/models/tiny/infer", {"id": "judged", "inputs": [IMAGE]}).fields["outputs"][1]["data"]
    path = "/v2/models/tiny/feedback"
    assert line.post(path, {"id": "judged", "labels": label}).status == 200
    for fields, status in (
        ({"id": "never seen", "labels": label}, 404),
        ({"id": "judged", "labels": ["x"]}, 400),
        ({"id": "judged", "labels": label * 2}, 400),
        ({"id": 5, "labels": label}, 400),
        ({}, 400),
        ([], 400),
    ):
        reply = line.post(path, fields)
        assert (reply.status, len(reply.error) < 300) == (status, True)
    assert line.ask("POST", path, json.dumps({"id": "judged"}).encode(), {"content-type": "text/plain"}).status == 415
