"""A server with small limits, for tests that reach them over a socket."""

from collections.abc import Iterator

import pytest
from wire import Wire

FLAGS = {
    "max-body-bytes": 20_000,
    "max-header-bytes": 2_000,
    "max-pending-bytes": 50_000,
    "max-connections": 8,
    "receive-seconds": 1,
}


@pytest.fixture(scope="session")
def port(launch, sealed) -> Iterator[int]:
    """The HTTP port of the server."""
    start, stop = launch
    running = start(sealed.path, *(word for name, value in FLAGS.items() for word in (f"--{name}", str(value))))
    yield running.ready["http_port"]
    code, _, errors = stop(running)
    assert (code, errors) == (0, "")


@pytest.fixture
def wire(port) -> Iterator[Wire]:
    """A connection to it."""
    with Wire(port) as made:
        yield made
