"""An HTTP request that has arrived whole, and the response to it."""

from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from time import time

import orjson

from serving.errors import STATUS, OverloadedError, RequestError

JSON = "application/json"
RETRY_SECONDS = 1
_now = (0, "")


@dataclass(slots=True)
class Request:
    """A request.

    Attributes:
        method: In capitals.
        path: Without its query, percent signs decoded.
        headers: By name in lower case; those of one name joined by commas.
        body: As it came.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: bytes | bytearray = b""

    def extend(self, piece: bytes) -> None:
        """Add a piece to the body; of most bodies the first is the whole, which is then not copied."""
        if not self.body:
            self.body = piece
        elif isinstance(self.body, bytearray):
            self.body += piece
        else:
            self.body = bytearray(self.body) + piece


@dataclass(slots=True)
class Response:
    """A response.

    Attributes:
        body: Its bytes.
        status: The code.
        media: Its media type.
        headers: Further ones, in lower case; nothing that a client sent.
    """

    body: bytes = b""
    status: int = 200
    media: str = JSON
    headers: dict[str, str] = field(default_factory=dict)

    def head(self, *, close: bool) -> bytes:
        """Return the status line and the headers."""
        lines = [
            _status_line(self.status),
            f"content-type: {self.media}",
            f"content-length: {len(self.body)}",
            _date_line(),
            *(f"{name}: {value}" for name, value in self.headers.items()),
        ]
        if close:
            lines.append("connection: close")
        return "\r\n".join((*lines, "\r\n")).encode("latin-1")


def refusal(error: RequestError) -> Response:
    """Return the response of an error."""
    headers = {"retry-after": str(RETRY_SECONDS)} if isinstance(error, OverloadedError) else {}
    return Response(orjson.dumps({"error": str(error)}), STATUS[type(error)].http, JSON, headers)


def _date_line() -> str:
    """Return the header with the time, made once a second."""
    global _now  # noqa: PLW0603  # one assignment of a pair, in one thread
    seconds = int(time())
    if _now[0] != seconds:
        _now = seconds, f"date: {formatdate(seconds, usegmt=True)}"
    return _now[1]


def _status_line(status: int) -> str:
    line = LINES.get(status)
    return line or f"HTTP/1.1 {status} "


LINES = {int(status): f"HTTP/1.1 {int(status)} {status.phrase}" for status in HTTPStatus}
