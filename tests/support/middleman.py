"""A middleman before a real HTTP server, who spoils some of what passes."""

import http.client
import socket
import struct
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class Middleman(ThreadingHTTPServer):
    """Stands before a real S3 server and spoils some of what passes.

    Attributes:
        spoil: Given the number of a request, its method and its path, returns the name of a fault, or none.
        seen: The methods and paths of all requests, in their order.
    """

    daemon_threads = True

    def __init__(self, server: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.server = urlsplit(server)
        self.spoil: Callable[[int, str, str], str | None] = lambda *_: None
        self.seen: list[tuple[str, str]] = []
        self.lock = threading.Lock()

    def handle_error(self, *_: object) -> None:
        """Stay silent: breaking off is what it is for."""


class Handler(BaseHTTPRequestHandler):
    """Passes a request on, or does to it what the plan says."""

    server: Middleman
    protocol_version = "HTTP/1.1"

    def handle_any(self) -> None:
        with self.server.lock:
            self.server.seen.append((self.command, self.path))
            number = len(self.server.seen)
        fault = self.server.spoil(number, self.command, self.path) or ""
        size = int(self.headers.get("content-length") or 0)
        if fault == "refused":
            return self._reset()
        if fault == "reset":
            self.rfile.read(size // 2)
            return self._reset()
        if fault == "silent":
            time.sleep(1)
            return self._reset()
        sent = self.rfile.read(size)
        if fault in ("500", "503"):
            return self._answer(int(fault), [], b"")
        if fault == "slow":
            time.sleep(0.05)
        status, headers, body = self._pass_on(flipped(sent) if fault == "flip sent" else sent)
        if fault == "lost":
            return self._reset()
        return self._answer(status, headers, body, fault)

    def __getattr__(self, name: str) -> Callable[[], None]:
        """Treat every method alike."""
        if name.startswith("do_"):
            return self.handle_any
        raise AttributeError(name)

    def _pass_on(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(self.server.server.netloc, timeout=10)
        connection.request(self.command, self.path, body=body or None, headers=dict(self.headers.items()))
        answer = connection.getresponse()
        read = answer.status, answer.getheaders(), answer.read()
        connection.close()
        return read

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes, fault: str = "") -> None:
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in ("connection", "transfer-encoding", "content-length", "date", "server"):
                self.send_header(name, value)
        told = dict(headers).get("Content-Length") if self.command == "HEAD" else None
        self.send_header("Content-Length", told or str(len(body)))
        self.end_headers()
        if fault == "cut" and body:
            self.wfile.write(body[: len(body) // 2])
            return self._reset()
        if fault == "drip":
            for byte in body:
                self.wfile.write(bytes([byte]))
                time.sleep(0.05)
            return None
        self.wfile.write(flipped(body) if fault == "flip read" else body)
        return None

    def _reset(self) -> None:
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def log_message(self, *_: object) -> None:
        """Stay silent."""


def flipped(body: bytes) -> bytes:
    """Change one bit in the middle."""
    middle = len(body) // 2
    return body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :] if body else body
