"""Training beyond one machine: the step hands its work to Kubeflow Trainer, waits, and takes the model.

What machines hand to each other goes through the object store (``folder.py``); a TrainJob starts them (``job.py``) and
is watched until it ends (``watch.py``); each runs ``python -m components.machines`` (``__main__.py``). Refused:
checkpoints outside S3, because machines share no folder, and a cluster without Kubeflow Trainer. For
``components/steps.py``.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.checkpoints import note_place
from components.config import Config
from components.console import say
from components.destination import run_checkpoints
from components.errors import ConfigError, Stopped, TrainingError
from components.machines.folder import Folder
from components.machines.job import Job, shape
from components.machines.watch import follow
from components.provenance import run_key

#: What belonged to a step before this one, and is taken away with its pod, is made again.
STARTS = 3


def train_on_machines(config: Config, fingerprint: str, splits: Path, model: Path) -> None:
    """Train on ``train.machines`` pods; a TrainJob that an earlier try of this step left running is gone on with.

    Whatever ends this, no TrainJob is left behind; checkpoints are, so that a retry goes on from them.

    Args:
        config: One model's; ``train`` has ``machines``, ``processes``, ``device`` and ``batch_size``.
        fingerprint: As ``prepare`` returned it.
        splits: What ``prepare`` wrote.
        model: Directory to write what training leaves to.

    Raises:
        ConfigError: The checkpoints are in no object store.
        ClusterError: There is no cluster, no Kubeflow Trainer in it, or a right is missing.
        TrainingError: Training failed, or machines were lost too often.
    """
    key = run_key(config, fingerprint)
    place = _place(config.name, key)
    folder = Folder(f"{place}/job")
    if not folder.done():
        folder.hand_over(config, fingerprint, splits)
        job = Job.connect(config.name, key)
        with _terminable():
            try:
                for _ in range(STARTS):
                    job.start(shape(config, folder.uri))
                    if follow(job, config):
                        break
                else:
                    raise TrainingError(f"TrainJob {job.name} was deleted {STARTS} times; run again to go on from here")
            finally:
                job.remove()
    folder.collect(model)
    note_place(model, place)
    say("the model is here, and no TrainJob is left on the cluster")


def _place(name: str, key: str) -> str:
    uri = run_checkpoints(name, key)
    if not uri or not uri.startswith("s3://"):
        raise ConfigError(
            f"SLIPWAY_CHECKPOINTS does not lead to an object store but to {uri or 'nothing'}: machines share no "
            "folder; set it to s3://bucket, or train on one machine with train.machines=1"
        )
    return uri


@contextmanager
def _terminable() -> Iterator[None]:
    """Let the first SIGTERM end what runs here like an error, and later ones not disturb the tidying up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Stopped

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
