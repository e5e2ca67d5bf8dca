import os
import signal
import subprocess
import sys
import textwrap

import pytest
from trainer_scene import Scene

from components.checkpoints import PLACE, clear
from components.errors import ConfigError, TrainingError
from components.kube import NoClusterError
from components.machines import train_on_machines
from components.machines.folder import Folder
from components.provenance import run_key
from components.store import open_store


@pytest.fixture
def checkpoints(bucket, monkeypatch):
    """A bucket of a real server for checkpoints."""
    monkeypatch.setenv("SLIPWAY_CHECKPOINTS", bucket)
    return bucket


@pytest.fixture
def train(checkpoints, quick, config, fingerprint, splits, tmp_path):
    """Trains on the machines of a scene."""

    def run():
        train_on_machines(config, fingerprint, splits, tmp_path / "model")
        return {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir() if path.name != PLACE}

    return run


def given(scene):
    """The folder that the machines are told, by the words of their command."""
    *command, uri = scene.job["spec"]["trainer"]["command"]
    assert command == ["python3", "-m", "components.machines"]
    return Folder(uri)


def work(scene, tmp_path):
    """Do what machines do, but for the training."""
    taken, trained = given(scene).take(tmp_path / "machine"), tmp_path / "machine" / "trained"
    trained.mkdir()
    (trained / "graph.onnx").write_text(f"trained for {taken.fingerprint}")
    given(scene).hand_back(trained)
    scene.pod("a-0", phase="Succeeded")
    scene.write("a-0", "[slipway] validation accuracy 0.9")
    scene.end("Complete")


def test_a_training_on_machines_ends_with_its_model_and_leaves_nothing(
    server, train, tmp_path, checkpoints, fingerprint, capsys
):
    (tmp_path / "machine").mkdir()
    scene = Scene(server, [lambda _: None, lambda scene: work(scene, tmp_path)])
    assert train() == {"graph.onnx": f"trained for {fingerprint}".encode()}
    assert "[slipway] validation accuracy 0.9\n" in capsys.readouterr().out
    assert scene.jobs() == []
    # A step that is lost now finds the model again; when it is sealed, nobody needs the work any more.
    assert open_store(checkpoints).keys("") != []
    clear(tmp_path / "model")
    assert open_store(checkpoints).keys("") == []


def test_a_train_job_that_goes_with_the_step_before_is_made_again(server, train, tmp_path):
    (tmp_path / "machine").mkdir()
    scene = Scene(server, [Scene.take_away, lambda scene: work(scene, tmp_path)])
    assert list(train()) == ["graph.onnx"]
    assert sum(asked.startswith("POST") for asked in server.asked) == 2
    assert scene.jobs() == []


def test_the_work_lies_in_the_folder_of_the_run(server, train, checkpoints, config, fingerprint):
    seen = []

    def fail(scene):
        seen.extend(open_store(checkpoints).keys(""))
        scene.end("Failed", "FailedJobs", "jobset failed")

    scene = Scene(server, [fail])
    with pytest.raises(TrainingError, match="FailedJobs"):
        train()
    assert {path.rpartition("/job/")[0] for path in seen} == {f"digits/{run_key(config, fingerprint)}"}
    assert scene.jobs() == []


def test_a_step_that_was_lost_after_the_training_takes_the_model_that_is_there(
    server, train, checkpoints, config, fingerprint, splits, tmp_path
):
    folder = Folder(f"{checkpoints}/digits/{run_key(config, fingerprint)}/job")
    folder.hand_over(config, fingerprint, splits)
    (tmp_path / "trained").mkdir()
    (tmp_path / "trained" / "graph.onnx").write_text("a graph")
    folder.hand_back(tmp_path / "trained")
    server.unknown = "/apis/trainer"  # nobody is asked
    assert train() == {"graph.onnx": b"a graph"}


def test_checkpoints_in_a_folder_are_refused_because_machines_share_none(train, monkeypatch, tmp_path):
    for uri in (f"file://{tmp_path}", ""):
        monkeypatch.setenv("SLIPWAY_CHECKPOINTS", uri)
        with pytest.raises(ConfigError, match=rf"SLIPWAY_CHECKPOINTS .* but to {uri or 'nothing'}.*; set it to s3://b"):
            train()


def test_without_a_cluster_there_are_no_machines(train, monkeypatch, tmp_path):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(NoClusterError, match="no kubeconfig"):
        train()


STEP = """
    import sys
    from stages import DIGITS
    from components import steps
    from components.config import read_config

    config = read_config(DIGITS, ["train.model=mnist_cnn", "train.device=cpu", "train.machines=2", "train.processes=4"])
    steps.train(config.plain(), *sys.argv[1:])
"""


def test_a_step_that_is_terminated_takes_its_train_job_with_it(
    server, checkpoints, config, fingerprint, splits, tmp_path
):
    process = []
    scene = Scene(server, [lambda _: None, lambda _: process[0].send_signal(signal.SIGTERM), lambda _: None])
    path = os.pathsep.join(each for each in sys.path if each)
    process.append(
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(STEP), fingerprint, str(splits), str(tmp_path / "model")],
            env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, text=True,
        )
    )  # fmt: skip
    out, _ = process[0].communicate(timeout=60)
    assert process[0].returncode == 143, out
    assert scene.jobs() == []
    assert any(asked.startswith("DELETE") for asked in server.asked)
