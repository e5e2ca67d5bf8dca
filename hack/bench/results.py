"""What was measured, by workload, contestant, view and clients; ratios are taken within a round, then the median."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from bench.load import Window

#: Workload, contestant, view, clients.
Key = tuple[str, str, str, int]


@dataclass
class Results:
    """All figures of a run.

    Attributes:
        windows: One per round.
        limits: Rows per second in process, one per round, by workload and batch size.
        starts: Seconds to the first answer, one per start, by workload and contestant.
        memory: Proportional set size after load in MB, by workload and contestant.
    """

    windows: dict[Key, list[Window]] = field(default_factory=lambda: defaultdict(list))
    limits: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    starts: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    memory: dict[tuple[str, str], float] = field(default_factory=dict)

    def middle(self, key: Key, figure: str) -> float | None:
        """Return the median of a figure over the rounds, or nothing if it was not measured."""
        values = self._values(key, figure)
        return median(values) if values else None

    def ratio(self, figure: str, ours: Key, theirs: Key) -> float | None:
        """Return ours by theirs."""
        return _ratio(self._values(ours, figure), self._values(theirs, figure))

    def share(self, ours: Key, batch: str) -> float | None:
        """Return the rate as a share of what the graph does in process."""
        return _ratio(self._values(ours, "rate"), self.limits.get((ours[0], batch), []))

    def spread(self, key: Key) -> float | None:
        """Return the 99th percentile of the latency by its median."""
        return _ratio(self._values(key, "p99"), self._values(key, "p50"))

    def start_ratio(self, workload: str) -> float | None:
        """Return our time to the first answer by bare kserve's."""
        ours, theirs = (self.starts.get((workload, peer), []) for peer in ("slipway", "kserve"))
        return _ratio(ours, theirs)

    def memory_ratio(self, workload: str) -> float | None:
        """Return our memory by bare kserve's."""
        ours, theirs = (self.memory.get((workload, peer)) for peer in ("slipway", "kserve"))
        return ours / theirs if ours and theirs else None

    def plain(self) -> dict[str, Any]:
        """Return everything as JSON takes it."""
        return {
            "windows": {" ".join(map(str, key)): [asdict(one) for one in found] for key, found in self.windows.items()},
            "limits": {" ".join(key): rates for key, rates in self.limits.items()},
            "starts": {" ".join(key): seconds for key, seconds in self.starts.items()},
            "memory": {" ".join(key): size for key, size in self.memory.items()},
        }

    def _values(self, key: Key, figure: str) -> list[float]:
        return [getattr(window, figure) for window in self.windows.get(key, [])]


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    if not ours or not theirs:
        return None
    return median(one / other for one, other in zip(ours, theirs, strict=True))
