"""A connection that gives up in time."""

import http.server
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from components.errors import TrackingError
from components.tracking import Tracking


@pytest.fixture
def black_hole() -> Iterator[str]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


class Dripping(http.server.BaseHTTPRequestHandler):
    """Answers a byte now and then, so that no single read ever waits long."""

    def do_GET(self) -> None:
        self.do_POST()

    def do_POST(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "1000")
        self.end_headers()
        for _ in range(50):
            try:
                self.wfile.write(b" ")
            except OSError:
                return
            time.sleep(0.1)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture
def dripping() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Dripping) as server:
        server.daemon_threads, server.block_on_close = True, False
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("kind", ["black_hole", "dripping"])
def test_a_server_that_does_not_answer_costs_no_more_than_agreed(kind, request):
    start = time.monotonic()
    tracking = Tracking(request.getfixturevalue(kind), seconds=1.0)
    for _ in range(3):
        with pytest.raises(TrackingError, match="no answer within 1 s"):
            tracking.initialise()
    assert time.monotonic() - start < 2.5, "the limit is for all calls together"


def test_a_server_that_is_down_is_named_with_the_way_out():
    with pytest.raises(TrackingError, match=r"127.0.0.1:9.*check MLFLOW_TRACKING_URI and that the server runs"):
        Tracking("http://127.0.0.1:9").initialise()


def test_an_error_of_ours_stays_what_it_is(tmp_path):
    with pytest.raises(ZeroDivisionError):
        Tracking(f"sqlite:///{tmp_path / 'mlflow.db'}").call(lambda: 1 / 0)
