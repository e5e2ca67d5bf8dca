import asyncio
import json
import socket

import httpx
import kserve
import numpy as np
import pytest
import tiny
import tiny_table

from serving.predictor import Plane, Predictor
from serving.rest import build_app

IMAGE = {"name": "image", "datatype": "FP32", "shape": [1, 2, 2], "data": [1, 2, 3, 4]}
GOOD = {"id": "7", "inputs": [IMAGE]}
INFER = "/v2/models/tiny/infer"


@pytest.fixture(scope="module")
def client(server):
    with httpx.Client(base_url=server.http) as made:
        yield made


def test_a_good_request_is_answered_with_the_package_behind_it(client, sealed):
    response = client.post(INFER, json=GOOD)
    assert response.status_code == 200
    assert response.headers["x-slipway-package"] == f"sha256:{sealed.digest}"
    assert response.headers["content-type"] == "application/json"
    fields = response.json()
    assert fields["id"] == "7"
    assert fields["model_version"] == sealed.digest[:12]
    scores = tiny.answers(np.float32([[[1, 2], [3, 4]]]))
    assert fields["outputs"][0]["data"] == pytest.approx(scores.ravel().tolist(), abs=1e-6)
    assert fields["outputs"][1]["data"] == ["right"]


def test_an_absent_id_is_generated_and_different_each_time(client):
    found = {client.post(INFER, json={"inputs": [IMAGE]}).json()["id"] for _ in range(2)}
    assert len(found) == 2
    assert all(len(value) == 32 for value in found)


def test_the_version_of_the_package_may_be_named(client, sealed):
    versions = f"/v2/models/tiny/versions/{sealed.digest[:12]}"
    assert client.post(f"{versions}/infer", json=GOOD).status_code == 200
    assert client.get(f"{versions}/ready").json() == {"name": "tiny", "ready": True}
    assert client.get(versions).json() == client.get("/v2/models/tiny").json()


def test_the_client_of_kserve_gets_its_answer(server):
    async def ask():
        async with kserve.InferenceRESTClient(kserve.RESTConfig(protocol="v2")) as client:
            tensor = kserve.InferInput("image", [2, 2, 2], "FP32")
            tensor.set_data_from_numpy(tiny.rows(2), binary_data=False)
            request = kserve.InferRequest("tiny", [tensor])
            assert await client.is_server_ready(server.http)
            assert await client.is_model_ready(server.http, "tiny")
            return await client.infer(server.http, request, model_name="tiny")

    answer = asyncio.run(ask())
    np.testing.assert_allclose(answer.outputs[0].as_numpy(), tiny.answers(tiny.rows(2)), atol=1e-6)
    assert set(answer.outputs[1].as_numpy().tolist()) <= set(tiny.LABELS)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v2", {"name": "slipway", "version": "0.1.0", "extensions": []}),
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True}),
        ("/v2/models", {"models": ["tiny"]}),
        ("/v2/models/tiny/ready", {"name": "tiny", "ready": True}),
    ],
)
def test_health_and_metadata_are_answered(client, path, body):
    assert client.get(path).json() == body


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/nowhere", 404, "no such path; GET /docs"),
        ("GET", "/v2/models/other", 404, "no such model here; this server has 'tiny'"),
        ("GET", "/v2/models/other/ready", 404, "this server has 'tiny'"),
        ("POST", "/v2/models/other/infer", 404, "this server has 'tiny'"),
        ("POST", "/v2/models/tiny/versions/1/infer", 404, "no such version here"),
        ("GET", "/v2/models/tiny/versions/1", 404, "no such version here"),
        ("GET", "/v2/models/tiny/versions/1/ready", 404, "no such version here"),
        ("GET", INFER, 405, "does not take GET; it takes POST"),
        ("DELETE", "/v2/models/tiny", 405, "does not take DELETE; it takes GET"),
        ("POST", "/v2/repository/models/tiny/unload", 404, "no such path"),
        ("POST", "/v2/repository/models/tiny/load", 404, "no such path"),
        ("POST", "/v1/models/tiny:predict", 404, "no such path"),
    ],
)
def test_a_path_that_is_not_there_is_refused_in_a_sentence(client, method, path, status, message):
    response = client.request(method, path)
    assert response.status_code == status
    assert list(response.json()) == ["error"]
    assert message in response.json()["error"]


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b'{"inputs": [{"name": NaN}]}', b"\xff", b"[" * 5000])
def test_a_body_that_is_no_json_object_is_refused(client, body):
    response = client.post(INFER, content=body)
    assert response.status_code == 400
    assert response.json()["error"].startswith("the body is")


def test_a_body_over_the_limit_is_refused_whether_its_length_is_declared_or_not(client):
    declared = client.post(INFER, content=b" " * 65537)
    chunked = client.post(INFER, content=iter([b" " * 40000, b" " * 40000]))
    for response in (declared, chunked):
        assert response.status_code == 413
        assert response.json() == {"error": "the body has more than 65536 bytes; send fewer rows"}


def test_a_declared_length_is_refused_before_the_body_is_sent(server):
    with socket.create_connection(("127.0.0.1", server.ready["http_port"]), timeout=5) as raw:
        raw.sendall(f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n".encode())
        assert raw.recv(4096).startswith(b"HTTP/1.1 413")


def test_a_length_that_is_no_number_a_machine_holds_is_refused(server):
    with socket.create_connection(("127.0.0.1", server.ready["http_port"]), timeout=5) as raw:
        raw.sendall(f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: {'9' * 5000}\r\n\r\n".encode())
        assert raw.recv(4096).startswith(b"HTTP/1.1 400")


def test_the_connection_serves_a_good_request_after_every_refusal(server):
    message = json.dumps(GOOD).encode()
    bad = [
        (INFER, b"{"),
        (INFER, json.dumps({"inputs": []}).encode()),
        ("/v2/models/other/infer", message),
        ("/nowhere", message),
        ("/v2/health/live", message),
        (INFER, b" " * 65537),
    ]
    with socket.create_connection(("127.0.0.1", server.ready["http_port"]), timeout=5) as raw:
        statuses = [_post(raw, *step) for refused in bad for step in (refused, (INFER, message))]
    assert statuses == [400, 200, 400, 200, 404, 200, 404, 200, 405, 200, 413, 200]


def test_a_client_that_leaves_early_harms_no_other(server, client):
    with socket.create_connection(("127.0.0.1", server.ready["http_port"]), timeout=5) as raw:
        raw.sendall(f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{".encode())
    assert client.post(INFER, json=GOOD).status_code == 200
    assert 'slipway_requests_total{code="499",protocol="rest"}' in client.get("/metrics").text


def test_the_metrics_count_requests(client):
    client.post(INFER, json=GOOD)
    text = client.get("/metrics").text
    assert 'slipway_requests_total{code="200",protocol="rest"}' in text
    assert 'request_predict_seconds_count{model_name="tiny"}' in text


def test_the_documentation_shows_a_request_that_works(client):
    assert "swagger" in client.get("/docs").text
    paths = client.get("/openapi.json").json()["paths"]
    body = paths["/v2/models/{model_name}/infer"]["post"]["requestBody"]
    assert client.post(INFER, json=body["content"]["application/json"]["example"]).status_code == 200
    assert not [path for path in paths if "repository" in path]


def test_a_table_with_text_and_gaps_is_described_and_answered(table_server):
    model = f"{table_server.http}/v2/models/tiny-table"
    described = [(item["name"], item["datatype"], item["shape"]) for item in httpx.get(model).json()["inputs"]]
    assert described == [("numbers", "FP32", [-1, 2]), ("categories", "BYTES", [-1, 1])]
    numbers = [None if np.isnan(value) else float(value) for value in tiny_table.NUMBERS.ravel()]
    inputs = [
        {"name": "numbers", "datatype": "FP32", "shape": [4, 2], "data": numbers},
        {"name": "categories", "datatype": "BYTES", "shape": [4, 1], "data": ["Zürich", None, "東京", "Paris"]},
    ]
    answer = httpx.post(f"{model}/infer", json={"inputs": inputs}).json()
    assert answer["outputs"][0]["data"] == pytest.approx(tiny_table.answers().ravel().tolist(), abs=1e-6)
    inputs[1]["data"] = ["a", "b", "c", 5]
    refused = httpx.post(f"{model}/infer", json={"inputs": inputs})
    assert refused.status_code == 400
    assert refused.json() == {"error": "input 'categories' holds a number, BYTES takes text or null"}


def test_an_example_with_a_gap_is_shown_as_null_and_works(place):
    predictor = Predictor(tiny_table.seal(place, first=1), name=None, threads=1, max_rows=8)
    predictor.load()
    app = build_app(Plane(predictor), max_body_bytes=1 << 20)
    operation = ask(app, "GET", "/openapi.json").json()["paths"]["/v2/models/{model_name}/infer"]["post"]
    example = operation["requestBody"]["content"]["application/json"]["example"]
    assert [item["data"] for item in example["inputs"]] == [[None, 2.0], [""]]
    assert ask(app, "POST", "/v2/models/tiny-table/infer", json=example).status_code == 200
    predictor.stop()


@pytest.fixture
def app(sealed):
    predictor = Predictor(sealed, name=None, threads=1, max_rows=8)
    return build_app(Plane(predictor), max_body_bytes=1 << 20)


def ask(app, method, path, **content):
    """Ask the application without a network; an error that leaves it would be raised here."""

    async def asked():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as client:
            return await client.request(method, path, **content)

    return asyncio.run(asked())


def test_before_the_proof_readiness_and_inference_say_503(app):
    assert ask(app, "GET", "/v2/health/live").status_code == 200
    for response in (
        ask(app, "GET", "/v2/health/ready"),
        ask(app, "GET", "/v2/models/tiny/ready"),
        ask(app, "POST", INFER, json=GOOD),
    ):
        assert response.status_code == 503
        assert "not ready; try again later" in response.json()["error"]


def test_the_unforeseen_is_a_500_that_tells_no_internals(app):
    @app.get("/broken")
    async def broken(number: int) -> None:
        raise RuntimeError("a secret")

    response = ask(app, "GET", "/broken?number=1")
    assert response.status_code == 500
    assert response.json()["error"].startswith("internal error, see the log for request id ")
    response = ask(app, "GET", "/broken?number=x")
    assert response.status_code == 400
    assert response.json()["error"].startswith("query.number: ")


def _post(raw, path, body):
    raw.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    received = b""
    while b"\r\n\r\n" not in received:
        received += raw.recv(65536)
    head, _, rest = received.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(rest) < length:
        rest += raw.recv(65536)
    return int(head.split()[1])
