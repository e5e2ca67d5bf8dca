import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from serving.__main__ import main

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])  # noqa: S104 (what the server listens on)
def test_a_ready_server_is_healthy(server, capsys, host):
    port = str(server.ready["http_port"])
    assert main(["--health"], {"SLIPWAY_HTTP_PORT": port, "SLIPWAY_HOST": host}) == 0
    assert main(["--health", "--http-port", port, "--host", host], {}) == 0
    assert capsys.readouterr() == ("", "")


def test_no_server_is_not_healthy_and_one_line_says_so(capsys):
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        assert main(["--health"], {"SLIPWAY_HTTP_PORT": str(port)}) == 1
    assert re.fullmatch(rf"not ready: 127\.0\.0\.1 port {port}: .+\n", capsys.readouterr().err)


@pytest.mark.parametrize("port", ["http", "-1", "99999", ""])
def test_what_is_no_port_is_named(capsys, port):
    assert main(["--health", "--http-port", port], {}) == 1
    assert f"port {port}: " in capsys.readouterr().err


def test_a_draining_server_is_not_healthy(launch, sealed, capsys):
    start, stop = launch
    server = start(sealed.path, "--drain-seconds", "30")
    server.process.terminate()
    assert '"draining"' in server.process.stdout.readline()
    assert main(["--health", "--http-port", str(server.ready["http_port"])], {}) == 1
    assert re.fullmatch(r"not ready: /v2/health/ready says \d{3}\n", capsys.readouterr().err)
    assert stop(server)[0] == 0


def test_a_check_imports_next_to_nothing():
    code = "import sys, serving.__main__, serving.health; print(*sys.modules)"
    loaded = set(subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True).split())
    assert not {"numpy", "pydantic", "modelpackage", "asyncio", "onnxruntime"} & loaded
    assert "serving.health" in loaded
