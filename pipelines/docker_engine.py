"""The container engine of this machine: Docker, or another that talks like it at ``DOCKER_HOST``."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import docker
from docker.errors import DockerException

from pipelines.errors import RunError

#: Seconds in which an engine that is there has taken a connection.
CONNECT_SECONDS = 5.0


@contextmanager
def docker_engine(seconds: float = 60.0) -> Iterator[Any]:
    """Yield a client of the engine, and close it at the end.

    Args:
        seconds: How long one request to the engine may take.

    Raises:
        RunError: If no engine answers.
    """
    try:
        _connect()
        client = docker.from_env(timeout=seconds)
    except (DockerException, OSError) as error:
        raise RunError(
            f"no container engine answers at {_place()} ({_reason(error)}); start Docker, set DOCKER_HOST to where it "
            "is, or leave --runner docker away"
        ) from None
    try:
        yield client
    finally:
        client.close()


def _place() -> str:
    return os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"


def _connect() -> None:
    """Raise an OSError where nothing listens; the library takes longer for that, and leaves its socket open."""
    if _place().startswith("unix://"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as attempt:
            attempt.settimeout(CONNECT_SECONDS)
            attempt.connect(_place().removeprefix("unix://"))


def _reason(error: BaseException) -> str:
    """Return the innermost cause in few words; the client wraps it in several layers of text."""
    while error.__context__:
        error = error.__context__
    return getattr(error, "strerror", None) or str(error)
