"""Train: splits in; the model as an ONNX graph, its history, and its own answers to held-out rows out."""

import resource
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.checkpoints import note_place
from components.config import Config
from components.console import say
from components.cores import cores
from components.dataset import Part, Splits
from components.errors import TrainingError
from components.models import Trained, fit
from modelpackage import canonical_json

GRAPH = "graph.onnx"
NATIVE = "native.npy"
TRAINING = "training.json"
USAGE = "usage.json"
PACE = "pace.json"
TOOK = "took.json"


def train(config: Config, splits: Splits, directory: Path, checkpoints: str | None = None) -> None:
    """Train the configured model.

    The trained model lives only in this process, so its own answers to the test rows are recorded here; a later stage
    holds the graph against them. The targets of the test rows are not read.

    Args:
        config: The run.
        splits: What preprocessing wrote.
        directory: Created: ``graph.onnx``, ``native.npy`` (probabilities, float32, (test rows, classes)) and
            ``training.json`` (``tolerance``, ``history``, ``settled``, and ``validation``: accuracy and log loss); and
            what no two runs share, ``pace.json`` and ``took.json``.
        checkpoints: URI of the folder of this training alone; it goes on from what lies there, and notes it beside
            the model for :func:`components.checkpoints.clear`.

    Raises:
        TrainingError: Training can't start, or gave something that is no probability.
        Stopped: The process was told to end, and left a checkpoint.
    """
    start = time.monotonic()
    trained = fit(config.train, splits, config.seed, checkpoints)
    seconds = time.monotonic() - start if trained.seconds is None else trained.seconds
    if not trained.leads:
        return
    # Of the processes that train together, only the one that writes spends the seconds that scikit-learn takes to load.
    from components.metrics import measure

    held = splits.part("validation")
    judged = measure(held.y, _answers(trained, held))
    validation = {name: judged[name] for name in ("accuracy", "log_loss")}
    native = _answers(trained, splits.part("test"))
    directory.mkdir(parents=True, exist_ok=True)
    (directory / GRAPH).write_bytes(trained.graph)
    np.save(directory / NATIVE, native, allow_pickle=False)
    account = {"tolerance": trained.tolerance, "history": trained.history, "settled": dict(trained.settled)}
    (directory / TRAINING).write_bytes(canonical_json({**account, "validation": validation}))
    (directory / PACE).write_bytes(canonical_json(list(trained.pace)))
    (directory / TOOK).write_bytes(canonical_json(_took(config, trained.device, seconds)))
    note_place(directory, checkpoints)
    say(f"validation accuracy {validation['accuracy']:.4f}; exported {len(trained.graph) / 1e6:.1f} MB of ONNX")


def _took(config: Config, device: str, seconds: float) -> dict[str, float | str]:
    """Return what the bill is made of; memory is that of one process times their number."""
    processes = getattr(config.train, "processes", 1)
    machines = getattr(config.train, "machines", 1)
    return {
        "seconds": round(seconds, 1),
        "device": device,
        "gpus": 0 if device == "cpu" else processes,
        "processes": processes,
        "cores": machines * cores(),
        "memory_gb": round(processes * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 3),
    }


def _answers(trained: Trained, part: Part) -> NDArray[np.float32]:
    answers = np.concatenate([trained.predict(batch) for batch in part.batches()])
    if not np.isfinite(answers).all() or not np.allclose(answers.sum(axis=1), 1, atol=1e-3):
        raise TrainingError("the trained model does not answer with probabilities; check the data and the settings")
    return answers
