import asyncio
import json

import asking
import pytest
import tiny
import tiny_table
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import GaugeMetricFamily

from serving import VERSION
from serving.monitoring.feedback import Feedback
from serving.monitoring.metrics import Metrics
from serving.predictor import Predictor
from serving.rest.exchange import Exchange
from serving.rest.message import Request
from serving.rest.service import Service
from serving.settings import Settings

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


def test_the_metrics_are_made_once_for_all_that_ask_in_one_turn_of_the_event_loop(sealed):
    made = []

    class Watch:
        def collect(self):
            made.append(len(made))
            return [GaugeMetricFamily("scrape", "A number that grows", len(made))]

    class Client:
        def respond(self, _exchange, response):
            answers.append(response.body)

    async def run():
        registry, settings = CollectorRegistry(), Settings()
        service = Service(Predictor(sealed, settings, Metrics()), registry, Feedback(tiny.LABELS), settings)
        registry.register(Watch())
        made.clear()
        scrape = service.routes()["/metrics"]["GET"]
        for _ in range(2):
            for _ in range(3):
                scrape(Request("GET", "/metrics", {}), Exchange(Client()))
            await asyncio.sleep(0)

    answers = []
    asyncio.run(run())
    assert [answer.splitlines()[-1] for answer in answers] == [b"scrape 1.0"] * 3 + [b"scrape 2.0"] * 3


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


@pytest.mark.parametrize("headers", [{}, {"content-type": "text/plain"}, {"content-type": ""}])
def test_feedback_that_is_not_announced_as_json_is_refused(line, headers):
    line.post("/v2/models/tiny/infer", {"id": "announced", "inputs": [IMAGE]})
    path, body = "/v2/models/tiny/feedback", json.dumps({"id": "announced", "labels": ["right"]}).encode()
    reply = line.ask("POST", path, body, headers)
    assert (reply.status, "content-type: application/json" in reply.error) == (415, True)
    assert line.ask("POST", path, body, {"content-type": "application/json; charset=utf-8"}).status == 200


def test_an_answer_of_v1_is_judged_by_its_id(line):
    asked = {"instances": [IMAGE["data"]]}
    for given in ({"id": "judged in v1"}, {}):
        fields = line.post("/v1/models/tiny:predict", asked | given).fields
        assert fields["id"] == given.get("id", fields["id"]) != ""
        labels = [row["label"] for row in fields["predictions"]]
        judged = line.post("/v2/models/tiny/feedback", {"id": fields["id"], "labels": labels}).fields
        assert judged == {"id": fields["id"], "rows": 1, "correct": 1}


def test_a_long_id_that_was_answered_is_judged(launch, sealed):
    start, stop = launch
    server = start(sealed.path, "--max-id-characters", "200")
    with asking.line(server) as line:
        labels = line.post("/v2/models/tiny/infer", {"id": "x" * 200, "inputs": [IMAGE]}).fields["outputs"][1]["data"]
        assert line.post("/v2/models/tiny/feedback", {"id": "x" * 200, "labels": labels}).status == 200
    assert stop(server)[0] == 0
