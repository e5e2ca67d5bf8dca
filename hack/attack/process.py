"""A predictor as a process on loopback: started, watched by /proc, log and metrics, and ended by process id."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"
READY_SECONDS, END_SECONDS = 60, 30
#: What resets VmHWM, see proc(5).
RESET_PEAK = "5"
KILOBYTE, MEGABYTE = 1024, 1 << 20


class Predictor:
    """A running predictor.

    Args:
        package: What it serves.
        folder: Where its log goes.
        flags: More of its settings.
        cpu: The only one it may run on; any without.
        name: Of its log, where several share a folder.

    Attributes:
        http: The port of REST.
        grpc: The port of gRPC.
        log: Everything it wrote to standard output.
    """

    def __init__(
        self, package: Path, folder: Path, *flags: str, cpu: int | None = None, name: str = "predictor"
    ) -> None:
        self.log = folder / f"{name}.log"
        self.errors = folder / f"{name}.err"
        pinned = [] if cpu is None else ["taskset", "-c", str(cpu)]
        where = ["--host", HOST, "--http-port", "0", "--grpc-port", "0", "--drain-seconds", "0", "--threads", "1"]
        command = [*pinned, sys.executable, "-m", "serving", "--package", str(package), *where, *flags]
        with self.log.open("wb") as output, self.errors.open("wb") as errors:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=errors)
        try:
            ready = self._await_ready()
        except BaseException:
            self.process.kill()
            raise
        self.http, self.grpc = int(ready["http_port"]), int(ready["grpc_port"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process.poll() is None

    def end(self) -> int:
        """Ask it to end, by force if it does not follow; return its exit code."""
        if self.alive:
            self.process.terminate()
        try:
            return self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait(END_SECONDS)

    def memory(self, peak: bool = False) -> float:  # noqa: FBT001, FBT002  # said by name everywhere
        """Return the resident memory in MB, now or the most since :meth:`forget_peak`."""
        field = "VmHWM:" if peak else "VmRSS:"
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(field)) / KILOBYTE

    def forget_peak(self) -> None:
        """Begin the peak of memory anew."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text(RESET_PEAK)

    def cpu_seconds(self) -> float:
        """Return the processor time so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def samples(self) -> dict[str, float]:
        """Return the metrics by series."""
        with urllib.request.urlopen(f"http://{HOST}:{self.http}/metrics", timeout=10) as answer:  # ours
            lines = answer.read().decode().splitlines()
        pairs = (line.rpartition(" ") for line in lines if line and not line.startswith("#"))
        return {series: float(value) for series, _, value in pairs}

    def series(self) -> set[str]:
        """Return the series of the metrics, without those of drift: they come with the rows, one for each column."""
        return {series for series in self.samples() if not series.startswith("slipway_drift_")}

    def counted(self, metric: str) -> int:
        """Return the sum of all series of a metric."""
        return int(sum(value for series, value in self.samples().items() if series.split("{")[0] == metric))

    def events(self) -> list[dict[str, Any]]:
        """Return the lines of the log.

        Raises:
            ValueError: One is no JSON object.
        """
        found = [json.loads(line) for line in self.log.read_bytes().split(b"\n") if line]
        if not all(isinstance(line, dict) for line in found):
            raise ValueError("a line of the log is no JSON object")
        return found

    def _await_ready(self) -> dict[str, Any]:
        limit = time.monotonic() + READY_SECONDS
        while self.alive and time.monotonic() < limit:
            for line in self.log.read_bytes().splitlines(keepends=True):
                if b'"event":"ready"' in line and line.endswith(b"\n"):
                    ready: dict[str, Any] = json.loads(line)
                    return ready
            time.sleep(0.02)
        said = self.errors.read_text().strip()[-500:]
        raise SystemExit(f"the predictor did not become ready (exit code {self.process.poll()}): {said}")


def refused(package: Path, folder: Path, *flags: Sequence[str]) -> bool:
    """Tell whether a predictor ends with an error instead of serving a package."""
    try:
        with Predictor(package, folder, *map(str, flags), name="refused"):
            return False
    except SystemExit:
        return True
