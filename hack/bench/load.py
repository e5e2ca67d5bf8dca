"""Load on one view of a server for some seconds, from the last CPU: wrk for HTTP, our own client for gRPC.

Any refused or broken request ends the measurement: figures of failures mean nothing.
"""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.packages import ROOT
from bench.servers import HOST, PEERS, Server
from bench.workloads import Workload

FOLDER = ROOT / "hack" / "bench"
WARM_SECONDS = 0.5
#: A request may take this long; a client may take this much longer than its window.
PATIENCE = 20


@dataclass(frozen=True)
class Window:
    """What one window of load measured.

    Attributes:
        rate: Requests per second.
        p50: Median latency in ms.
        p95: 95th percentile.
        p99: 99th percentile.
        cpu: Seconds of processor time of the server per 1,000 requests.
    """

    rate: float
    p50: float
    p95: float
    p99: float
    cpu: float


def require_wrk() -> None:
    """End with the way out if there is no wrk."""
    if not shutil.which("wrk"):
        sys.exit("wrk, which sends the requests, is not installed; on Debian and Ubuntu: sudo apt-get install wrk")


def measure(server: Server, view: str, clients: int, seconds: float) -> Window:
    """Warm a view up, then measure it; what a client leaves unanswered is no load on whoever comes next."""
    client = _grpc if view == "grpc" else _http
    client(server, view, clients, min(WARM_SECONDS, seconds))
    server.settle()
    spent = server.cpu_seconds()
    found = client(server, view, clients, seconds)
    spent = server.cpu_seconds() - spent
    server.settle()
    count = found["count"]
    if not count:
        sys.exit(
            f"{server.peer.name} answered no {view} request of {clients} clients in {seconds:g} s; raise --seconds"
        )
    return Window(count / found["seconds"], found["p50"], found["p95"], found["p99"], 1000 * spent / count)


def limits(workload: Workload, seconds: float, cpu: int, scratch: Path) -> dict[str, float]:
    """Return rows per second of the graph in a process of its own, by batch size."""
    command = ["taskset", "-c", cpu, sys.executable, PEERS / "in_process.py", workload.graph, seconds]
    if workload.picture:
        sent = scratch / "picture.jpg"
        sent.write_bytes(workload.picture)
        command.append(sent)
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=True, timeout=4 * seconds + PATIENCE
    )
    rates: dict[str, float] = json.loads(done.stdout)
    return rates


def _http(server: Server, view: str, clients: int, seconds: float) -> dict[str, float]:
    request = server.requests[view]
    headers = [part for pair in request.headers.items() for part in pair]
    url = f"http://{HOST}:{server.ports[0]}{request.path}"
    wrk = ["wrk", "-t1", f"-c{clients}", f"-d{math.ceil(seconds) + 1}s", f"--timeout={PATIENCE}s"]
    return _run([*wrk, "-s", FOLDER / "post.lua", url, "--", server.body(view), *headers], server, seconds)


def _grpc(server: Server, view: str, clients: int, seconds: float) -> dict[str, float]:
    command = [sys.executable, FOLDER / "grpc_load.py", server.ports[1], server.body(view), clients, seconds]
    return _run(command, server, seconds + PATIENCE)


def _run(command: list[object], server: Server, seconds: float) -> dict[str, float]:
    """Run a client; wrk knows whole seconds only, so it is interrupted, upon which it reports."""
    last = max(os.sched_getaffinity(0))
    words = ["taskset", "-c", str(last), *map(str, command)]
    client = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        output, errors = client.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        client.send_signal(signal.SIGINT)
        output, errors = client.communicate(timeout=PATIENCE)
    finally:
        client.kill()
    lines = [line for line in output.splitlines() if line.startswith("{")]
    found: dict[str, float] = json.loads(lines[-1]) if lines else {}
    if not found or found["refused"] or found["broken"]:
        sys.exit(f"{server.peer.name}: requests failed, so there is nothing to measure: {found or output + errors}")
    return found
