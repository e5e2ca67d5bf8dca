"""A real MLflow server on loopback: sqlite and local files behind it, artifacts through it, as a cluster has it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import urllib3


@contextmanager
def serving(folder: Path, *, limit: float = 120) -> Iterator[str]:
    """Run a server while the block runs.

    Args:
        folder: Empty; gets the database, the artifacts and ``server.log``.
        limit: Seconds until it must answer; it takes about twelve.

    Yields:
        Its URL.

    Raises:
        RuntimeError: It did not become ready; shows the end of its log.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = folder / "server.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            _command(folder, port),
            cwd=folder,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_ready(server, f"http://127.0.0.1:{port}/health", log, limit)
        yield f"http://127.0.0.1:{port}"
    finally:
        # The first process would leave the one that answers behind, so both are told.
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=20)
        _wait_free(port)


def _command(folder: Path, port: int) -> list[str]:
    hosts = f"--allowed-hosts=127.0.0.1:{port},localhost:{port}"
    places = [
        f"--backend-store-uri=sqlite:///{folder / 'mlflow.db'}",
        f"--artifacts-destination={folder / 'artifacts'}",
    ]
    return [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--host=127.0.0.1",
        f"--port={port}",
        "--workers=1",
        hosts,
        *places,
    ]


def _environment() -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    return {**own, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}


def _wait_ready(server: "subprocess.Popen[bytes]", url: str, log: Path, limit: float) -> None:
    end = time.monotonic() + limit
    while server.poll() is None and time.monotonic() < end:
        try:
            if urllib3.request("GET", url, retries=False, timeout=5).status == 200:
                return
        except urllib3.exceptions.HTTPError:
            pass
        time.sleep(0.2)
    last = "\n".join(log.read_text(errors="replace").splitlines()[-12:])
    raise RuntimeError(f"no MLflow server after {limit} s, or it ended with {server.poll()}:\n{last}")


def _wait_free(port: int) -> None:
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return
        time.sleep(0.1)
    raise RuntimeError(f"the MLflow server on port {port} did not end in 10 s")
