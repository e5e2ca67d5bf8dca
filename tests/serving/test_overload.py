"""More than the server can do: who is refused, how soon, and what is not done for nobody."""

import json

import grpc
import pytest
import slow
import slow_calls
from wire import LIVE, Wire, eventually, in_flight, metrics, post

QUEUE = 6


@pytest.fixture(scope="module")
def busy(launch, tmp_path_factory):
    """A server of the slow model that lets six requests wait, and gives each ten seconds."""
    start, stop = launch
    package = slow.seal(tmp_path_factory.mktemp("slow") / "package")
    flags = ("--max-queue", str(QUEUE), "--max-batch-rows", "1", "--predict-seconds", "10", "--threads", "1")
    running = start(package.path, *flags)
    yield running
    code, _, errors = stop(running)
    assert (code, errors) == (0, "")


@pytest.fixture
def channel(busy):
    with grpc.insecure_channel(busy.grpc) as made:
        yield made


def busy_with(server, count):
    """Wait until so many requests are in work."""
    return eventually(lambda: in_flight(server.ready["http_port"]) == count)


def batches(server):
    return metrics(server.ready["http_port"])["slipway_batch_rows_count"]


def test_as_many_requests_wait_as_may_and_the_next_is_refused_at_once_on_both_protocols(busy, channel):
    port = busy.ready["http_port"]
    waiting = [slow_calls.rest(port, 3, str(number)) for number in range(3)]
    waiting += [slow_calls.infer(channel, 3) for _ in range(3)]
    assert busy_with(busy, QUEUE)
    with Wire(port) as wire:
        refused = wire.ask(post())
        assert (refused.status, refused.headers["retry-after"], refused.closes) == (503, "1", False)
        assert refused.error == "too many requests are waiting; try again in a second"
        assert wire.ask(LIVE).status == 200
        assert wire.ask(b"GET /v2/health/ready HTTP/1.1\r\nhost: x\r\n\r\n").status == 200
    error = slow_calls.infer(channel, 0).exception()
    assert (error.code(), error.details()) == (grpc.StatusCode.UNAVAILABLE, refused.error)
    assert not any(future.done() for future in waiting[-2:])
    assert [future.result().status for future in waiting[:3]] == [200] * 3
    assert all(future.result().id for future in waiting[3:])
    assert slow_calls.rest(port, 0).result().status == 200
    assert metrics(port)['slipway_refusals_total{reason="overload"}'] == 2


def test_what_waits_for_a_client_that_left_is_not_done(busy, channel):
    port = busy.ready["http_port"]
    before = batches(busy)
    running = slow_calls.rest(port, 6)
    assert busy_with(busy, 1)
    body = json.dumps(slow.fields(16)).encode()
    gone = [Wire(port).send(post(body)) for _ in range(2)]
    cancelled = [slow_calls.infer(channel, 16) for _ in range(2)]
    assert busy_with(busy, 5)
    for wire in gone:
        wire.socket.close()
    for call in cancelled:
        call.cancel()
    assert busy_with(busy, 1)
    after = slow_calls.rest(port, 0)
    assert (running.result().status, after.result().status) == (200, 200)
    assert batches(busy) == before + 2
    found = metrics(port)
    assert found['slipway_requests_total{code="499",protocol="rest"}'] == 2
    assert found['slipway_requests_total{code="CANCELLED",protocol="grpc"}'] == 2


def test_the_deadline_of_a_grpc_client_is_kept_and_its_work_dropped(busy, channel):
    before = batches(busy)
    running = slow_calls.rest(busy.ready["http_port"], 6)
    assert busy_with(busy, 1)
    late = slow_calls.infer(channel, 16, seconds=0.2).exception()
    assert late.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert not running.done()
    assert running.result().status == 200
    assert slow_calls.infer(channel, 0).result().model_name == "tiny"
    assert batches(busy) == before + 2


def test_a_request_is_answered_within_its_time_or_refused_then(launch, tmp_path):
    start, stop = launch
    server = start(slow.seal(tmp_path / "package").path, "--predict-seconds", "0.3", "--max-batch-rows", "1")
    with grpc.insecure_channel(server.grpc) as channel:
        running = slow_calls.rest(server.ready["http_port"], 16)
        assert busy_with(server, 1)
        waiting = slow_calls.rest(server.ready["http_port"], 0)
        error = slow_calls.infer(channel, 0).exception()
        assert (error.code(), error.details()) == (grpc.StatusCode.DEADLINE_EXCEEDED, waiting.result().error)
        assert "the time for an answer is over" in error.details()
        assert [waiting.result().status, running.result().status] == [504, 504]
        # The graph may still be busy with what nobody waits for any more.
        later = (slow_calls.rest(server.ready["http_port"], 0).result().status for _ in range(100))
        assert 200 in later
    assert stop(server)[0] == 0


def test_probes_are_answered_while_the_graph_is_busy(busy):
    running = slow_calls.rest(busy.ready["http_port"], 6)
    assert busy_with(busy, 1)
    with Wire(busy.ready["http_port"]) as wire:
        for _ in range(20):
            assert wire.ask(LIVE).status == 200
    assert not running.done()
    assert running.result().status == 200
