"""Answers through the Service, from another pod, with KServe's own client."""

import json

import pytest
from cluster import SERVICE, Cluster
from cluster_packages import Publisher
from cluster_rollouts import served

HOST = f"{SERVICE}-predictor"

#: Posts what it reads and prints status, headers and body.
POST = """
import http.client, json, sys
connection = http.client.HTTPConnection(sys.argv[1], timeout=10)
connection.request("POST", sys.argv[2], sys.stdin.buffer.read(), {"Content-Type": "application/json"})
answer = connection.getresponse()
print(json.dumps([answer.status, {k.lower(): v for k, v in answer.getheaders()}, json.loads(answer.read())]))
"""


@pytest.fixture(scope="module")
def golden(applied: Cluster) -> dict:
    """One golden example of the package that is served."""
    publisher = Publisher(applied)
    publisher.start()
    try:
        return publisher.golden(served(applied))
    finally:
        publisher.stop()


@pytest.fixture(scope="module")
def asked(applied: Cluster, golden) -> dict:
    """What the stock client says of that example, over both protocols."""
    values = json.dumps(golden["image"])
    return json.loads(applied.inside("python3", "/app/ask.py", HOST, SERVICE, values, "[1, 8, 8]", "image"))


def post(cluster: Cluster, body: str, path: str = f"/v2/models/{SERVICE}/infer") -> tuple[int, dict, dict]:
    status, headers, answer = json.loads(cluster.inside("python3", "-c", POST, HOST, path, stdin=body))
    return status, headers, answer


def test_the_stock_client_finds_the_model_ready_over_both_protocols(asked):
    assert asked["ready"] == [True, True]


def test_rest_and_grpc_answer_the_same_and_it_is_the_golden_answer(asked, golden):
    assert asked["rest"] == asked["grpc"]
    assert asked["rest"]["id"] == "asked-by-the-stock-client"
    assert asked["rest"]["label"] == [golden["label"]]
    assert asked["rest"]["probabilities"] == pytest.approx(golden["probabilities"], abs=1e-5)


def test_every_answer_says_the_digest_of_storage_uri(applied, asked, golden):
    expected = f"sha256:{served(applied)}"
    assert (asked["rest"]["package"], asked["grpc"]["package"]) == (expected, expected)
    tensor = {"name": "image", "shape": [1, 8, 8], "datatype": "FP32", "data": golden["image"]}
    status, headers, answer = post(applied, json.dumps({"inputs": [tensor]}))
    assert (status, headers["x-slipway-package"]) == (200, expected)
    assert answer["parameters"]["package"] == expected


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("{", "JSON"),
        ("{}", "inputs"),
        ('{"inputs": [{"name": "image", "shape": [1, 8, 8], "datatype": "FP32", "data": [1, 2]}]}', "image"),
        ('{"inputs": [{"name": "picture", "shape": [1, 8, 8], "datatype": "FP32", "data": []}]}', "picture"),
    ],
    ids=["no-json", "no-inputs", "too-few-values", "unknown-input"],
)
def test_a_bad_request_is_a_400_that_says_what_is_wrong(applied, body, said):
    status, _, answer = post(applied, body)
    assert (status, list(answer)) == (400, ["error"])
    assert said in answer["error"]


def test_another_model_is_a_404_that_names_the_one_that_is_there(applied):
    status, _, answer = post(applied, "{}", "/v2/models/iris/infer")
    assert (status, list(answer)) == (404, ["error"])
    assert "'digits'" in answer["error"]
