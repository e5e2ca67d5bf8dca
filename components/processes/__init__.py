"""Training in several processes of this machine by ``torchrun``, and in those of other machines that it knows of.

``train_together`` starts ``launcher.py``, which is torchrun; it starts ``worker.py`` for each process. A worker that
ends by its own word leaves a verdict; one that leaves none was lost, and all go on from the last checkpoint. For
``components/steps.py`` and ``components/machines``.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from components.config import Config
from components.console import say
from components.errors import Stopped, TrainingError
from components.processes.parent import of_this_process
from components.processes.verdict import STOPPED, read_verdict, verdicts

#: A process of this machine that is lost is made up for so often; on several machines, all start anew.
RESTARTS = 3
#: Seconds between two looks at whether there is still something to wait for.
PATIENCE = 5.0
#: What shells call a failure that may pass.
LOST = 75


def train_together(config: Config, fingerprint: str, splits: Path, model: Path) -> None:
    """Train in ``processes / machines`` processes here, as one of the machines.

    Args:
        config: One model's.
        fingerprint: Of data, code and libraries.
        splits: What preprocessing wrote.
        model: Directory to write, by the process of rank 0.

    Raises:
        TrainingError: Training failed, and would again.
        Stopped: SIGTERM ended it, after a checkpoint.
        SystemExit: With 75: a process was lost; a retry goes on from the last checkpoint.
    """
    with tempfile.TemporaryDirectory() as scratch:
        job = Path(scratch) / "job.json"
        content = {"config": config.plain(), "fingerprint": fingerprint}
        paths = {"splits": str(splits.absolute()), "model": str(model.absolute())}
        job.write_text(json.dumps({**content, **paths}), encoding="utf-8")
        settings = config.train.model_dump()
        code = _run(job, settings["processes"] // settings["machines"], alone=settings["machines"] == 1)
        verdict = read_verdict(Path(scratch))
    if verdict == STOPPED:
        raise Stopped
    if verdict is not None:
        raise TrainingError(verdict)
    if code != 0:
        say(f"a process of the training was lost (torchrun ended with {code}); a retry goes on from its checkpoint")
        raise SystemExit(LOST)


def _run(job: Path, processes: int, *, alone: bool) -> int:
    command = [sys.executable, "-m", "components.processes", "--nproc-per-node", str(processes)]
    # Several machines are told of each other by PET_* variables, which torchrun reads.
    here = ["--standalone", "--local-addr", "127.0.0.1", "--max-restarts", str(RESTARTS)]
    command += here if alone else ["--max-restarts", "0"]
    command += ["--module", "components.processes.worker", str(job)]
    loopback = "lo0" if sys.platform == "darwin" else "lo"
    local = {"GLOO_SOCKET_IFNAME": loopback, "NCCL_SOCKET_IFNAME": loopback} if alone else {}
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **local, **of_this_process()}
    with subprocess.Popen(command, env=environment) as launcher, _passing(launcher) as told:  # noqa: S603 (our own module)
        while launcher.returncode is None:
            try:
                launcher.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                # Where all is said here, torchrun may still wait for machines that are gone.
                if not alone and verdicts(job.parent) == processes:
                    launcher.terminate()
    if told and launcher.returncode and read_verdict(job.parent) is None:
        raise Stopped  # before there was anything to make a checkpoint of
    return launcher.returncode


@contextmanager
def _passing(launcher: "subprocess.Popen[bytes]") -> Iterator[list[int]]:
    """Pass SIGTERM on: the processes make a checkpoint of it. Yields those that came."""
    told: list[int] = []

    def passed(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 (Python's signature)
        told.append(number)
        launcher.send_signal(signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, passed)
    try:
        yield told
    except BaseException:
        launcher.terminate()
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
