"""What a step takes of the machine while it works: processor and memory, sampled beside it."""

import os
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from modelpackage import canonical_json

SECONDS = 1.0
#: When so many samples are there, every other one is dropped and the pause doubled: a long run has a short account.
MOST_SAMPLES = 600
STATE = Path("/proc/self/statm")


class Usage:
    """Samples this process until the ``with`` block ends, then writes the account.

    Args:
        path: JSON file to write: for each sample ``seconds`` since the start, ``cpu_percent`` (100 is one core) and
            ``memory_mb``. Nothing is written where the system has no /proc.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._samples = path, [self._look(0.0, 0.0)]
        self._pause, self._ended = SECONDS, threading.Event()
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
        if kind is None and STATE.exists():
            self._path.write_bytes(canonical_json(self._samples))

    def _sample(self) -> None:
        start, told = time.monotonic(), (time.monotonic(), _busy())
        while not self._ended.wait(self._pause):
            now = (time.monotonic(), _busy())
            share = 100 * (now[1] - told[1]) / (now[0] - told[0])
            told = now
            self._samples.append(self._look(now[0] - start, share))
            if len(self._samples) > MOST_SAMPLES:
                self._samples, self._pause = self._samples[::2], 2 * self._pause

    @staticmethod
    def _look(seconds: float, share: float) -> dict[str, float]:
        pages = int(STATE.read_text().split()[1]) if STATE.exists() else 0
        memory = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
        return {"seconds": round(seconds, 1), "cpu_percent": round(share, 1), "memory_mb": round(memory, 1)}


def _busy() -> float:
    """Return the seconds that all threads together have worked."""
    times = os.times()
    return times.user + times.system
