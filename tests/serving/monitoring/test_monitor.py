import json

import pytest
from prometheus_client import REGISTRY

from serving.errors import InternalError, InvalidInputError
from serving.monitor import watch


def total(protocol, code):
    return REGISTRY.get_sample_value("slipway_requests_total", {"protocol": protocol, "code": code}) or 0


def in_flight(protocol):
    return REGISTRY.get_sample_value("slipway_requests_in_flight", {"protocol": protocol})


@pytest.mark.parametrize(
    ("error", "raised", "rest", "grpc"),
    [
        (None, None, "200", "OK"),
        (InvalidInputError("no"), InvalidInputError, "400", "INVALID_ARGUMENT"),
        (RuntimeError("a secret"), InternalError, "500", "INTERNAL"),
        (KeyboardInterrupt(), KeyboardInterrupt, "499", "CANCELLED"),
    ],
)
@pytest.mark.parametrize("protocol", ["rest", "grpc"])
def test_every_end_of_a_request_is_counted_once_under_its_code(protocol, error, raised, rest, grpc):
    code = {"rest": rest, "grpc": grpc}[protocol]
    before = total(protocol, code)

    def request():
        with watch(protocol):
            assert in_flight(protocol) == 1
            if error:
                raise error

    if raised:
        with pytest.raises(raised):
            request()
    else:
        request()
    assert total(protocol, code) == before + 1
    assert in_flight(protocol) == 0


def test_what_is_unforeseen_is_logged_and_not_told(capsys):
    def request():
        with watch("rest") as visit:
            visit.id = "7"
            raise RuntimeError("a secret")

    with pytest.raises(InternalError) as caught:
        request()
    assert str(caught.value) == "internal error, see the log for request id 7"
    fault, line = map(json.loads, capsys.readouterr().out.splitlines())
    assert fault["event"] == "fault"
    assert "RuntimeError: a secret" in fault["traceback"]
    assert line["id"] == fault["id"] == "7"


@pytest.mark.parametrize("given_id", ["a" * 128, "\0" * 128, '"\\' * 64, "é" * 128])
def test_a_request_is_one_line_under_200_bytes_whatever_its_id(capsysbinary, monkeypatch, given_id):
    monkeypatch.setattr("serving.monitor._served", {"digest": "0" * 12})
    with watch("grpc") as visit:
        visit.id, visit.rows = given_id, 1 << 20
    written = capsysbinary.readouterr().out
    assert len(written) < 200
    assert written.count(b"\n") == 1
    fields = json.loads(written)
    assert fields.pop("digest") == "0" * 12
    assert {**fields, "time": 0, "id": 0, "ms": 0} == {
        "time": 0,
        "event": "request",
        "id": 0,
        "code": "OK",
        "ms": 0,
        "rows": 1 << 20,
        "protocol": "grpc",
    }


def test_a_plain_id_is_logged_as_it_is(capsys):
    with watch("rest") as visit:
        visit.id = "order 66 (retry)"
    assert json.loads(capsys.readouterr().out)["id"] == "order 66 (retry)"
