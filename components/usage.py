"""What a step takes of the machine while it works: processor, memory and NVIDIA GPUs, sampled beside it.

It refuses nothing: what the system does not tell is not in the account. The steps may import it.
"""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from components.gpu import Gpus
from modelpackage import canonical_json

SECONDS = 1.0
#: When so many samples are there, every other one is dropped and the pause doubled: a long run has a short account.
MOST_SAMPLES = 600
PROC = Path("/proc")
#: Places in /proc/PID/stat after the program's name, which may hold blanks: its own processor time, and its memory.
USER, SYSTEM, PAGES = 11, 12, 21


class Usage:
    """Samples this process and all that it started until the ``with`` block ends, then writes the account.

    Args:
        path: JSON file to write: for each sample ``seconds`` since the start, ``cpu_percent`` (100 is one core) and
            ``memory_mb``, where pages that processes share count for each; with NVIDIA GPUs also ``gpu_percent``, their
            mean, and ``gpu_memory_mb``, their sum. Nothing is written where the system has no /proc.
        gpus: Only so many of those that this process may use, the first; what others do on them is counted, too.
    """

    def __init__(self, path: Path, gpus: int | None = None) -> None:
        self._path, self._gpus = path, Gpus.open(gpus)
        self._busy: dict[int, float] = {}
        self._pause, self._ended = SECONDS, threading.Event()
        self._samples = [self._look(0.0, 0.0)]
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what was seen, unless the work failed."""
        self._ended.set()
        self._thread.join()
        if kind is None and PROC.exists():
            self._path.write_bytes(canonical_json(self._samples))

    def _sample(self) -> None:
        start = told = time.monotonic()
        while not self._ended.wait(self._pause):
            now = time.monotonic()
            self._samples.append(self._look(now - start, now - told))
            told = now
            if len(self._samples) > MOST_SAMPLES:
                self._samples, self._pause = self._samples[::2], 2 * self._pause

    def _look(self, seconds: float, since: float) -> dict[str, float]:
        states = dict(_states(os.getpid()))
        worked = sum(max(0.0, busy - self._busy.get(pid, 0.0)) for pid, (busy, _) in states.items())
        self._busy = {pid: busy for pid, (busy, _) in states.items()}
        memory = sum(used for _, used in states.values())
        share = 100 * worked / since if since else 0.0
        sample = {"seconds": round(seconds, 1), "cpu_percent": round(share, 1), "memory_mb": round(memory, 1)}
        return sample | (self._gpus.look() if self._gpus else {})


def _states(pid: int) -> Iterator[tuple[int, tuple[float, float]]]:
    """Yield (process, (seconds worked, MB in memory)) of a process and of all below it that are still there."""
    folder = PROC / str(pid)
    try:
        fields = (folder / "stat").read_text().rpartition(") ")[2].split()
        children = [int(child) for task in (folder / "task").iterdir() for child in _words(task / "children")]
    except OSError:
        return
    ticks = int(fields[USER]) + int(fields[SYSTEM])
    yield (
        pid,
        (ticks / os.sysconf("SC_CLK_TCK"), int(fields[PAGES]) * os.sysconf("SC_PAGE_SIZE") / 1e6),
    )
    for child in children:
        yield from _states(child)


def _words(path: Path) -> list[str]:
    """Return the words of a file that may be gone, or that this kernel does not have."""
    try:
        return path.read_text().split()
    except OSError:
        return []
