"""The end of each request: counted once under its code, and one line."""

import json

import pytest

from serving.errors import (
    STATUS,
    DisconnectedError,
    InternalError,
    InvalidInputError,
    OverloadedError,
)
from serving.log import output
from serving.monitoring.metrics import Metrics
from serving.monitoring.monitor import Monitor, known

DIGEST = "0123456789ab" + "0" * 52


@pytest.fixture
def monitor():
    return Monitor(Metrics(), DIGEST)


@pytest.fixture
def lines(capfdbinary):
    def read():
        assert output.flush(10)
        return capfdbinary.readouterr().out.splitlines(keepends=True)

    return read


@pytest.mark.parametrize(
    ("error", "rest", "grpc", "reason"),
    [
        (None, "200", "OK", None),
        (InvalidInputError("no"), "400", "INVALID_ARGUMENT", "invalid"),
        (OverloadedError("full"), "503", "UNAVAILABLE", "overload"),
        (InternalError("7"), "500", "INTERNAL", "internal"),
        (DisconnectedError("left"), "499", "CANCELLED", "left"),
    ],
)
@pytest.mark.parametrize("protocol", ["rest", "grpc"])
def test_every_end_of_a_request_is_counted_once_under_its_code(monitor, lines, protocol, error, rest, grpc, reason):
    visit = monitor.begin(protocol, "x", {})
    assert monitor.metrics.in_flight[protocol] == 1
    monitor.end(visit, error)
    assert monitor.metrics.in_flight == {"rest": 0, "grpc": 0}
    assert +monitor.metrics.requests == {(protocol, {"rest": rest, "grpc": grpc}[protocol]): 1}
    assert +monitor.metrics.refusals == ({reason: 1} if reason else {})
    assert len(lines()) == 1


@pytest.mark.parametrize("error", STATUS)
def test_a_refusal_is_counted_by_a_reason_of_its_own(monitor, error):
    monitor.refused(error("why"))
    assert +monitor.metrics.refusals == {STATUS[error].reason: 1}
    assert len({status.reason for status in STATUS.values()}) == len(STATUS)


def test_what_is_unforeseen_is_logged_and_not_told(lines):
    error = known(RuntimeError("a secret"), "7")
    assert str(error) == "internal error, see the log for request id 7"
    (fault,) = map(json.loads, lines())
    assert (fault["event"], fault["id"]) == ("fault", "7")
    assert "RuntimeError: a secret" in fault["traceback"]


def test_what_is_a_refusal_already_stays_as_it_is(lines):
    error = InvalidInputError("no")
    assert known(error, "7") is error
    assert lines() == []


@pytest.mark.parametrize("given_id", ["a" * 128, "\0" * 128, '"\\' * 64, "é" * 128, "\ud800", "a\r\nb", "\x1b[31m"])
def test_a_request_is_one_line_under_200_bytes_whatever_its_id(monitor, lines, given_id):
    visit = monitor.begin("grpc", "x", {})
    visit.request_id, visit.rows = given_id, 1 << 20
    monitor.end(visit)
    (written,) = lines()
    assert len(written) < 200
    fields = json.loads(written)
    assert {**fields, "time": 0, "id": 0, "ms": 0} == {
        "time": 0,
        "event": "request",
        "id": 0,
        "code": "OK",
        "digest": DIGEST[:12],
        "ms": 0,
        "rows": 1 << 20,
        "protocol": "grpc",
    }


def test_a_plain_id_is_logged_as_it_is_and_an_absent_one_is_made(monitor, lines):
    visit = monitor.begin("rest", "x", {})
    made = visit.request_id
    assert len(made) == 32
    monitor.end(visit)
    visit = monitor.begin("rest", "x", {})
    visit.request_id = "order 66 (retry)"
    monitor.end(visit)
    assert [json.loads(line)["id"] for line in lines()] == [made, "order 66 (retry)"]


def test_a_quiet_monitor_tells_of_what_got_no_answer(lines):
    quiet = Monitor(Metrics(), DIGEST, quiet=True)
    quiet.end(quiet.begin("rest", "x", {}))
    quiet.end(quiet.begin("rest", "x", {}), InvalidInputError("no"))
    assert [json.loads(line)["code"] for line in lines()] == ["400"]
    assert +quiet.metrics.requests == {("rest", "200"): 1, ("rest", "400"): 1}
