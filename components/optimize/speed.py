"""How long two graphs take for the same rows: turn by turn, on one thread, so that both meet the same noise.

For ``components.optimize`` alone.
"""

import time
from dataclasses import dataclass
from itertools import count
from statistics import median

import onnxruntime

from components.dataset import Inputs

#: A comparison ends when both the time and the fewest rounds are spent.
SECONDS, FEWEST_ROUNDS, MOST_ROUNDS = 1.5, 9, 1000


@dataclass(frozen=True, kw_only=True)
class Speed:
    """How long one call takes.

    Attributes:
        rows: Of the call.
        before: Median of the first graph, in seconds.
        after: Median of the second, in seconds.
        ratio: Median over the rounds of how many times faster the second was.
    """

    rows: int
    before: float
    after: float
    ratio: float


def race(before: bytes, after: bytes, inputs: Inputs) -> Speed:
    """Time two graphs on the same rows.

    Args:
        before: A graph.
        after: Another graph of the same inputs.
        inputs: The rows of one call.
    """
    sessions = [_open(before), _open(after)]
    for session in sessions:
        session.run(None, inputs)  # the first call allocates
    taken: tuple[list[float], list[float]] = ([], [])
    until = time.perf_counter() + SECONDS
    for done in count(1):
        for session, times in zip(sessions, taken, strict=True):
            start = time.perf_counter()
            session.run(None, inputs)
            times.append(time.perf_counter() - start)
        if done == MOST_ROUNDS or (done >= FEWEST_ROUNDS and time.perf_counter() > until):
            break
    ratios = [one / other for one, other in zip(*taken, strict=True)]
    rows = len(next(iter(inputs.values())))
    return Speed(rows=rows, before=median(taken[0]), after=median(taken[1]), ratio=median(ratios))


def _open(graph: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
