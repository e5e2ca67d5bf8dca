"""What is seen of a training from outside, up to the moment in which it is killed: a file of numbers in memory.

Keeping it costs a step about a microsecond, and the training runs as ever: the methods that note steps and write
checkpoints are wrapped in the process that trains, nothing is replaced. For hack/break-training.
"""

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Where the file is, for processes that another one starts.
VARIABLE = "BREAK_TRAINING_WATCH"
#: Numbers before the moments of the steps, and most processes.
STEP, BEFORE, BEGUN, STARTS, GAP, WRITING, WRITTEN, PIDS, MOST = 0, 1, 2, 3, 4, 5, 6, 8, 16
HEAD = PIDS + MOST


class Seen:
    """What was seen of a training; moments are those of the machine's clock.

    Args:
        numbers: As the training wrote them.
    """

    def __init__(self, numbers: NDArray[np.float64]) -> None:
        self.numbers = numbers

    @property
    def starts(self) -> int:
        """How often a process began to learn."""
        return int(self.numbers[STARTS])

    @property
    def step(self) -> int:
        """The last step that is done."""
        return int(self.numbers[STEP])

    @property
    def origin(self) -> int:
        """The step that the process of rank 0 went on from."""
        return int(self.numbers[BEFORE])

    @property
    def begun(self) -> float:
        """When this process had its first step done."""
        return float(self.numbers[BEGUN])

    def pids(self) -> list[int]:
        """Return the processes that train, by rank."""
        return [int(pid) for pid in self.numbers[PIDS:HEAD] if pid]

    def allowed(self, interval: float) -> float:
        """Return the seconds of work that a kill now may cost.

        The interval goes by, one step ends, and the checkpoint of it is not yet written.
        """
        gap, writing, written = (float(self.numbers[place]) for place in (GAP, WRITING, WRITTEN))
        write = max(written, time.monotonic() - writing if writing else 0.0)
        return max(interval, write) + gap + write

    def seconds(self, first: int) -> float:
        """Return how long the last process worked on the steps after ``first``."""
        if first >= self.step:
            return 0.0
        return float(self.numbers[HEAD + self.step] - max(self.numbers[HEAD + first], self.begun))


class Watch(Seen):
    """A file of these numbers, which a training writes and the one that kills it reads.

    Args:
        path: Of the file.
        steps: Most steps of a training; none opens a file that is there.
    """

    def __init__(self, path: Path, steps: int | None = None) -> None:
        if steps is not None:
            path.write_bytes(bytes(8 * (HEAD + steps + 1)))
        super().__init__(np.memmap(path, np.float64, "r+"))

    def copy(self) -> Seen:
        """Return what is seen now."""
        return Seen(np.array(self.numbers))

    def begin(self, rank: int) -> None:
        """Note from now on what this process does."""
        self.numbers[PIDS + rank] = os.getpid()
        if rank == 0:
            self._steps()
            self._writes()

    def _steps(self) -> None:
        from components.models.progress import Progress

        numbers, learned = self.numbers, Progress.learned
        begun: list[float] = []

        def noted(progress: Progress, loss: float, norm: float) -> None:
            learned(progress, loss, norm)
            now = time.monotonic()
            first = not begun
            if first:
                begun.append(now)
                numbers[[BEFORE, BEGUN, GAP, WRITING]] = progress.step - 1, now, 0, 0
            else:
                numbers[GAP] = max(numbers[GAP], now - numbers[HEAD + progress.step - 1])
            numbers[HEAD + progress.step], numbers[STEP] = now, progress.step
            numbers[STARTS] += first

        Progress.learned = noted  # type: ignore[method-assign,assignment]  # this process is watched

    def _writes(self) -> None:
        from components.models.checkpoint import Keeper

        numbers, write = self.numbers, Keeper._write  # noqa: SLF001 (how long it takes is told nowhere else)

        def noted(keeper: Keeper, *state: Any) -> None:
            numbers[WRITING] = time.monotonic()
            write(keeper, *state)
            numbers[WRITTEN] = max(numbers[WRITTEN], time.monotonic() - numbers[WRITING])
            numbers[WRITING] = 0

        Keeper._write = noted  # type: ignore[method-assign,assignment]  # noqa: SLF001 (as above)
