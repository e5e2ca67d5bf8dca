"""HTTP by hand, byte for byte, over a socket on loopback."""

import json
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

GOOD = {"id": "7", "inputs": [{"name": "image", "datatype": "FP32", "shape": [1, 2, 2], "data": [1, 2, 3, 4]}]}
BODY = json.dumps(GOOD).encode()
LIVE = b"GET /v2/health/live HTTP/1.1\r\nhost: x\r\n\r\n"


@dataclass
class Answer:
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def error(self) -> str:
        fields = json.loads(self.body)
        assert list(fields) == ["error"]
        return fields["error"]

    @property
    def closes(self) -> bool:
        return self.headers.get("connection") == "close"


class Wire:
    """One connection; reads whole answers."""

    def __init__(self, port: int, *, window: int | None = None) -> None:
        self.socket = socket.socket()
        if window:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        self.socket.settimeout(20)
        self.socket.connect(("127.0.0.1", port))
        self._read = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, content: bytes) -> Self:
        self.socket.sendall(content)
        return self

    def answer(self, *, head: bool = False) -> Answer:
        """The next answer, whole; of a HEAD request its head alone."""
        lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines[1:])
        status = int(lines[0].split()[1])
        length = 0 if head or status == 100 else int(headers["content-length"])
        while len(self._read) < length:
            self._more()
        body, self._read = self._read[:length], self._read[length:]
        return Answer(status, headers, body)

    def ask(self, content: bytes) -> Answer:
        return self.send(content).answer()

    @property
    def closed(self) -> bool:
        """Wait for the other side to close; false if it says something instead."""
        try:
            return not self._read and self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def told_to_come_back(self) -> bool:
        """Whether the other side says that it has no room, rather than nothing at all before it ends the connection."""
        try:
            return self.answer().status == 503
        except (AssertionError, ConnectionResetError):
            assert not self._read
            return False

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._read:
            self._more()
        found, self._read = self._read.split(mark, 1)
        return found

    def _more(self) -> None:
        piece = self.socket.recv(1 << 16)
        assert piece, f"the connection ended behind {self._read!r}"
        self._read += piece


def post(body: bytes = BODY, path: str = "/v2/models/tiny/infer", *headers: str) -> bytes:
    """A request with a length."""
    return head(path, f"content-length: {len(body)}", *headers) + body


def head(path: str = "/v2/models/tiny/infer", *headers: str) -> bytes:
    lines = (f"POST {path} HTTP/1.1", "host: x", "content-type: application/json", *headers)
    return "\r\n".join((*lines, "", "")).encode("latin-1")


def chunked(*chunks: bytes, extension: str = "", trailers: bytes = b"") -> bytes:
    """A request in chunks."""
    frames = b"".join(b"%x%s\r\n%s\r\n" % (len(chunk), extension.encode(), chunk) for chunk in chunks)
    return head("/v2/models/tiny/infer", "transfer-encoding: chunked") + frames + b"0\r\n" + trailers + b"\r\n"


def metrics(port: int) -> dict[str, float]:
    """All numbers, by name and labels."""
    with Wire(port) as wire:
        text = wire.ask(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").body.decode()
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}


def in_flight(port: int) -> float:
    """Inference requests that are being answered."""
    found = metrics(port)
    return sum(found[f'slipway_requests_in_flight{{protocol="{protocol}"}}'] for protocol in ("rest", "grpc"))


def eventually(holds: Callable[[], bool], seconds: float = 15) -> bool:
    """Whether something comes to hold; the time is only for a machine with much to do."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
