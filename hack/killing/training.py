"""A training in a process of its own, run as a step of the pipeline, and how it is killed; for hack/break-training."""

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from killing.watch import VARIABLE, Watch

#: One process imports torch, which takes seconds; all that train are forked from it. It runs no thread.
WORK = multiprocessing.get_context("forkserver")
PRELOADED = [
    *("components.steps", "components.train", "components.usage", "components.models.network", "components.processes"),
    *("components.ingest", "components.preprocess", "components.evaluate", "components.package", "killing.watch"),
    # What an export to ONNX imports.
    *("onnxscript", "onnx.reference", "torch._dynamo", "torch.export._trace", "torch.onnx._internal.exporter._core"),
]
HACK = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Job:
    """What all trainings have in common.

    Attributes:
        config: Content of the configuration.
        fingerprint: Of data, code and libraries.
        splits: What preprocessing wrote.
        home: Folder of model, checkpoints, log and watch.
    """

    config: dict[str, Any]
    fingerprint: str
    splits: Path
    home: Path

    @property
    def checkpoints(self) -> Path:
        return self.home / "checkpoints"

    @property
    def model(self) -> Path:
        return self.home / "model"

    @property
    def log(self) -> Path:
        return self.home / "log.txt"

    @property
    def watch(self) -> Path:
        return self.home / "watch"

    def start(self) -> ForkServerProcess:
        """Start a training, or one that goes on."""
        return fork(trained, self)


def fork(function: Callable[..., None], *arguments: Any) -> ForkServerProcess:
    """Start a function in a process of its own, where all is imported already."""
    WORK.set_forkserver_preload(PRELOADED)
    process = WORK.Process(target=function, args=arguments)
    process.start()
    return process


def ask(log: Path, function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a function returns in a process of its own; what it prints goes to the log."""
    answer, its = WORK.Pipe(duplex=False)
    process = fork(reply, log, its, function, arguments)
    its.close()
    try:
        return answer.recv()
    except EOFError:
        process.join()
        raise SystemExit(f"{function.__name__} ended with {process.exitcode}:\n{log.read_text()[-2000:]}") from None


def reply(log: Path, asker: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    speak_to(log)
    asker.send(function(*arguments))


def speak_to(log: Path) -> None:
    """Write to a file what this process prints."""
    with log.open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)


def prepared(path: Path, settings: list[str], home: Path) -> Job:
    """Prepare the data of a small network; return its training."""
    from components import provenance
    from components.config import read_config
    from components.dataset import Splits
    from components.ingest import ingest
    from components.preprocess import preprocess

    # More threads than free cores would wait for each other.
    settings = ["train.model=mnist_cnn", "train.threads=1", "gate.minimum=0", *settings]
    config, splits = read_config(path, settings), home / "splits"
    preprocess(config, ingest(config.data, home / "scratch", home / "cache"), splits)
    fingerprint = provenance.fingerprint(Splits(splits).rows.digest, [config.train.model])
    return Job(config.plain(), fingerprint, splits, home / "training")


def sealed(job: Job) -> str:
    """Return the digest of the package of what was trained."""
    from components.config import Config
    from components.dataset import Splits
    from components.evaluate import evaluate
    from components.package import package

    config, splits = Config.build(job.config), Splits(job.splits)
    evaluation = evaluate(config, splits, job.model, job.home / "evaluation")
    return package(config, splits, job.model, evaluation, job.home / "package").digest


def sources() -> str:
    """Return the digest of the sources, which are part of a model."""
    from components import provenance

    return provenance.code_digest()


def trained(job: Job) -> None:
    """Run the pipeline's step in this process."""
    from components import steps

    speak_to(job.log)
    os.environ["SLIPWAY_CHECKPOINTS"] = job.checkpoints.as_uri()
    if job.config["train"].get("processes", 1) > 1:
        watch_workers(job.watch)
    else:
        Watch(job.watch).begin(0)
    steps.train(job.config, job.fingerprint, str(job.splits), str(job.model))


def watch_workers(path: Path) -> None:
    """Let torchrun start workers that are watched."""
    os.environ[VARIABLE] = str(path)
    os.environ["PYTHONPATH"] = f"{HACK}:{HACK.parent}"

    class Watched(subprocess.Popen[Any]):
        def __init__(self, command: list[str], **options: Any) -> None:
            known = {"components.processes.worker": "killing.worker"}
            super().__init__([known.get(word, word) for word in command], **options)

    subprocess.Popen = Watched  # type: ignore[assignment,misc]  # in this process alone


def kill(process: ForkServerProcess, victims: list[int] | None = None) -> None:
    """Send SIGKILL to a training with all its processes, as a pod is lost, or to some of them alone."""
    doomed = list(victims or [process.pid or 0])
    for pid in doomed if victims is None else ():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)  # so that none starts another meanwhile
        doomed += children(pid)
    for pid in doomed:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def children(pid: int) -> list[int]:
    """Return the processes that a process started."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += [int(word) for word in task.read_text().split()]
    return found


def require_linux() -> None:
    """Refuse a system that has no /proc."""
    if not sys.platform.startswith("linux"):
        raise SystemExit("hack/break-training reads /proc, which only Linux has")
