"""The contestants as processes: started on one CPU and on loopback, watched, and ended by process id."""

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil  # type: ignore[import-untyped]  # it carries no types
from bench.packages import ROOT
from bench.workloads import FORMS, Request, Workload

HOST = "127.0.0.1"
PEERS = ROOT / "hack" / "peers"
#: MLServer can't share an environment with kserve.
PEERS_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
#: kserve takes half a minute to end, and nothing is lost with it: a second is enough.
READY_SECONDS, END_SECONDS = 60, 1
#: What is kept of a server's log: its end.
KEEP = ("tail", "-c", "2000")
#: The kernel counts processor time in hundredths of a second.
LOOK_SECONDS = 0.1
Ports = tuple[int, int, int]
Command = Callable[[Workload, Ports], list[object]]


@dataclass(frozen=True)
class Peer:
    """A contestant.

    Attributes:
        name: As the report has it.
        views: Each way to ask it, with the form of the request.
        command: What starts it, given the workload and ports for HTTP, gRPC and metrics.
        absent: Why it can't take part here.
    """

    name: str
    views: dict[str, str]
    command: Command
    absent: str = ""

    def views_of(self, workload: Workload) -> dict[str, str]:
        """Return the views that a workload has: pictures are asked over HTTP, and kserve refuses raw ones."""
        without = {"grpc", "binary"} if self.name == "kserve" else {"grpc"}
        return {view: form for view, form in self.views.items() if not workload.picture or view not in without}


def slipway(*flags: str) -> Command:
    """Return the command of our predictor with these flags."""
    return lambda workload, ports: [
        sys.executable, "-m", "serving", "--package", workload.package, "--host", HOST,
        "--http-port", ports[0], "--grpc-port", ports[1], "--threads", "1", *flags,
    ]  # fmt: skip


def program(name: str, python: Path | str = sys.executable, *, named: bool = True, ports: int = 2) -> Command:
    """Return the command of a peer's program, which takes the graph, mostly the model's name, and ports."""
    return lambda workload, free: [
        python, PEERS / name, workload.graph, *([workload.model] if named else []), *free[:ports],
    ]  # fmt: skip


CONTESTANTS = (
    Peer("slipway", {"json": "our-json", "binary": "our-binary", "grpc": "our-grpc"}, slipway()),
    Peer("slipway-unbatched", {"json": "our-json"}, slipway("--max-batch-rows", "1")),
    Peer("kserve", {"json": "json", "binary": "binary", "grpc": "grpc"}, program("kserve_server.py")),
    Peer(
        "mlserver",
        {"json": "json"},
        program("mlserver_server.py", PEERS_PYTHON, ports=3),
        "" if PEERS_PYTHON.exists() else "is not installed; hack/setup peers .venv-peers installs it",
    ),
    Peer("fastapi", {"json": "plain"}, program("fastapi_server.py", named=False, ports=1)),
)


class Server:
    """A running contestant, ready once it has answered.

    Args:
        peer: Which one.
        workload: What it serves.
        cpu: The one it runs on.
        scratch: Where its log and the requests' bodies go.

    Attributes:
        seconds: From the start of the process to its first answer.
    """

    def __init__(self, peer: Peer, workload: Workload, cpu: int, scratch: Path) -> None:
        self.peer, self.scratch = peer, scratch
        self.requests = {view: FORMS[form](workload) for view, form in peer.views_of(workload).items()}
        self.ports = _free_ports()
        self.log = scratch / f"{peer.name}.log"
        words = ["taskset", "-c", str(cpu), *map(str, peer.command(workload, self.ports))]
        begun = time.perf_counter()
        self.process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.tail = self._follow()
        try:
            answer = self._first_answer(self.requests["json"])
        except BaseException:
            self.end()
            raise
        self.seconds = time.perf_counter() - begun
        if answer:
            self.end()
            raise SystemExit(f"{peer.name} {answer} in place of an inference\n{self.log.read_text()}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """End the process, by force if it does not follow."""
        family = self._family() if self.process.poll() is None else []
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=END_SECONDS)
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.kill()
        self.process.wait(timeout=READY_SECONDS)
        self.tail.wait(timeout=READY_SECONDS)

    def cpu_seconds(self) -> float:
        """Return the processor time so far."""
        return sum(sum(member.cpu_times()[:2]) for member in self._family())

    def settle(self) -> None:
        """Wait until it has nothing to do."""
        limit = time.monotonic() + READY_SECONDS
        busy = True
        while busy and time.monotonic() < limit:
            before = self.cpu_seconds()
            time.sleep(LOOK_SECONDS)
            busy = self.cpu_seconds() - before > LOOK_SECONDS / 4

    def memory(self) -> float:
        """Return the proportional set size in MB."""
        total = 0
        for member in self._family():
            for line in Path(f"/proc/{member.pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        return total / 1024

    def body(self, view: str) -> Path:
        """Return the file with the body of a view's request."""
        path = self.scratch / f"{self.peer.name}-{view}.body"
        if not path.exists():
            path.write_bytes(self.requests[view].body)
        return path

    def _family(self) -> list[psutil.Process]:
        first = psutil.Process(self.process.pid)
        return [first, *first.children(recursive=True)]

    def _follow(self) -> "subprocess.Popen[bytes]":
        """Drain the server's log through a pipe, as a container runtime does: a slow disk must not measure along."""
        source = self.process.stdout
        words = ["taskset", "-c", str(max(os.sched_getaffinity(0))), *KEEP]
        with self.log.open("wb") as log:
            tail = subprocess.Popen(words, stdin=source, stdout=log)
        if source:
            source.close()
        return tail

    def _first_answer(self, request: Request) -> str:
        """Wait for an inference; return what came in its place, or nothing."""
        limit = time.monotonic() + READY_SECONDS
        answer = "answered nothing"
        while self.process.poll() is None and time.monotonic() < limit:
            with suppress(OSError, http.client.HTTPException):
                status, text = _ask(self.ports[0], request)
                if status == http.client.OK:
                    return ""
                answer = f"answered {text}"
            time.sleep(0.005)
        return answer if self.process.poll() is None else f"ended with {self.process.poll()}"


def _ask(port: int, request: Request) -> tuple[int, str]:
    connection = http.client.HTTPConnection(HOST, port, timeout=10)
    try:
        connection.request("POST", request.path, request.body, request.headers)
        response = connection.getresponse()
        return response.status, response.read().decode(errors="replace")
    finally:
        connection.close()


def _free_ports() -> Ports:
    with ExitStack() as stack:
        one, two, three = (stack.enter_context(socket.create_server((HOST, 0))).getsockname()[1] for _ in range(3))
    return one, two, three
