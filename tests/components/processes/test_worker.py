"""A worker that ends by its own word says so beside its job, and those that are started in its place respect it."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
from trainings import ROOT, Step, configured, pictures

from components.processes.verdict import read_verdict

pytest.importorskip("torch", reason="torch is not installed")


def test_an_error_of_training_is_a_verdict_that_the_next_one_respects(tmp_path):
    splits = pictures(tmp_path / "splits", (8, 8), "FP32")
    path = splits.directory / "train" / "x.npy"
    x = np.load(path)
    x[3, 0, 0] = np.nan
    np.save(path, x)
    step = Step(configured(), splits, tmp_path / "run")
    job, model = tmp_path / "run" / "job.json", tmp_path / "run" / "model"
    paths = {"splits": str(splits.directory), "model": str(model)}
    job.write_text(json.dumps({"config": step.config.plain(), "fingerprint": step.fingerprint, **paths}))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    place = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    command = [sys.executable, "-m", "components.processes.worker", str(job)]
    environment = {**os.environ, **place, "SLIPWAY_CHECKPOINTS": str(step.store), "GLOO_SOCKET_IFNAME": "lo"}
    assert subprocess.run(command, cwd=ROOT, env=environment, timeout=60, check=False).returncode == 1
    verdict = read_verdict(job.parent)
    assert "in epoch 1, batch " in verdict
    assert "the loss is nan" in verdict
    assert not model.exists()
    # Whoever is started in its place does not even look for the others.
    alone = {**environment, "MASTER_PORT": "no number"}
    subprocess.run(command, cwd=ROOT, env=alone, timeout=60, check=True)
    assert read_verdict(job.parent) == verdict
