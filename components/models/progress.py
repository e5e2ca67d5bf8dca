"""How far a training is, as plain numbers that a checkpoint carries."""

import math
import time
from dataclasses import asdict, dataclass, field
from typing import Any, Self

#: When so many samples of the pace are there, every other one is dropped and the pause doubled.
MOST_SAMPLES = 600
SECONDS = 1.0


@dataclass
class Progress:
    """How far a training is.

    Attributes:
        epoch: That is being learned, from 1.
        batch: Of this epoch so many are done.
        step: So many batches are done in all.
        losses: Of this epoch's batches.
        norms: The gradients' norms at this epoch's batches.
        history: One entry per epoch that is done.
        best_loss: The smallest validation loss.
        best_epoch: The epoch that had it; 0 before the first.
        seconds: That training took before this process.
        pace: Samples: ``step``, ``seconds``, ``rows_per_second``, ``step_seconds``, ``loss``, ``gradient_norm``.
        pause: Seconds between two samples of the pace.
    """

    epoch: int = 1
    batch: int = 0
    step: int = 0
    losses: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    history: list[dict[str, float]] = field(default_factory=list)
    best_loss: float = math.inf
    best_epoch: int = 0
    seconds: float = 0.0
    pace: list[dict[str, float]] = field(default_factory=list)
    pause: float = SECONDS

    def __post_init__(self) -> None:
        """Start the clock."""
        self._start = time.monotonic()
        self._told = (self._start, self.step)

    @property
    def elapsed(self) -> float:
        """Seconds of training, in this process and those before it."""
        return self.seconds + time.monotonic() - self._start

    def plain(self) -> dict[str, Any]:
        """Return the numbers for a checkpoint."""
        best_loss = None if math.isinf(self.best_loss) else self.best_loss
        return {**asdict(self), "seconds": self.elapsed, "best_loss": best_loss}

    @classmethod
    def of(cls, content: dict[str, Any]) -> Self:
        """Return what :meth:`plain` gave; the clock goes on."""
        return cls(**{**content, "best_loss": math.inf if content["best_loss"] is None else content["best_loss"]})

    def learned(self, loss: float, norm: float) -> None:
        """Note one more batch."""
        self.batch, self.step = self.batch + 1, self.step + 1
        self.losses.append(loss)
        self.norms.append(norm)

    def sample(self, batch_size: int, *, last: bool = False) -> None:
        """Note the pace, if it is time or the epoch's end."""
        moment, step = self._told
        now, steps = time.monotonic(), self.step - step
        if not steps or (now - moment < self.pause and not last):
            return
        self._told = (now, self.step)
        each = (now - moment) / steps
        self.pace.append(
            {
                "step": self.step,
                "seconds": round(self.elapsed, 3),
                "rows_per_second": round(batch_size / each, 1),
                "step_seconds": round(each, 6),
                "loss": self.losses[-1],
                "gradient_norm": self.norms[-1],
            }
        )
        if len(self.pace) > MOST_SAMPLES:
            self.pace, self.pause = self.pace[::2], 2 * self.pause

    def skip(self) -> None:
        """Leave out of the pace what was not training: the judgement of an epoch, the writing of a checkpoint."""
        self._told = (time.monotonic(), self.step)

    def next_epoch(self) -> None:
        """Begin the next epoch."""
        self.epoch, self.batch, self.losses, self.norms = self.epoch + 1, 0, [], []
