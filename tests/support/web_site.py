"""A web server on loopback whose every habit can be set."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CONTENT = bytes(range(256)) * 4000


class Site(ThreadingHTTPServer):
    """A web server whose every habit can be set."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {"/data.csv": CONTENT}
        self.etag: str | None = '"one"'
        self.cuts: list[int] = []  # of the next answers, how many bytes are sent before the line is cut
        self.faults: list[int] = []  # of the next answers, the status
        self.ranges = self.conditions = True
        self.redirects: dict[str, str] = {}
        self.length: int | None = None
        self.endless = False
        self.asked: list[tuple[str, str | None]] = []
        self.scheme = "http"

    def url(self, path: str = "/data.csv", host: str = "127.0.0.1") -> str:
        return f"{self.scheme}://{host}:{self.server_port}{path}"

    def handle_error(self, *_: object) -> None:
        """Clients may go away."""


class Handler(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        site, wanted = self.server, self.headers.get("range")
        site.asked.append((self.path, wanted))
        if site.faults:
            return self._head(site.faults.pop(0), {"content-length": "0"})
        if self.path in site.redirects:
            return self._head(302, {"location": site.redirects[self.path], "content-length": "0"})
        if self.path not in site.files:
            return self._head(404, {"content-length": "0"})
        content = site.files[self.path]
        headers = {"etag": site.etag} if site.etag else {}
        same = not site.conditions or self.headers.get("if-range") == site.etag
        if wanted and site.ranges and same:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                return self._head(416, {"content-range": f"bytes */{len(content)}", "content-length": "0"})
            headers["content-range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            return self._body(206, headers, content[start:])
        return self._body(200, headers, content)

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _body(self, status: int, headers: dict[str, str], content: bytes) -> None:
        site = self.server
        if not site.endless:
            headers["content-length"] = str(len(content) if site.length is None else site.length)
        self._head(status, headers)
        self.wfile.write(content[: site.cuts.pop(0)] if site.cuts else content)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[Site]:
    with Site() as site:
        if tls:
            site.socket, site.scheme = tls.wrap_socket(site.socket, server_side=True), "https"
        thread = threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield site
        finally:
            site.shutdown()
            thread.join()
