"""What the predictor shall reach beside its peers, as ratios of one run: a floor, and what would be better."""

from collections.abc import Iterator
from dataclasses import dataclass

from bench.results import Results

KSERVE = ("kserve", "json", 16)


@dataclass(frozen=True)
class Goal:
    """A goal.

    Attributes:
        text: What is compared.
        found: The measured ratio, if it was measured.
        floor: What it must reach.
        better: What it would better reach.
        smaller: Whether less is better.
    """

    text: str
    found: float | None
    floor: float
    better: float
    smaller: bool = False

    def verdict(self) -> str:
        """Return one word."""
        if self.found is None:
            return "not measured"
        return "better" if self._reaches(self.better) else "reached" if self._reaches(self.floor) else "missed"

    def _reaches(self, bound: float) -> bool:
        return self.found is not None and (self.found <= bound if self.smaller else self.found >= bound)


def goals(results: Results) -> list[Goal]:
    """Return all goals with what was measured of them."""
    return [*_rates(results), *_latencies(results), *_costs(results)]


def _rates(results: Results) -> Iterator[Goal]:
    def rate(workload: str, view: str, peer: str, *, ours: str = "slipway") -> float | None:
        theirs = "json" if view == "json" else view
        return results.ratio("rate", (workload, ours, view, 16), (workload, peer, theirs, 16))

    yield Goal("W1 JSON against kserve", rate("W1", "json", "kserve"), 4, 7)
    yield Goal("W1 JSON against MLServer", rate("W1", "json", "mlserver"), 3, 5)
    yield Goal("W2 JSON against kserve", rate("W2", "json", "kserve"), 2.5, 3.3)
    yield Goal("W2 binary against kserve's binary", rate("W2", "binary", "kserve"), 3.5, 4.5)
    yield Goal("W2 binary, share of in process, batch 8", results.share(("W2", "slipway", "binary", 16), "8"), 0.5, 0.6)
    yield Goal(
        "W3, share of decoding and graph in process", results.share(("W3", "slipway", "json", 16), "1"), 0.9, 0.95
    )
    yield Goal("W3 in int8 against kserve", rate("W3", "json", "kserve", ours="slipway-int8"), 2.5, 3.2)
    for workload in ("W1", "W2"):
        yield Goal(f"{workload} gRPC against kserve's gRPC", rate(workload, "grpc", "kserve"), 1.2, 1.35)


def _latencies(results: Results) -> Iterator[Goal]:
    busy = results.ratio("p99", ("W2", "slipway", "json", 64), ("W2", "kserve", "json", 64))
    yield Goal("W2 p99 of 64 clients against kserve", busy, 0.5, 0.35, smaller=True)
    alone = results.ratio("p50", ("W2", "slipway", "json", 1), ("W2", "slipway-unbatched", "json", 1))
    yield Goal("W2 p50 of one client, batching on against off", alone, 1.1, 1.03, smaller=True)
    yield Goal("W3 p99 against p50, 16 clients", results.spread(("W3", "slipway", "json", 16)), 1.6, 1.3, smaller=True)


def _costs(results: Results) -> Iterator[Goal]:
    for workload, floor, better in (("W1", 0.3, 0.15), ("W2", 0.4, 0.3)):
        cpu = results.ratio("cpu", (workload, "slipway", "json", 16), (workload, *KSERVE))
        yield Goal(f"{workload} processor time per request against kserve", cpu, floor, better, smaller=True)
    for workload in ("W1", "W2", "W3"):
        yield Goal(f"{workload} memory against kserve", results.memory_ratio(workload), 1.15, 1.0, smaller=True)
    for workload in ("W1", "W2", "W3"):
        yield Goal(f"{workload} time to first answer", results.start_ratio(workload), 1.1, 0.8, smaller=True)
