import json
import os
import re
import signal
import socket
import subprocess
import sys

import pytest
from stages import DIGITS

from components.config import read_config
from components.errors import Stopped
from components.machines import __main__ as machine
from components.machines import folder as module
from components.machines.folder import Folder
from components.processes import LOST


@pytest.fixture
def restored():
    """What a machine does to signals is taken back."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def folder(tmp_path):
    """A folder of a store that needs no server."""
    return Folder(f"file://{tmp_path}/store/digits/key/job")


@pytest.mark.slow
def test_two_machines_train_together_and_the_first_hands_the_model_back(folder, splits, fingerprint, tmp_path):
    settings = [
        "train.model=mnist_cnn",
        "train.device=cpu",
        "train.machines=2",
        "train.processes=2",
        "train.epochs=1",
        "train.threads=1",
    ]
    folder.hand_over(read_config(DIGITS, settings), fingerprint, splits)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    told = {"PET_NNODES": "2", "PET_NPROC_PER_NODE": "1", "PET_MASTER_ADDR": "127.0.0.1", "PET_MASTER_PORT": port}
    told |= {"GLOO_SOCKET_IFNAME": "lo", "PYTHONPATH": os.pathsep.join(each for each in sys.path if each)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "components.machines", folder.uri],
            env={**os.environ, **told, "PET_NODE_RANK": rank}, stdout=subprocess.PIPE, text=True,
        )
        for rank in "01"
    ]  # fmt: skip
    first, second = (process.communicate(timeout=300)[0] for process in processes)
    assert [process.returncode for process in processes] == [0, 0], first + second
    assert re.search(r"\[slipway\] .*validation accuracy", first)
    assert "[slipway]" not in second  # rank 0 alone speaks
    folder.collect(tmp_path / "model")
    assert {"graph.onnx", "native.npy", "training.json", "usage.json"} <= {
        p.name for p in (tmp_path / "model").iterdir()
    }
    assert json.loads((tmp_path / "model" / "training.json").read_text())["history"]


def test_a_machine_that_comes_after_the_end_has_nothing_to_do(folder, config, fingerprint, splits, tmp_path, restored):
    folder.hand_over(config, fingerprint, splits)
    (tmp_path / "trained").mkdir()
    folder.hand_back(tmp_path / "trained")
    assert machine.main(folder.uri) == 0


def test_an_image_with_other_code_fails_for_good(
    folder, config, fingerprint, splits, monkeypatch, capsys, restored
):  # fmt: skip
    folder.hand_over(config, fingerprint, splits)
    monkeypatch.setattr(module.provenance, "code_digest", lambda: "other code")
    assert machine.main(folder.uri) == 1
    assert "[slipway] error: the image of TrainingRuntime slipway has other code" in capsys.readouterr().out


def test_work_that_can_not_be_fetched_is_tried_again(folder, capsys, restored):
    assert machine.main(folder.uri) == LOST == 75
    assert capsys.readouterr().out.startswith("[slipway] error: ")


def test_a_machine_that_is_drained_ends_as_told(folder, config, fingerprint, splits, monkeypatch, restored):
    folder.hand_over(config, fingerprint, splits)
    monkeypatch.setattr(machine, "train_together", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    assert machine.main(folder.uri) == Stopped.code == 143
