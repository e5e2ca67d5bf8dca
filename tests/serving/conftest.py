"""A real server process on loopback, one for all tests that only ask."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import tiny_picture
import tiny_table

from modelpackage import Package

ROOT = Path(__file__).parents[2]
LOOPBACK = ("--host", "127.0.0.1", "--http-port", "0", "--grpc-port", "0", "--drain-seconds", "0")


@dataclass
class Server:
    process: subprocess.Popen[str]
    lines: list[str]

    @property
    def ready(self) -> dict:
        return json.loads(self.lines[-1])

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.ready['http_port']}"

    @property
    def grpc(self) -> str:
        return f"127.0.0.1:{self.ready['grpc_port']}"


def start(package: Path, *flags: str, python: str = sys.executable) -> Server:
    """Start a server on free ports and wait for its ready line."""
    process = subprocess.Popen(
        [python, "-m", "serving", "--package", str(package), *LOOPBACK, *flags],
        cwd=ROOT,
        env={key: value for key, value in os.environ.items() if not key.startswith("SLIPWAY_")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if json.loads(line)["event"] == "ready":
            return Server(process, lines)
    raise AssertionError(f"no ready line: {lines} {process.stderr.read()}")


def stop(server: Server) -> tuple[int, str, str]:
    """End a server; return its exit code and what it wrote after its ready line."""
    server.process.terminate()
    out, err = server.process.communicate(timeout=30)
    return server.process.returncode, out, err


@pytest.fixture(scope="session")
def launch() -> Iterator[object]:
    """The two functions above, for tests that need a server of their own."""
    return start, stop


@pytest.fixture(scope="session")
def server(sealed: Package) -> Iterator[Server]:
    running = start(sealed.path, "--max-body-bytes", "65536", "--max-rows", "8", "--max-nesting", "8")
    yield running
    code, _, errors = stop(running)
    assert (code, errors) == (0, "")


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """A sealed package of the tiny table, with gaps and text; tests must not change it."""
    return tiny_table.seal(tmp_path_factory.mktemp("table") / "package")


@pytest.fixture(scope="session")
def table_server(table: Package) -> Iterator[Server]:
    running = start(table.path)
    yield running
    code, _, errors = stop(running)
    assert (code, errors) == (0, "")


@pytest.fixture(scope="session")
def pictured(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """A sealed package that says how it decodes pictures; tests must not change it."""
    return tiny_picture.seal(tmp_path_factory.mktemp("pictured") / "package")


@pytest.fixture(scope="session")
def picture_server(pictured: Package) -> Iterator[Server]:
    running = start(pictured.path, "--max-elements", "90", "--max-pixels", "1000")
    yield running
    code, _, errors = stop(running)
    assert (code, errors) == (0, "")
