import socket

import asking
import pytest

from serving.rest.site import PROBES

IMAGE = {"name": "image", "datatype": "FP32", "shape": [1, 2, 2], "data": [1, 2, 3, 4]}
GOOD = {"id": "7", "inputs": [IMAGE]}


@pytest.fixture(scope="module")
def line(server):
    with asking.line(server) as kept:
        yield kept


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/nowhere", 404, "there is no such path; GET /openapi.json lists what there is"),
        ("GET", "/v2/models/tiny/nothing", 404, "there is no such path"),
        ("GET", "/v2/models/other", 404, "no such model here; this server has 'tiny'"),
        ("POST", "/v2/models/other/infer", 404, "this server has 'tiny'"),
        ("POST", "/v2/models/other/feedback", 404, "this server has 'tiny'"),
        ("POST", "/v1/models/other:predict", 404, "this server has 'tiny'"),
        ("POST", "/v2/models/tiny/versions/1/infer", 404, "'tiny' has no such version here; this server has '"),
        ("GET", "/v2/models/tiny/versions/1", 404, "no such version here"),
        ("POST", "/v1/models/tiny/infer", 404, "there is no such path"),
        ("POST", "/v1/models/tiny:explain", 404, "there is no such path"),
    ],
)
def test_a_path_that_is_not_there_is_refused_with_the_reason(line, method, path, status, message):
    reply = line.ask(method, path)
    assert (reply.status, message in reply.error) == (status, True), reply.error


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v2/models/tiny/infer", "POST"),
        ("HEAD", "/v2/models/tiny/infer", "POST"),
        ("PATCH", "/v1/models/tiny:predict", "POST"),
        ("GET", "/v2/models/tiny/feedback", "POST"),
        ("DELETE", "/v2/models/tiny", "GET, HEAD"),
        ("POST", "/metrics", "GET, HEAD"),
    ],
)
def test_another_method_is_refused_with_those_that_are_allowed(line, method, path, allowed):
    reply = line.ask(method, path)
    assert (reply.status, reply.headers["allow"]) == (405, allowed)
    if method == "HEAD":
        assert reply.body == b""
    else:
        assert reply.error == f"this path does not take that method; it takes {allowed}"
    assert line.post("/v2/models/tiny/infer", GOOD).status == 200


def test_an_encoded_slash_is_no_slash(line):
    assert line.ask("GET", "/v2/models/t%69ny").status == 200
    assert line.ask("GET", "/v2%2Fmodels/tiny").status == 404


@pytest.mark.parametrize(
    "path", ["/metrics", "/v2/health/ready", "/v2/models/tiny", "/v2/models/tiny/ready", "/v1/models/tiny"]
)
def test_probes_are_answered_however_full_the_server_is(path):
    assert PROBES.fullmatch(path)


@pytest.mark.parametrize("path", ["/v2/models/tiny/infer", "/v1/models/tiny:predict", "/v2/models/tiny/feedback", "/"])
def test_nothing_else_is_a_probe(path):
    assert not PROBES.fullmatch(path)


def test_a_client_that_leaves_early_harms_no_other(server, line):
    with socket.create_connection(("127.0.0.1", server.ready["http_port"]), timeout=5) as raw:
        raw.sendall(b"POST /v2/models/tiny/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    assert line.post("/v2/models/tiny/infer", GOOD).status == 200
