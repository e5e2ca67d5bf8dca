"""ONNX Runtime: a package's graph, opened and proven on this machine.

Refuses a graph that does not open, and a package whose golden outputs it does not reproduce.
"""

import math
import os
from pathlib import Path
from time import perf_counter

import numpy as np
import onnxruntime as ort

from modelpackage import GoldenError, Package, PackageError
from serving.batching import Pace
from serving.codec.answer import Scores
from serving.codec.query import Arrays

CGROUP = Path("/sys/fs/cgroup")
#: How often, for how long, and on how many rows a graph is timed.
RUNS, RUN_SECONDS, ROWS = 20, 0.1, 8


class Engine:
    """A package's graph, opened and proven.

    Args:
        package: A verified package.
        threads: Threads of one inference; 0 takes the CPU limit.

    Raises:
        GoldenError: The graph does not open or does not reproduce the package's golden outputs.
    """

    def __init__(self, package: Package, *, threads: int) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads or cpu_limit()
        options.inter_op_num_threads = 1
        # Idle threads sleep: a container that spins burns the CPU quota that the next request needs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = ort.InferenceSession(
                package.graph(), sess_options=options, providers=["CPUExecutionProvider"]
            )
            self._options = ort.RunOptions()
            self._options.log_severity_level = 4  # what fails is raised, and need not be on standard error, too
            self._outputs = [tensor.name for tensor in package.descriptor.signature.outputs]
            package.golden().check(self.run, package.descriptor.tolerance)
        except PackageError:
            raise
        except Exception as error:  # noqa: BLE001  # ONNX Runtime's errors have no base of their own
            reason = str(error).splitlines()[0]
            raise GoldenError(f"ONNX Runtime {ort.__version__} refuses {package.path}: {reason}") from None
        self._scores = self._outputs[0]

    def run(self, inputs: Arrays) -> Arrays:
        """Run the graph: arrays of shape (rows, ...) by name in, the same out."""
        return dict(zip(self._outputs, self._session.run(self._outputs, inputs, self._options), strict=True))

    def stop(self) -> None:
        """End what runs, with an error, after the node that it is at; nothing runs after that."""
        self._options.terminate = True

    def score(self, inputs: Arrays) -> Scores:
        """Run the graph and find each row's most probable class."""
        outputs = self.run(inputs)
        probabilities = outputs[self._scores]
        confidence = probabilities.max(axis=1)
        return Scores(outputs, probabilities.argmax(axis=1), confidence.astype(np.float32, copy=False))

    def pace(self, inputs: Arrays) -> Pace:
        """Measure how long a row takes, and each one more.

        Args:
            inputs: At least one row that the graph takes.
        """
        first, several = (
            {name: array[:1].repeat(rows, axis=0) for name, array in inputs.items()} for rows in (1, ROWS)
        )
        seconds = self._seconds(first)
        return Pace(seconds, max(0.0, (self._seconds(several) - seconds) / (ROWS - 1)))

    def _seconds(self, inputs: Arrays) -> float:
        """Return the shortest time of a few runs; the first ones warm up, and other work makes some longer."""
        found: list[float] = []
        while len(found) < RUNS and sum(found) < RUN_SECONDS:
            started = perf_counter()
            self.score(inputs)
            found.append(perf_counter() - started)
        return min(found)


def cpu_limit(cgroup: Path = CGROUP) -> int:
    """Return how many CPUs this process may use: the container's quota, and no more than it may be scheduled on."""
    cpus = len(os.sched_getaffinity(0))
    unified, quota_file, period_file = (
        cgroup / "cpu.max",
        cgroup / "cpu" / "cpu.cfs_quota_us",
        cgroup / "cpu" / "cpu.cfs_period_us",
    )
    if unified.is_file():
        quota, _, period = unified.read_text().partition(" ")
    elif quota_file.is_file() and period_file.is_file():  # version 1 of control groups
        quota, period = quota_file.read_text().strip(), period_file.read_text()
    else:
        return cpus
    return cpus if quota in ("max", "-1") else max(1, min(cpus, math.ceil(int(quota) / int(period))))
