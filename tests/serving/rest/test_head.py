"""The head of a request, against a real server: what it may be, and that a refusal is one answer."""

import json

import pytest
from wire import BODY, GOOD, LIVE, post

BODY_BYTES, HEAD_BYTES = 20_000, 2_000  # see conftest.py
GET = b"GET /v2/health/live HTTP/1.1\r\nhost: x\r\n"
POST = b"POST /v2/health/live HTTP/1.1\r\nhost: x\r\n"


@pytest.mark.parametrize(
    "content",
    [
        POST + b"content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"transfer-encoding: chunked\r\ncontent-length: 1\r\n\r\n0\r\n\r\n",
        POST + b"content-length: 1\r\ncontent-length: 1\r\n\r\na",
        POST + b"content-length: 1\r\ncontent-length: 2\r\n\r\nab",
        POST + b"content-length: 1, 1\r\n\r\na",
        POST + b"content-length: -1\r\n\r\n",
        POST + b"content-length: +1\r\n\r\na",
        POST + b"content-length: 0x1\r\n\r\na",
        POST + b"content-length: \r\n\r\n",
        POST + b"content-length: 99999999999999999999999\r\n\r\n",
        POST + b"transfer-encoding: gzip\r\n\r\n",
        POST + b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
        POST + b"transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n",
        POST + b"transfer-encoding: chunked\r\n\r\nzz\r\n",
        POST + b"transfer-encoding: chunked\r\n\r\n-1\r\n",
        POST + b"transfer-encoding: chunked\r\n\r\n1 \r\na\r\n0\r\n\r\n",
        POST + b"transfer-encoding: chunked\r\n\r\n1\na\n0\n\n",
        POST + b"transfer-encoding: chunked\r\n\r\n1\r\nab0\r\n\r\n",
        POST + b"transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        b"GET /v2/health/live HTTP/1.1\nhost: x\n\n",
        b"GET / HTTP/1.1\rhost: x\r\r",
        GET + b"a: b\nc: d\r\n\r\n",
        GET + b"a : b\r\n\r\n",
        GET + b"a: b\r\n c\r\n\r\n",
        GET + b"a: \0b\r\n\r\n",
        b" GET / HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\nhost: x\r\n\r\n",
        "GET /é HTTP/1.1\r\nhost: x\r\n\r\n".encode(),
        b"GET / HTTP/1.2\r\nhost: x\r\n\r\n",
        b"GET / HTTP/2.0\r\nhost: x\r\n\r\n",
        b"GET / HTTP/0.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"FOO / HTTP/1.1\r\nhost: x\r\n\r\n",
        b"get / HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST /v2 HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        bytes.fromhex("16030100a5010000a10303"),
        bytes(range(256)),
        b"\xff" * 500,
    ],
)
def test_what_is_no_request_is_refused_once_and_the_connection_ends(wire, content):
    answer = wire.ask(content)
    assert (answer.status, answer.closes) == (400, True)
    assert len(answer.error) < 200
    assert wire.closed


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "'host' is missing or there twice"),
        (GET + b"host: y\r\n\r\n", "'host' is missing or there twice"),
        (POST + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "only taken as 'chunked'"),
    ],
)
def test_a_request_that_was_read_and_is_not_taken_leaves_the_connection_usable(wire, content, message):
    answer = wire.ask(content)
    assert (answer.status, answer.closes) == (400, False)
    assert message in answer.error
    assert wire.ask(post()).status == 200


def test_empty_lines_in_front_of_a_request_are_passed_over(wire):
    assert wire.ask(b"\r\n\r\n" + LIVE + b"\r\n" + LIVE).status == 200
    assert wire.answer().status == 200


def test_a_whole_url_is_taken_by_its_path(wire):
    assert wire.ask(b"GET http://x/v2/health/live?a=b HTTP/1.1\r\nhost: x\r\n\r\n").body == b'{"live":true}'


@pytest.mark.parametrize("path", ["/v2/models/tiny%2Finfer", "/v2/../v2/models/tiny", "//v2/models/tiny", "/v2%00"])
def test_a_path_is_taken_as_it_is(wire, path):
    assert wire.ask(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode()).status == 404


def test_the_header_upgrade_is_passed_over_where_nothing_comes_with_it(wire):
    wished = GET + b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n\r\n"
    for _ in range(3):
        answer = wire.ask(wished)
        assert (answer.status, answer.closes) == (200, False)
    assert wire.ask(LIVE).status == 200


@pytest.mark.parametrize("content", [post(BODY, "/v2", "connection: upgrade", "upgrade: h2c"), b"CONNECT x:1 HTTP/1.1"
                                     b"\r\nhost: x\r\n\r\n" + LIVE])  # fmt: skip
def test_what_may_be_of_another_protocol_is_not_read_and_gets_one_answer(wire, content):
    answer = wire.ask(content)
    assert answer.status in (400, 404)
    assert answer.closes
    assert wire.closed


def test_nothing_of_a_client_gets_into_the_head_of_an_answer(wire):
    evil = {"id": "a\r\nset-cookie: b", "inputs": GOOD["inputs"]}
    plain, answer = wire.ask(post()), wire.ask(post(json.dumps(evil).encode()))
    assert answer.headers.keys() == plain.headers.keys()
    path = wire.ask(b"GET /a%0d%0aset-cookie:%20b HTTP/1.1\r\nhost: x\r\n\r\n")
    assert path.headers.keys() == plain.headers.keys() - {"x-slipway-package"}


@pytest.mark.parametrize("filler", [b"a: " + b"b" * 3000 + b"\r\n\r\n", b"a: b\r\n" * 600 + b"\r\n"])
def test_a_head_over_the_limit_is_refused_even_if_it_comes_at_once(wire, filler):
    answer = wire.ask(GET + filler)
    assert (answer.status, answer.closes) == (431, False)
    assert answer.error.endswith(
        ("more than 100 headers; send fewer", f"more than {HEAD_BYTES} bytes; send fewer headers")
    )
    assert wire.ask(LIVE).status == 200


@pytest.mark.parametrize("content", [GET + b"a: " + b"b" * 3000, b"GET /" + b"a" * 3000, b"\r\n" * 2000])
def test_a_head_over_the_limit_is_refused_before_its_end(wire, content):
    answer = wire.ask(content)
    assert (answer.status, answer.closes) == (431, True)
    assert wire.closed


def test_a_head_of_the_limit_is_taken_also_in_front_of_a_large_body(wire):
    filler = "a: " + "b" * (HEAD_BYTES - 200)
    assert wire.ask(post(BODY.ljust(BODY_BYTES), "/v2/models/tiny/infer", filler)).status == 200
