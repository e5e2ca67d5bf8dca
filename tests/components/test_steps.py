"""A step fails in one way, accounts for itself, and does not run in an environment other than its fingerprint's."""

import json
import re
import signal

import pytest
from stages import DIGITS
from trainings import Step, configured, pictures

from components import steps
from components.checkpoints import clear
from components.config import read_config
from components.errors import DataError, Stopped
from components.evaluate import evaluate

PLAIN = read_config(DIGITS, ["train.trees=5"]).plain()


SWEEP = PLAIN | {"sweep": {"settings": {"trees": [3, 5]}}}


def prepare(here, config=PLAIN, *, sweeps=False):
    return steps.prepare(config, str(here / "splits"), str(here / "profile.html"), sweeps=sweeps)


@pytest.fixture
def here(monkeypatch, tmp_path):
    monkeypatch.setattr("components.console._prefix", "")  # a step is a process of its own elsewhere
    monkeypatch.setenv("SLIPWAY_STORE", (tmp_path / "store").as_uri())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    return tmp_path


def test_an_expected_error_is_one_line_and_exit_code_one(capsys):
    @steps.step
    def fail() -> None:
        raise DataError("the data\nare bad")

    with pytest.raises(SystemExit) as caught:
        fail()
    assert caught.value.code == 1
    assert capsys.readouterr().out == "[slipway] error: the data are bad\n"


def test_an_unexpected_error_keeps_its_traceback():
    @steps.step
    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()


def test_a_step_tells_its_time_and_memory(capsys):
    steps.step(lambda: None)()
    assert re.fullmatch(r"\[slipway\] used \d+\.\d s and \d+ MB\n", capsys.readouterr().out)


def test_the_steps_hand_over_to_each_other(here):
    fingerprint, trials = prepare(here)
    assert [json.loads(trial) for trial in trials] == [PLAIN]
    steps.train(PLAIN, fingerprint, str(here / "splits"), str(here / "model"))
    outputs = [str(here / name) for name in ("package", "evaluation", "report")]
    verdict, metrics, (labels, matrix) = steps.assess(PLAIN, str(here / "splits"), str(here / "model"), *outputs)
    assert verdict in ("passed", "refused")
    assert sum(map(sum, matrix)) == metrics["test_rows"]
    assert labels == list("0123456789")
    record = str(here / "record")
    steps.publish(PLAIN, "run-1", *outputs[:2], str(here / "model"), record)
    assert json.loads((here / "record").read_text())["uri"].startswith((here / "store").as_uri())


def test_training_refuses_a_fingerprint_of_other_code_or_libraries(here, capsys):
    prepare(here)
    with pytest.raises(SystemExit):
        steps.train(PLAIN, "0" * 64, str(here / "splits"), str(here / "model"))
    assert "give all steps the same image" in capsys.readouterr().out


def test_nothing_is_prepared_where_publishing_could_not_work(here, monkeypatch, capsys):
    monkeypatch.delenv("SLIPWAY_STORE")
    with pytest.raises(SystemExit):
        prepare(here)
    assert "SLIPWAY_STORE is not set" in capsys.readouterr().out
    assert not (here / "splits").exists()


def test_a_refused_model_is_recorded_and_the_step_fails(here, forest_run, capsys):
    refused = read_config(DIGITS, ["train.trees=40", "gate.minimum=1"])
    evaluate(refused, forest_run.splits, forest_run.model, here / "evaluation")
    with pytest.raises(SystemExit):
        steps.refuse(refused.plain(), "run-1", str(here / "evaluation"), str(forest_run.model))
    told = capsys.readouterr().out
    assert "run is in MLflow" in told
    assert "error: refused by the gate: accuracy" in told
    assert [path.name for path in (here / "store" / "digits").iterdir()] == ["runs"], "no package was published"


def test_a_refusal_stays_a_refusal_when_mlflow_is_down(here, forest_run, capsys, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(SystemExit):
        steps.refuse(PLAIN, "run-1", str(forest_run.evaluation_path), str(forest_run.model))
    told = capsys.readouterr().out
    assert "the refused run is not in MLflow" in told
    assert "error: refused by the gate" in told


def test_the_trials_of_a_sweep_are_trained_and_the_best_goes_on(here, capsys):
    fingerprint, trials = prepare(here, SWEEP, sweeps=True)
    models = [str(here / f"trial-{number}") for number in range(len(trials))]
    for trial, model in zip(trials, models, strict=True):
        steps.attempt(SWEEP, trial, fingerprint, str(here / "splits"), model)
    chosen = steps.choose(SWEEP, models, str(here / "model"))
    assert chosen in [json.loads(trial) for trial in trials]
    told = capsys.readouterr().out
    assert "trial 1/2: trees=3" in told
    assert "trial 2/2: growing 5 trees" in told


def test_a_sweep_is_refused_where_one_model_is_trained(here, capsys):
    with pytest.raises(SystemExit):
        prepare(here, SWEEP)
    assert "this configuration has a sweep, this pipeline trains one model" in capsys.readouterr().out
    assert not (here / "splits").exists()


def test_a_training_that_is_stopped_and_one_that_is_killed_go_on_to_the_bytes_of_one_that_was_not(
    tmp_path, monkeypatch
):
    pytest.importorskip("torch", reason="torch is not installed")
    config, splits = configured(epochs=40, patience=40, batch_size=12), pictures(tmp_path / "splits")
    step = Step(config, splits, tmp_path / "ended")

    step.start().wait_for_checkpoint()
    assert step.end(signal.SIGTERM) == 143, step.said()
    told = step.lines()[-1]
    number = int(re.search(r"^\[slipway\] stopped by SIGTERM at step (\d+); a retry goes on from file://", told)[1])
    assert len(step.checkpoints()) == 2
    assert int(step.checkpoints()[-1].partition("-")[0]) == number

    step.start().wait_for_checkpoint()
    assert step.end(signal.SIGKILL) == -signal.SIGKILL
    assert f"[slipway] going on from step {number} in epoch " in step.said()
    assert not (step.model / "graph.onnx").exists()

    monkeypatch.setenv("SLIPWAY_CHECKPOINTS", step.store)
    steps.train(*step.arguments)
    assert len(step.checkpoints()) == 2, "nobody knows yet that the model is safe"
    clear(step.model)
    assert not step.kept.exists()
    monkeypatch.delenv("SLIPWAY_CHECKPOINTS")
    whole = Step(config, splits, tmp_path / "whole")
    steps.train(*whole.arguments)
    for file in ("graph.onnx", "native.npy", "training.json"):
        assert (step.model / file).read_bytes() == (whole.model / file).read_bytes(), file


def test_a_step_that_is_stopped_ends_as_shells_call_it():
    @steps.step
    def stop() -> None:
        raise Stopped

    with pytest.raises(SystemExit) as caught:
        stop()
    assert caught.value.code == 128 + signal.SIGTERM
