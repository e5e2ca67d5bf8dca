"""Is a variant good enough? Both graphs answer the same test rows, and race on a few of them.

For ``components.optimize`` alone; what a variant must hold is in ``docs/optimizing.md``.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from components.champion import paired_interval
from components.config import Gate
from components.dataset import Splits
from components.errors import ConfigError
from components.evaluate import decide
from components.graph import run_graph
from components.metrics import measure
from components.optimize.speed import Speed, race
from modelpackage import Package

BATCHES = (1, 8)
#: How far kernels of other CPUs may move a golden output: their integer sums are the same, but a rounding between two
#: layers that falls to the other side shows in what follows.
TOLERANCE = 0.05


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What a variant must hold.

    Attributes:
        max_drop: The most accuracy that it may surely lose, as a share of the test rows.
        min_speedup: How many times faster it must be, for one row and for eight.

    Raises:
        ConfigError: A bound makes no sense.
    """

    max_drop: float = 0.01
    min_speedup: float = 1.1

    def __post_init__(self) -> None:
        if not 0 <= self.max_drop < 1:
            raise ConfigError(f"--max-drop {self.max_drop:g} is a share of the test rows; give 0 to below 1, like 0.01")
        if not self.min_speedup > 0:
            raise ConfigError(f"--min-speedup {self.min_speedup:g} is a ratio; give a number above 0, like 1.1")


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """How a variant compares with its original.

    Attributes:
        rows: Test rows that both answered.
        sizes: Of the graphs in bytes, the original's first.
        before: The original's metrics on test rows.
        after: The variant's.
        difference: Variant's accuracy minus the original's, with the ends of its 95 % interval.
        agreement: Share of the test rows that both give the same label.
        moved: How far the variant moved a probability at most.
        spread: How far other arithmetic moves the variant's golden outputs at most.
        speeds: For each of :data:`BATCHES`.
        probabilities: The variant's, shape (rows, classes).
        faults: Each bound that it breaks, in a sentence; none if it is accepted.
    """

    rows: int
    sizes: tuple[int, int]
    before: dict[str, float]
    after: dict[str, float]
    difference: tuple[float, float, float]
    agreement: float
    moved: float
    spread: float
    speeds: tuple[Speed, ...]
    probabilities: NDArray[np.float32]
    faults: tuple[str, ...]

    def told(self) -> str:
        """Return what the test rows say, in a few words."""
        drop, low, high = self.difference
        return (
            f"the same label for {self.agreement:.2%} of {self.rows:,} test rows, accuracy {drop:+.4f}, 95 % interval "
            f"{low:+.4f} to {high:+.4f}"
        )


def judge(original: Package, variant: bytes, splits: Splits, gate: Gate, bounds: Bounds) -> Judgement:
    """Hold a variant against its original.

    Args:
        original: The package.
        variant: The graph of its variant.
        splits: The package's own data.
        gate: What every model of this configuration must reach.
        bounds: What the variant must hold.
    """
    test, graph = splits.part("test"), original.graph()
    ours, theirs = run_graph(variant, test.batches()), run_graph(graph, test.batches())
    gained, lost = changes(test.y, ours, theirs)
    low, high = paired_interval(gained, lost, len(ours))
    difference = (round((gained - lost) / len(ours), 6), round(low, 6), round(high, 6))
    after = measure(test.y, ours)
    speeds = tuple(race(graph, variant, test.inputs(slice(0, rows))) for rows in BATCHES)
    spread = _spread(original, variant)
    faults = [*_accuracy_faults(difference, len(ours), bounds.max_drop), *_speed_faults(speeds, bounds.min_speedup)]
    verdict, reason = decide(gate, after)
    if verdict == "refused":
        faults.append(reason)
    if not spread <= TOLERANCE:
        faults.append(f"other CPUs may answer up to {spread:.3f} off, more than {TOLERANCE:g} would not be one model")
    return Judgement(
        rows=len(ours),
        sizes=(len(graph), len(variant)),
        before=measure(test.y, theirs),
        after=after,
        difference=difference,
        agreement=float((ours.argmax(axis=1) == theirs.argmax(axis=1)).mean()),
        moved=float(np.abs(ours - theirs).max()),
        spread=spread,
        speeds=speeds,
        probabilities=ours,
        faults=tuple(faults),
    )


def changes(y: NDArray[np.int64], ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> tuple[int, int]:
    """Return how many rows only the first has right, and how many only the second."""
    right, was = ours.argmax(axis=1) == y, theirs.argmax(axis=1) == y
    return int((right & ~was).sum()), int((was & ~right).sum())


def _accuracy_faults(difference: tuple[float, float, float], rows: int, most: float) -> Iterator[str]:
    drop, low, _ = difference
    if low >= -most:
        return
    # A number to type that holds, so rounded away from zero.
    enough = np.ceil(-low * 1000) / 1000
    if drop < -most:
        yield f"it loses {-drop:.4f} of accuracy, --max-drop allows {most:g}"
    else:
        yield (
            f"{rows:,} test rows can't tell that it loses less than --max-drop {most:g}, it may lose {-low:.4f}; hold "
            f"out more rows, or accept that with --max-drop {enough:g}"
        )


def _speed_faults(speeds: tuple[Speed, ...], least: float) -> Iterator[str]:
    slowest = min(speeds, key=lambda speed: speed.ratio)
    if not slowest.ratio >= least:
        called = "1 row" if slowest.rows == 1 else f"{slowest.rows} rows"
        yield f"it is {slowest.ratio:.2f} times as fast for {called}, --min-speedup asks for {least:g}"


def _spread(original: Package, variant: bytes) -> float:
    """Run golden inputs in float32 arithmetic on the same rounded numbers, which is as far off as kernels can be."""
    inputs = original.golden().inputs
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    plain = onnxruntime.InferenceSession(variant, options, providers=["CPUExecutionProvider"])
    return float(np.abs(run_graph(variant, [inputs]) - plain.run(None, inputs)[0]).max())
