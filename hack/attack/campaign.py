"""What a run of many cases shares: the server, the model, the seed, and what was found."""

from collections import Counter
from random import Random

from attack.model import Model
from attack.process import Predictor
from attack.seeds import Seeds

SHOWN_BYTES = 2000


class Campaign:
    """A run.

    Args:
        predictor: Who is asked.
        model: What it serves.
        seed: The same one makes the same cases.

    Attributes:
        statuses: Answers by protocol and status.
        violations: Cases, and what was wrong.
        inferences: Requests that a line of the log must tell of.
        verbose: Whether every case is printed.
    """

    def __init__(self, predictor: Predictor, model: Model, seed: int) -> None:
        self.predictor, self.model, self.seed = predictor, model, seed
        self.seeds = Seeds(model)
        self.statuses: Counter[tuple[str, str]] = Counter()
        self.violations: list[tuple[str, str]] = []
        self.inferences = 0
        self.verbose = False

    def random(self, case: str) -> Random:
        """Return what decides about a case, whatever came before it."""
        return Random(f"{self.seed} {case}")  # noqa: S311  # no secret

    def count(self, protocol: str, status: object) -> None:
        """Count an answer."""
        self.statuses[protocol, str(status)] += 1

    def blame(self, case: str, fault: str) -> None:
        """Note a violation; no fault is none."""
        if fault:
            self.violations.append((case, fault))

    def show(self, what: str, content: object) -> None:
        """Print a part of a case, if anyone wants to see it."""
        if self.verbose:
            print(f"{what}: {content!r:.{SHOWN_BYTES}}")
