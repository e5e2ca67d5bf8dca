"""A run on this machine: what is said, what is kept, and how it ends."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient

import modelpackage
from pipelines.errors import RunError
from pipelines.local import ERROR, PASSED, REFUSED, StepRun, exit_code, follow, refuse_unusable

LOG = """\
05:35:55.9 - INFO - Running pipeline: \x1b[95m'training'\x1b[0m
05:35:55.9 - INFO - Executing task \x1b[96m'prepare'\x1b[0m
05:35:55.9 - INFO - Streamed logs:

    [KFP Executor INFO]: Looking for component
    [slipway] data sha256:13f6: 1439 train
    [slipway] used 2.4 s and 211 MB
05:35:58.9 - INFO - Task \x1b[96m'prepare'\x1b[0m finished with status \x1b[92mSUCCESS\x1b[0m
05:35:58.9 - INFO - Executing task \x1b[96m'train'\x1b[0m
    [slipway] error: the loss is not a number
05:36:00.9 - ERROR - Task \x1b[96m'train'\x1b[0m finished with status \x1b[91mFAILURE\x1b[0m
Pipeline 'training' finished with status FAILURE. Inner task failed: 'train'.
"""


def test_a_log_becomes_one_line_per_step_with_what_the_step_says():
    said: list[str] = []
    steps = follow(iter(LOG.splitlines(keepends=True)), said.append)
    assert [(step.name, step.state, step.peak_mb) for step in steps] == [
        ("prepare", "done", 211),
        ("train", "failed", 0),
    ]
    assert steps[-1].log == ["    [slipway] error: the loss is not a number"]
    assert [re.sub(r"\d+\.\d s", "N s", line) for line in said] == [
        "  prepare: data sha256:13f6: 1439 train",
        "prepare   done        N s",
        "train     failed      N s",
    ]


def test_a_good_run_ends_with_zero_and_says_where_everything_is(passed):
    assert passed.code == 0, passed.err
    assert re.findall(r"^(\w+) +done +[\d.]+ s$", passed.out, re.MULTILINE) == ["prepare", "train", "assess", "publish"]
    places = dict(re.findall(r"^(run|report|package) +(\S+)$", passed.out, re.MULTILINE))
    assert Path(places["report"].removeprefix("file://")).read_text().startswith("<!doctype html>")
    package = modelpackage.load(places["package"].removeprefix("file://"))
    assert Path(places["package"]).name == f"sha256-{package.digest}"
    assert "KFP Executor" not in passed.out
    assert "KFP Executor" in (Path(places["run"]) / "log.txt").read_text()


def test_a_run_keeps_its_account(passed):
    run = next((passed.home / "runs").glob("*-digits"))
    account = json.loads((run / "run.json").read_text())
    assert account["code"] == 0
    assert [step["name"] for step in account["steps"]] == ["prepare", "train", "assess", "publish"]
    assert all(step["seconds"] > 0 and step["peak_mb"] > 50 for step in account["steps"])


def test_the_published_model_is_champion_and_its_run_bears_the_name_of_the_runs_folder(passed):
    client = MlflowClient(tracking_uri=f"sqlite:///{passed.home / 'mlflow.db'}")
    version = client.get_model_version_by_alias("digits", "champion")
    run = client.get_run(version.run_id)
    assert (passed.home / "runs" / run.data.tags["slipway.run"]).is_dir()
    assert (passed.home / "store" / "digits" / "runs" / run.data.tags["slipway.run"] / "run.json").exists()


def test_the_same_run_again_is_the_same_model(passed, slipway):
    again = slipway("run", "configs/digits.yaml", "--set", "train.trees=40")
    packages, versions = (
        [re.search(pattern, done.out, re.MULTILINE)[1] for done in (passed, again)]
        for pattern in (r"^package +(\S+)$", r"^mlflow +digits version (\d+)")
    )
    assert packages[0] == packages[1]
    assert versions[0] == versions[1]


def test_a_refused_run_ends_with_one_publishes_nothing_and_says_why(refused):
    assert refused.code == 1
    assert re.search(r"^refuse +refused", refused.out, re.MULTILINE)
    assert "below the gate's minimum 1.0000" in refused.out
    assert "nothing was published" in refused.out
    assert len(list((refused.home / "store" / "digits").glob("sha256-*"))) == 1
    client = MlflowClient(tracking_uri=f"sqlite:///{refused.home / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("digits").experiment_id
    assert len(client.search_runs([experiment], "tags.gate = 'refused'")) == 1


def test_a_failing_step_ends_with_two_tells_its_own_error_and_its_log_and_is_tried_once(slipway):
    failed = slipway("run", "configs/digits.yaml", "--set", "data.source=builtin://nothing")
    assert failed.code == 2
    assert "prepare failed: data.source=builtin://nothing is not known; choose builtin://digits" in failed.out
    log = Path(re.search(r"^log +(\S+)$", failed.out, re.MULTILINE)[1])
    assert log.read_text().count("Executing task") == 1


def test_a_step_that_told_an_error_has_failed_even_where_its_exit_code_got_lost():
    lost = re.sub(r"ERROR - (Task .*)FAILURE", r"INFO - \1SUCCESS", LOG)
    assert lost.count("with status \x1b[91mSUCCESS") == 1
    assert [step.state for step in follow(iter(lost.splitlines(keepends=True)), print)] == ["done", "failed"]


@pytest.mark.parametrize(
    ("engine", "steps", "published", "code"),
    [
        (0, [("assess", "done"), ("publish", "done")], True, PASSED),
        (1, [("assess", "done"), ("refuse", "failed")], False, REFUSED),
        (1, [("assess", "failed")], False, ERROR),
        (0, [("assess", "done"), ("refuse", "done")], False, REFUSED),
        (0, [("assess", "done"), ("publish", "done")], False, ERROR),
    ],
    ids=["passed", "refused", "failed", "refusal taken for a success", "failed publish taken for a success"],
)
def test_a_step_whose_exit_code_got_lost_is_judged_by_what_it_left(engine, steps, published, code):
    assert exit_code(engine, [StepRun(*step) for step in steps], published=published) == code


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_ends_with_its_steps(tmp_path, number):
    command = [sys.executable, "-m", "pipelines", "run", "configs/digits.yaml", "--set", "train.trees=10000"]
    environment = {**os.environ, "SLIPWAY_HOME": str(tmp_path)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert any("growing 10000 trees" in line for line in run.stdout)
        run.send_signal(number)
        _, told = run.communicate(timeout=20)
    assert (run.returncode, told) == (130, "slipway: interrupted\n")
    for _ in range(100):
        left = [path for path in Path("/proc").glob("[0-9]*/environ") if str(tmp_path) in environment_of(path)]
        if not left:
            return
        time.sleep(0.1)
    pytest.fail(f"still running: {left}")


def environment_of(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def test_containers_need_no_colon_in_the_folder_and_may_have_python3_anywhere():
    refuse_unusable({"name": "python3"}, Path("/opt/python3/runs"), "docker")
    with pytest.raises(RunError, match="contains ':', which a container's mount can't have"):
        refuse_unusable({}, Path("/a:b"), "docker")
    refuse_unusable({}, Path("/a:b"), "subprocess")


@pytest.mark.parametrize(
    ("config", "home", "told"),
    [
        ({"name": "python3"}, "/runs", "the configuration contains 'python3'"),
        ({}, "/opt/python3/runs", "the folder of the run contains 'python3'"),
        ({}, "/a%20b", "contains '%'"),
        ({}, "/a#b", "contains '#'"),
        ({}, "/a?b", r"contains '\?'"),
    ],
)
def test_what_would_go_wrong_in_silence_is_refused_before_anything_is_made(config, home, told):
    with pytest.raises(RunError, match=told):
        refuse_unusable(config, Path(home))
