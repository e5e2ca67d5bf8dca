"""ONNX Runtime behind one worker thread: the event loop stays free while the graph runs.

Refuses a graph that does not open, and a package whose golden outputs it does not reproduce on this machine.
"""

import asyncio
import math
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import onnxruntime as ort

from modelpackage import GoldenError, Package, PackageError
from serving.codec import Arrays

CGROUP_LIMIT = Path("/sys/fs/cgroup/cpu.max")


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
            self._outputs = [tensor.name for tensor in package.descriptor.signature.outputs]
            package.golden().check(self.run, package.descriptor.tolerance)
        except PackageError:
            raise
        except Exception as error:  # noqa: BLE001  # ONNX Runtime's errors have no base of their own
            reason = str(error).splitlines()[0]
            raise GoldenError(f"ONNX Runtime {ort.__version__} refuses {package.path}: {reason}") from None
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="engine")

    def run(self, inputs: Arrays) -> Arrays:
        """Run the graph in this thread: arrays of shape (rows, ...) by name in, the same out."""
        return dict(zip(self._outputs, self._session.run(self._outputs, inputs), strict=True))

    async def infer(self, inputs: Arrays) -> Arrays:
        """Run the graph in the worker thread."""
        return await asyncio.get_running_loop().run_in_executor(self._worker, self.run, inputs)

    def close(self) -> None:
        """Let the running inference end and stop the worker thread."""
        self._worker.shutdown()


def cpu_limit(cgroup: Path = CGROUP_LIMIT) -> int:
    """Return how many CPUs this process may use: the container's quota, and no more than it may be scheduled on."""
    cpus = len(os.sched_getaffinity(0))
    quota, _, period = cgroup.read_text().partition(" ") if cgroup.is_file() else ("max", "", "")
    return cpus if quota == "max" else min(cpus, math.ceil(int(quota) / int(period)))
