"""Training in several processes: one model whatever becomes of them, one voice, one error."""

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from trainings import Step, below, configured, lives, pictures, wait_for

from components.checkpoints import clear

pytest.importorskip("torch", reason="torch is not installed")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
CONFIG = configured(processes=2, epochs=10, patience=10, batch_size=12)


def workers(step: Step) -> list[int]:
    """Processes of a step that train."""
    return [pid for pid in below(step.process.pid) if b"-m\0components.processes.worker\0" in command(pid)]


def command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_a_training_that_is_ended_in_every_way_gives_the_bytes_of_one_that_was_not(tmp_path):
    splits = pictures(tmp_path / "splits", (8, 8))
    whole = Step(CONFIG, splits, tmp_path / "whole").start()
    assert whole.end() == 0, whole.said()
    step = Step(CONFIG, splits, tmp_path / "ended")

    step.start().wait_for_checkpoint()
    assert step.end(signal.SIGTERM) == 143, step.said()
    (stopped,) = [line for line in step.lines() if "stopped by SIGTERM at step " in line]
    assert "; a retry goes on from file://" in stopped
    assert len(step.checkpoints()) == 2

    step.start().wait_for_checkpoint()
    started = below(step.process.pid)
    assert len(started) >= 3
    assert step.end(signal.SIGKILL) == -signal.SIGKILL
    wait_for(lambda: not any(lives(pid) for pid in started))
    assert not (step.model / "graph.onnx").exists()

    step.start().wait_for_checkpoint()
    lost = workers(step)[-1]
    assert len(workers(step)) == 2
    os.kill(lost, signal.SIGKILL)
    assert step.end() == 0, step.said()
    assert len([line for line in step.lines() if "going on from step " in line]) == 2
    clear(step.model)
    assert not step.kept.exists()

    for file in ("graph.onnx", "native.npy", "training.json"):
        assert (step.model / file).read_bytes() == (whole.model / file).read_bytes(), file
    assert json.loads((step.model / "took.json").read_bytes())["processes"] == 2
    assert len([line for line in whole.lines() if "kept epoch" in line]) == 1
    assert len([line for line in whole.lines() if "] epoch 1/10 " in line]) == 1


def test_an_error_of_the_training_comes_out_once(tmp_path):
    splits = pictures(tmp_path / "splits", (8, 8), "FP32")
    path = splits.directory / "train" / "x.npy"
    x = np.load(path)
    x[3, 0, 0] = np.nan
    np.save(path, x)
    step = Step(CONFIG, splits, tmp_path / "run").start()
    assert step.end() == 1, step.said()
    (error,) = [line for line in step.lines() if "error" in line]
    assert error.startswith("[slipway] error: in epoch 1, batch ")
    assert "the loss is nan" in error
    assert "Traceback" not in step.said()
    assert below(step.process.pid) == []
