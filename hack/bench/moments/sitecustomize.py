"""Notes when a Python process comes past certain modules and takes its first training step.

Python itself imports a module of this name at its start. For ``hack/bench-training --start``, which names the file to
write to in BENCH_MOMENTS; a line is ``pid, time since the epoch, what``.
"""

import os
import sys
import time
from importlib.machinery import PathFinder

LIBRARIES = ("numpy", "pandas", "scipy.stats", "sklearn.metrics", "torch", "torchvision")
MARKED = (*LIBRARIES, "components.steps", "components.models.loop", "components.models.progress")


def note(what: str) -> None:
    with open(os.environ["BENCH_MOMENTS"], "a") as file:  # noqa: PTH123 (pathlib is not imported yet, and takes its time)
        file.write(f"{os.getpid()}\t{time.time():.3f}\t{what}\n")


class Marker:
    """Notes when a module begins to be imported and when it is."""

    def find_spec(self, name, path=None, target=None):  # noqa: ANN001, ANN201 (Python's signature)
        if name not in MARKED:
            return None
        spec = PathFinder.find_spec(name, path, target)
        run = spec.loader.exec_module

        def noted(module) -> None:  # noqa: ANN001 (as above)
            note(f"import {name}")
            run(module)
            note(f"imported {name}")
            if name == "components.models.progress":
                watch(module.Progress)

        spec.loader.exec_module = noted
        return spec


def watch(progress: type) -> None:
    learned = progress.learned

    def first(self, loss: float, norm: float) -> None:  # noqa: ANN001 (as above)
        note("first step")
        progress.learned = learned
        learned(self, loss, norm)

    progress.learned = first


if "BENCH_MOMENTS" in os.environ:
    note("process " + " ".join(sys.orig_argv[:5]))
    sys.meta_path.insert(0, Marker())
