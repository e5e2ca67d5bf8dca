"""One connection of a real server: what is read, in what time, how much, and in what order it is answered."""

import json
import threading
import time
from contextlib import ExitStack, contextmanager

import httpx
import pytest
from wire import BODY, GOOD, LIVE, Wire, chunked, eventually, head, post

from serving.rest.connection import SPARE_CONNECTIONS
from serving.settings import SMALL_BYTES

BODY_BYTES = 20_000  # see conftest.py
READY = LIVE.replace(b"live", b"ready")
#: Of a server with room for few connections and few bytes, on which a request may take its time.
CONNECTIONS, PENDING_BYTES = 4, 300_000
GET = b"GET /v2/health/live HTTP/1.1\r\nhost: x\r\n"
POST = b"POST /v2/health/live HTTP/1.1\r\nhost: x\r\n"


def metric(port, name):
    text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    found = [line.rsplit(" ", 1)[1] for line in text.splitlines() if line.startswith(f"{name} ")]
    return float(found[0])


def used(port, count):
    return eventually(lambda: metric(port, "slipway_pending_bytes") == count)


@pytest.fixture(scope="module")
def narrow(launch, sealed):
    start, stop = launch
    flags = f"--max-connections {CONNECTIONS} --max-pending-bytes {PENDING_BYTES} --receive-seconds 30"
    running = start(sealed.path, *flags.split())
    yield running.ready["http_port"]
    code, _, errors = stop(running)
    assert (code, errors) == (0, "")


@contextmanager
def opened(port, count, content=b""):
    """So many connections that have sent something and wait."""
    with ExitStack() as stack:
        yield [stack.enter_context(Wire(port)).send(content) for _ in range(count)]
    assert eventually(lambda: metric(port, "slipway_connections") <= 1)


# What comes and goes.


def test_a_client_of_http_1_0_gets_its_answer_and_the_end(port):
    with Wire(port) as wire:
        answer = wire.ask(b"GET /v2/health/live HTTP/1.0\r\n\r\n")
        assert (answer.status, answer.closes) == (200, True)
        assert wire.closed
    with Wire(port) as wire:
        asked = b"GET /v2/health/live HTTP/1.0\r\nconnection: keep-alive\r\n\r\n"
        assert not wire.ask(asked).closes
        assert wire.ask(asked).status == 200


def test_a_client_may_ask_for_the_end_after_its_answer(wire):
    assert wire.ask(GET + b"connection: close\r\n\r\n").closes
    assert wire.closed


def test_the_answer_to_head_is_the_head(wire):
    wire.send(LIVE.replace(b"GET", b"HEAD"))
    assert wire.answer(head=True).headers["content-length"] == "13"
    assert wire.ask(LIVE).body == b'{"live":true}'


@pytest.mark.parametrize(
    ("bad", "status"),
    [
        (post(b"{"), 400),
        (post(b"", "/nowhere"), 404),
        (b"DELETE /v2 HTTP/1.1\r\nhost: x\r\n\r\n", 405),
        (post(b"abc").replace(b"application/json", b"text/plain"), 415),
        (GET + b"".join(b"h%d: 1\r\n" % number for number in range(101)) + b"\r\n", 431),
    ],
)
def test_a_bad_request_does_not_touch_its_neighbours_on_the_connection(wire, bad, status):
    wire.send(post() + bad + post())
    assert [wire.answer().status for _ in range(3)] == [200, status, 200]
    assert wire.ask(bad).status == status
    assert wire.ask(post()).status == 200


# What a body may be.


def test_a_body_may_come_in_chunks_with_extensions_and_trailers(wire):
    pieces = [BODY[:1], BODY[1:50], BODY[50:]]
    for content in (
        chunked(*pieces),
        chunked(*pieces, extension=";a=b"),
        chunked(BODY, trailers=b"host: y\r\nid: 1\r\n"),
    ):
        answer = wire.ask(content)
        assert (answer.status, answer.closes) == (200, False)
        assert json.loads(answer.body)["id"] == "7"


def test_a_body_may_come_byte_by_byte(wire):
    for byte in post():
        wire.send(bytes([byte]))
    assert wire.answer().status == 200


@pytest.mark.parametrize("make", [post, lambda body: chunked(body[:100], body[100:])])
def test_a_body_of_the_limit_is_taken_and_one_byte_more_is_not(wire, make):
    assert wire.ask(make(BODY.ljust(BODY_BYTES))).status == 200
    answer = wire.ask(make(BODY.ljust(BODY_BYTES + 1)))
    assert (answer.status, answer.closes) == (413, True)
    assert f"more than {BODY_BYTES} bytes" in answer.error
    assert wire.closed


@pytest.mark.parametrize(
    "first", [head("/v2", "content-length: 100000000"), head("/v2/models/tiny/infer", "transfer-encoding: chunked")]
)
def test_a_client_that_goes_on_sending_a_body_that_is_too_large_can_read_why(wire, first):
    wire.send(first)
    wire.socket.settimeout(10)
    frame = b"1000\r\n" + b" " * 0x1000 + b"\r\n"
    for _ in range(400):
        try:
            wire.send(frame)
        except (BrokenPipeError, ConnectionResetError):
            pytest.fail("the connection was cut before the refusal could be read")
    assert wire.answer().status == 413


def test_a_body_that_is_announced_too_large_is_refused_before_it_comes(wire):
    answer = wire.ask(head("/v2", f"content-length: {BODY_BYTES + 1}", "expect: 100-continue"))
    assert (answer.status, answer.closes) == (413, True)


def test_a_client_that_waits_to_be_asked_for_its_body_is_asked(wire):
    for value in ("100-continue", "100-Continue"):
        assert wire.ask(head("/v2/models/tiny/infer", f"content-length: {len(BODY)}", f"expect: {value}")).status == 100
        assert wire.ask(BODY).status == 200


def test_a_client_that_waits_to_be_asked_is_not_asked_for_what_is_refused_already(wire):
    asked = head("/v2", "content-length: 10", "expect: 100-continue").replace(b"host: x\r\n", b"")
    answer = wire.ask(asked)
    assert (answer.status, answer.closes) == (400, True)


def test_the_word_to_go_on_does_not_come_in_front_of_an_earlier_answer(wire):
    wire.send(post() + head("/v2/models/tiny/infer", f"content-length: {len(BODY)}", "expect: 100-continue"))
    assert wire.answer().status == 200
    wire.send(BODY)
    assert wire.answer().status == 200


@pytest.mark.parametrize(
    "rest",
    [
        b"1\r\na\r\n" * 2500,
        b"1;" + b"e" * 30_000,
        b"0\r\nx: " + b"y" * 30_000,
        b"0\r\n" + b"x: y\r\n" * 5000,
    ],
)
def test_what_frames_a_body_has_an_end_as_well(wire, rest):
    wire.send(head("/v2", "transfer-encoding: chunked"))
    time.sleep(0.1)  # so that the body is read by itself
    answer = wire.ask(rest)
    assert (answer.status, answer.closes) == (400, True)
    assert "too many small pieces" in answer.error


# In what time.


def drip(wire, content, stop):
    """Send byte by byte until something is answered."""
    for byte in content:
        if stop.wait(0.1):
            return
        try:
            wire.send(bytes([byte]))
        except OSError:
            return


@pytest.mark.parametrize(
    "start", [b"GET / HT", GET, GET + b"a: b\r\n", head("/v2", "content-length: 100") + b"{", b"\r\n"]
)
def test_a_request_that_does_not_arrive_in_its_time_is_refused(wire, start):
    answer = wire.ask(start)
    assert (answer.status, answer.closes) == (408, True)
    assert "within 1 seconds" in answer.error
    assert wire.closed


@pytest.mark.parametrize(
    "content", [GET + b"a: " + b"b" * 900, head("/v2", "content-length: 900") + b" " * 900, b"\r\n" * 450]
)
def test_bytes_that_drip_in_do_not_extend_the_time(port, content):
    stop = threading.Event()
    with Wire(port) as wire:
        dripping = threading.Thread(target=drip, args=(wire, content, stop))
        dripping.start()
        try:
            assert wire.answer().status == 408
        finally:
            stop.set()
            dripping.join()


def test_the_time_begins_anew_with_each_request(wire):
    assert wire.ask(LIVE).status == 200
    time.sleep(1.5)
    assert wire.ask(LIVE).status == 200
    assert wire.ask(GET).status == 408


def test_a_connection_on_which_nothing_comes_is_closed_without_a_word(wire):
    assert wire.closed


# In what order.


def test_requests_that_are_sent_together_are_answered_in_order(wire):
    bodies = [json.dumps(GOOD | {"id": str(number)}).encode() for number in range(10)]
    wire.send(b"".join(map(post, bodies)))
    assert [json.loads(wire.answer().body)["id"] for _ in bodies] == [str(number) for number in range(10)]


def test_more_requests_than_a_client_may_send_ahead_end_the_connection_behind_the_last_answer(wire):
    wire.send(LIVE * 1000)
    statuses = [wire.answer().status]
    while statuses[-1] == 200:
        statuses.append(wire.answer().status)
    assert 16 <= len(statuses) <= 20
    assert statuses[-1] == 503
    assert wire.closed


def test_requests_behind_one_that_ends_the_connection_are_not_answered(wire):
    assert wire.ask(GET + b"connection: close\r\n\r\n" + LIVE).closes
    assert wire.closed


# How much at one time.


def unfinished(count, path="/v2/models/tiny/infer"):
    """A request whose last byte is missing."""
    return head(path, f"content-length: {count + 1}") + b" " * count


def test_bodies_have_a_bound_together_and_what_is_done_is_off_the_books(narrow):
    with opened(narrow, 2, unfinished(140_000)) as wires, Wire(narrow) as other:
        assert used(narrow, 280_000)
        refused = other.ask(post(BODY.ljust(100_000)))
        assert (refused.status, refused.headers["retry-after"], refused.closes) == (503, "1", False)
        wires[0].socket.close()
        assert used(narrow, 140_000)
        assert other.ask(post(BODY.ljust(100_000))).status == 200
    assert used(narrow, 0)


def test_a_small_body_is_taken_even_where_large_ones_that_do_not_end_fill_the_memory(narrow):
    with opened(narrow, 2, unfinished(PENDING_BYTES // 2)), Wire(narrow) as other:
        assert used(narrow, PENDING_BYTES)
        assert other.ask(post()).status == 200
        assert other.ask(post(BODY.ljust(SMALL_BYTES))).status == 200
        assert other.ask(post(BODY.ljust(SMALL_BYTES + 1))).status == 503
    assert used(narrow, 0)


@pytest.mark.parametrize(("path", "status"), [("/nowhere", 404), ("/v2", 405), ("/v2/models/other/infer", 404)])
def test_the_body_of_what_is_refused_by_its_path_is_read_and_not_kept(narrow, path, status):
    with Wire(narrow) as wire:
        wire.send(post() + unfinished(PENDING_BYTES * 2, path))
        assert wire.answer().status == 200
        assert used(narrow, 0)
        answer = wire.ask(b" ")
        assert (answer.status, answer.closes) == (status, False)
        assert wire.ask(post()).status == 200


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_the_body_of_a_request_that_has_no_use_for_it_is_not_kept(narrow, method):
    with Wire(narrow) as wire:
        wire.send(post() + unfinished(PENDING_BYTES * 2, "/v2").replace(b"POST", method))
        assert wire.answer().status == 200
        assert used(narrow, 0)
        assert wire.send(b" ").answer(head=method == b"HEAD").status == 200


def test_connections_beyond_the_limit_are_refused_and_probes_are_answered_on_them(narrow):
    with opened(narrow, CONNECTIONS, post()[:-1]) as wires:
        assert used(narrow, CONNECTIONS * (len(BODY) - 1))
        for path, status in {
            "/v2/health/ready": 200,
            "/metrics": 200,
            "/v2/models/tiny/ready": 200,
            "/v2": 503,
        }.items():
            with Wire(narrow) as beyond:
                answer = beyond.ask(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
                assert (answer.status, answer.closes) == (status, True)
                assert beyond.closed
        with Wire(narrow) as beyond:
            answer = beyond.ask(post())
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
            assert "too many connections" in answer.error
        assert [wire.ask(post()[-1:]).status for wire in wires] == [200] * CONNECTIONS


def test_a_connection_beyond_the_limit_has_a_second_for_its_request(narrow):
    with opened(narrow, CONNECTIONS, post()[:-1]):
        assert used(narrow, CONNECTIONS * (len(BODY) - 1))
        with Wire(narrow) as silent, Wire(narrow) as slow:
            assert slow.ask(b"GET ").status == 408
            assert silent.closed


def test_connections_that_rest_make_room_for_new_ones(narrow):
    with opened(narrow, CONNECTIONS) as wires:
        for wire in wires:
            assert wire.ask(LIVE).status == 200
            time.sleep(0.05)  # so that one has been idle for longest
        with Wire(narrow) as new:
            answer = new.ask(post())
            assert (answer.status, answer.closes) == (200, False)
            assert wires[0].closed
            assert wires[-1].ask(post()).status == 200


def test_a_flood_of_silent_connections_takes_nothing_from_those_that_are_used(narrow):
    with Wire(narrow) as good:
        assert good.ask(post()).status == 200
        with opened(narrow, 200) as flood:
            assert good.ask(post()).status == 200
            with Wire(narrow) as probe:
                assert probe.ask(READY).status == 200
            assert flood[0].closed


def test_a_flood_of_begun_requests_is_told_to_come_back(narrow):
    with opened(narrow, CONNECTIONS, post()[:-1]) as wires:
        assert used(narrow, CONNECTIONS * (len(BODY) - 1))
        with ExitStack() as stack:
            flood = [stack.enter_context(Wire(narrow)).send(b"G") for _ in range(200)]
            told = sum(wire.told_to_come_back() for wire in flood[SPARE_CONNECTIONS:])
            assert told >= SPARE_CONNECTIONS // 2
        assert [wire.ask(post()[-1:]).status for wire in wires] == [200] * CONNECTIONS
