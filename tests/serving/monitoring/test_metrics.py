"""What is counted, and that nobody but us decides how many series there are."""

import json

import grpc
import httpx
import pytest
import slow_calls
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from wire import GOOD, Wire, eventually, metrics, post

from serving.monitoring.metrics import Histogram, Metrics


def scraped(found):
    registry = CollectorRegistry()
    registry.register(found)
    return registry


def test_a_histogram_counts_each_value_under_its_edge_and_all_above():
    histogram = Histogram((1, 2, 5))
    for value in (0, 1, 1.5, 2, 5, 6, 100):
        histogram.observe(value)
    assert histogram.buckets() == [("1", 2), ("2", 4), ("5", 5), ("+Inf", 7)]
    assert histogram.sum == 115.5


def test_the_metrics_are_what_prometheus_reads():
    found = Metrics()
    found.requests["rest", "200"] += 2
    found.refusals["overload"] += 1
    found.batch.observe(3)
    registry = scraped(found)
    families = {family.name for family in text_string_to_metric_families(generate_latest(registry).decode())}
    assert {"slipway_requests", "slipway_refusals", "slipway_batch_rows", "request_predict_seconds"} <= families
    assert registry.get_sample_value("slipway_requests_total", {"protocol": "rest", "code": "200"}) == 2
    assert registry.get_sample_value("slipway_refusals_total", {"reason": "overload"}) == 1
    assert registry.get_sample_value("slipway_batch_rows_bucket", {"le": "4"}) == 1
    assert registry.get_sample_value("slipway_batch_rows_bucket", {"le": "2"}) == 0


@pytest.fixture(scope="module")
def alone(launch, sealed):
    """A server that nobody else asks."""
    start, stop = launch
    running = start(sealed.path)
    yield running
    _, out, _ = stop(running)
    lines = [line for line in out.splitlines() if '"event":"request"' in line]
    assert len(lines) > 200
    assert all(len(line.encode()) < 200 and json.loads(line)["protocol"] in ("rest", "grpc") for line in lines)


def junk(number):
    """A request of its own kind, of which nothing may be kept."""
    word = f"w{number}"
    return [
        f"GET /{word} HTTP/1.1\r\nhost: x\r\n\r\n".encode(),
        f"GET /v2/models/{word} HTTP/1.1\r\nhost: {word}\r\nuser-agent: {word}\r\n{word}: {word}\r\n\r\n".encode(),
        post(json.dumps(GOOD | {"id": word}).encode(), f"/v2/models/{word}/infer"),
        post(json.dumps(GOOD | {"id": word * 10}).encode()),
        post(json.dumps(GOOD | {"parameters": {word: word}}).encode()),
        post(json.dumps({"inputs": [GOOD["inputs"][0] | {"name": word}]}).encode()),
        post(
            json.dumps({"inputs": [GOOD["inputs"][0] | {"datatype": word}]}).encode(),
            "/v2/models/tiny/infer",
            word + ": 1",
        ),
        post(json.dumps({"id": word, "labels": [word]}).encode(), "/v2/models/tiny/feedback"),
        f"{('PUT', 'PATCH', 'DELETE')[number % 3]} /v2/{word} HTTP/1.1\r\nhost: x\r\n\r\n".encode(),
    ]


def test_no_request_adds_a_series_once_its_kind_was_seen(alone):
    port = alone.ready["http_port"]

    def ask(numbers):
        with Wire(port) as wire:
            for number in numbers:
                for content in junk(number):
                    assert wire.ask(content).status < 500
        with grpc.insecure_channel(alone.grpc) as channel:
            for number in numbers:
                slow_calls.infer(channel, 1, id=f"w{number}").result()
                assert slow_calls.infer(channel, 1, model_version=f"w{number}").exception()

    ask(range(2))
    assert eventually(lambda: any("drift" in name for name in metrics(port)))
    before = metrics(port).keys()
    ask(range(2, 150))
    after = metrics(port).keys()
    assert after - before == set()
    assert not [name for name in after if "w1" in name]


def test_a_scrape_is_the_same_text_for_anyone_who_asks(alone):
    answer = httpx.get(f"{alone.http}/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert len(answer.content) < 64 << 10


def test_every_series_of_requests_is_there_before_the_first_so_that_a_rate_sees_it():
    registry = scraped(Metrics())
    assert registry.get_sample_value("slipway_requests_total", {"protocol": "grpc", "code": "INTERNAL"}) == 0
    assert registry.get_sample_value("slipway_refusals_total", {"reason": "internal"}) == 0
