import json
from email.utils import parsedate_to_datetime

import pytest

from serving.errors import STATUS, InvalidInputError, OverloadedError
from serving.rest.message import Request, Response, refusal


def parsed(head):
    first, *lines = head.decode().split("\r\n")
    assert lines[-2:] == ["", ""]
    return first, dict(line.split(": ", 1) for line in lines[:-2])


def test_a_response_begins_with_its_status_and_its_length():
    first, headers = parsed(Response(b"abc", 404, "text/plain", {"allow": "GET"}).head(close=False))
    assert first == "HTTP/1.1 404 Not Found"
    assert parsedate_to_datetime(headers.pop("date")).tzinfo
    assert headers == {"content-type": "text/plain", "content-length": "3", "allow": "GET"}


def test_the_last_response_of_a_connection_says_so():
    assert parsed(Response().head(close=True))[1]["connection"] == "close"
    assert "connection" not in parsed(Response().head(close=False))[1]


@pytest.mark.parametrize("kind", STATUS)
def test_every_refusal_is_one_sentence_in_json(kind):
    error = kind("a\r\nsentence é")
    response = refusal(error)
    assert json.loads(response.body) == {"error": str(error)}
    assert (response.status, response.media) == (STATUS[kind].http, "application/json")
    assert parsed(response.head(close=False))[0].startswith(f"HTTP/1.1 {int(STATUS[kind].http)} ")


def test_whoever_is_refused_for_want_of_room_may_come_back():
    assert refusal(OverloadedError("full")).headers == {"retry-after": "1"}
    assert refusal(InvalidInputError("bad")).headers == {}


def test_a_body_is_the_sum_of_its_pieces():
    request = Request("POST", "/", {})
    for piece in (b"ab", b"", b"c", b"def"):
        request.extend(piece)
    assert bytes(request.body) == b"abcdef"
    assert Request("POST", "/", {}).body == b""
