"""Submitting to a server: the same requests as the stock client, and an end that tells what happened."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from kfp_server import Scenario, running

from components.config import read_config
from pipelines import submit as module
from pipelines.compile import COMPILED as FILES
from pipelines.errors import RunError
from pipelines.submit import step_names, submit

ROOT = Path(__file__).parents[2]
TRAINING = FILES["training.yaml"]
DONE = {"prepare": "SUCCEEDED", "train": "SUCCEEDED", "assess": "SUCCEEDED"}
PASSED = Scenario(
    moments=[
        ("PENDING", {}),
        ("RUNNING", {"prepare": "RUNNING"}),
        ("RUNNING", {"prepare": "SUCCEEDED", "train": "RUNNING"}),
        ("SUCCEEDED", {**DONE, "publish": "SUCCEEDED", "refuse": "SKIPPED"}),
    ]
)
TRACEBACK = """\
I1121 launcher.go:145] running
Traceback (most recent call last):
  File "/app/components/steps.py", line 1, in train
    run()
ValueError: Input X contains NaN.
time="2026-01-01" level=info msg="sub-process exited" error="exit status 1"
"""


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(module, "POLL_SECONDS", 0.02)


def send(server, said=None, **changes):
    content = {
        "endpoint": server.url,
        "experiment": "tests",
        "run_name": None,
        "namespace": "kubeflow",
        "service_account": None,
        "token": None,
        "cache": True,
        "timeout_seconds": 20,
        "say": (said if said is not None else []).append,
    }
    config = read_config(ROOT / "configs" / "digits.yaml").plain()
    return submit(TRAINING, changes.pop("arguments", {"config": config}), **(content | changes))


def test_a_good_run_ends_with_zero_and_each_change_of_a_step_is_one_line():
    said: list[str] = []
    with running(PASSED) as server:
        assert send(server, said) == 0
    assert said[0].startswith(f"run       {server.url}/#/runs/details/")
    told = [tuple(line.split()[:2]) for line in said[1:-1]]
    assert told == [
        ("prepare", "running"),
        ("prepare", "succeeded"),
        ("train", "running"),
        ("train", "succeeded"),
        ("assess", "succeeded"),
        ("publish", "succeeded"),
    ]
    assert said[-1] == "passed"


def test_a_refused_run_ends_with_one_and_the_gates_own_words():
    said: list[str] = []
    logs = {"training-x7f2p-system-container-impl-4": "[slipway] error: refused by the gate: accuracy 0.9 is below\n"}
    scenario = Scenario([("FAILED", {**DONE, "refuse": "FAILED", "publish": "SKIPPED"})], logs)
    with running(scenario) as server:
        assert send(server, said) == 1
    assert said[-1] == "refused by the gate: accuracy 0.9 is below"


@pytest.mark.parametrize("infix", ["", "system-container-impl-", "retry-system-container-impl-"])
def test_a_failed_run_ends_with_two_the_step_and_its_own_error(infix):
    said: list[str] = []
    scenario = Scenario(
        [("FAILED", {"prepare": "SUCCEEDED", "train": "FAILED"})], {f"training-x7f2p-{infix}2": TRACEBACK}
    )
    with running(scenario) as server:
        assert send(server, said) == 2
    assert said[-1] == "train failed: ValueError: Input X contains NaN."


def test_without_a_traceback_the_last_line_of_the_steps_log_is_its_error():
    said: list[str] = []
    logs = {"training-x7f2p-retry-system-container-impl-1": "epoch 1\ncafé closed\n"}
    with running(Scenario([("FAILED", {"train": "FAILED"})], logs)) as server:
        assert send(server, said) == 2
    assert said[-1] == "train failed: café closed"


def test_a_log_that_is_gone_is_said():
    said: list[str] = []
    with running(Scenario([("FAILED", {"train": "FAILED"})])) as server:
        assert send(server, said) == 2
    assert said[-1] == "train failed: its log is not to be had; look at its pod"


@pytest.mark.parametrize("state", ["CANCELED", "FAILED"])
def test_a_run_that_ends_otherwise_ends_with_two(state):
    said: list[str] = []
    with running(Scenario([("RUNNING", {}), (state, {"prepare": "SUCCEEDED"})])) as server:
        assert send(server, said) == 2
    assert said[-1].startswith(f"the run is {state}; no step says why, look at http://127.0.0.1")


def test_losing_the_server_for_a_while_does_not_lose_the_run():
    with running(Scenario(PASSED.moments, outage=5)) as server:
        assert send(server) == 0


def test_a_server_that_is_busy_or_starting_again_does_not_lose_the_run():
    with running(Scenario(PASSED.moments, busy=[429, 500, 503])) as server:
        assert send(server) == 0


def test_a_server_that_takes_the_token_no_longer_is_an_error():
    with (
        running(Scenario(PASSED.moments, busy=[401])) as server,
        pytest.raises(RunError, match=r"no longer shows the run .*: 401 .* and check the token"),
    ):
        send(server)


def test_a_server_that_stays_away_is_an_error(monkeypatch):
    monkeypatch.setattr(module, "MOST_LOSSES", 2)
    with (
        running(Scenario(PASSED.moments, outage=1000)) as server,
        pytest.raises(RunError, match=r"lost http://127\.0\.0\.1:\d+; the run goes on there unwatched, look at http"),
    ):
        send(server)


@pytest.mark.parametrize("fault", [{"outage": 1000}, {"silence": 0.3}])
def test_the_time_out_holds_while_the_server_does_not_answer(monkeypatch, fault):
    monkeypatch.setattr(module, "REQUEST_SECONDS", 0.1)
    with (
        running(Scenario(PASSED.moments, **fault)) as server,
        pytest.raises(RunError, match=r"is out of reach after 0\.2 s and goes on; --timeout waits longer"),
    ):
        send(server, timeout_seconds=0.2)


def test_a_run_that_takes_too_long_goes_on_alone():
    with (
        running(Scenario([("RUNNING", {})])) as server,
        pytest.raises(RunError, match=r"is RUNNING after 0\.1 s and goes on"),
    ):
        send(server, timeout_seconds=0.1)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [({"config": "text"}, "config requires type STRUCT"), ({"colour": "red"}, "not required by pipeline: colour")],
)
def test_what_the_server_refuses_is_told_in_its_words(arguments, told):
    with running(PASSED) as server, pytest.raises(RunError, match=f"refused the run with 400.*{told}"):
        send(server, arguments=arguments)


def test_an_endpoint_where_nothing_listens_is_named():
    with pytest.raises(RunError, match="can't reach http://127.0.0.1:9; check --endpoint"):
        submit(TRAINING, {}, endpoint="http://127.0.0.1:9/", experiment="e", run_name=None, namespace="kubeflow",
               service_account=None, token=None, cache=True, timeout_seconds=1, say=print)  # fmt: skip


def test_a_login_page_is_not_taken_for_a_server():
    with (
        running(Scenario(PASSED.moments, greeting="text/html")) as server,
        pytest.raises(RunError, match=r"answers 200 \(text/html\), unlike Kubeflow Pipelines; check --endpoint and"),
    ):
        send(server)


def test_the_token_is_sent_with_every_request():
    with running(PASSED) as server:
        send(server, token="abc")  # noqa: S106 (not a secret)
    assert server.tokens == {"Bearer abc"}


def test_no_cache_switches_every_step_off_and_the_default_leaves_the_choice_to_the_file():
    with running(Scenario(PASSED.moments)) as server:
        send(server)
        server.looks = 0
        send(server, cache=False)
    kept, off = (body["pipeline_spec"]["pipeline_spec"]["root"]["dag"]["tasks"]["train"] for body in server.created)
    assert kept["cachingOptions"] == {"enableCache": True}
    assert off["cachingOptions"] in ({}, {"enableCache": False})


def test_only_what_runs_in_a_container_counts_as_a_step():
    assert step_names(TRAINING) == {"prepare", "train", "assess", "publish", "refuse"}


def command_line(program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a program of this environment; kfp warns in many ways, and this is about what it sends."""
    return subprocess.run(
        [str(Path(sys.executable).with_name(program)), *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=False,
    )


def stock(server, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = ("run", "submit", "-e", "demo", "-f", "pipelines/training.yaml", "-w")
    return command_line("kfp", "--endpoint", server.url, *command, *arguments)


def test_both_commands_make_the_same_run():
    with running(PASSED) as server:
        assert stock(server).returncode == 0
        server.looks = 0
        done = command_line(
            "slipway", "submit", "configs/digits.yaml", "--endpoint", server.url, "--experiment", "demo"
        )
        assert done.returncode == 0, done.stderr
    theirs, ours = server.created
    assert theirs["pipeline_spec"] == ours["pipeline_spec"]
    assert theirs["experiment_id"] == ours["experiment_id"]
    assert theirs["pipeline_spec"]["platform_spec"]["platforms"]["kubernetes"]
    assert "parameters" not in (theirs.get("runtime_config") or {}) or not theirs["runtime_config"]["parameters"]
    assert ours["runtime_config"]["parameters"] == {"config": read_config(ROOT / "configs" / "digits.yaml").plain()}


def test_resources_and_another_image_travel_with_a_submission():
    with running(PASSED) as server:
        extra = ("--gpus", "1", "--image", "example/steps:7")
        done = command_line("slipway", "submit", "configs/digits.yaml", "--endpoint", server.url, *extra)
        assert done.returncode == 0, done.stderr
    body = server.created[0]
    assert body["runtime_config"]["parameters"]["gpus"] == "1"
    executors = body["pipeline_spec"]["pipeline_spec"]["deploymentSpec"]["executors"].values()
    assert {executor["container"]["image"] for executor in executors} == {"example/steps:7"}


def test_the_exit_code_of_our_command_is_the_runs_and_that_of_the_stock_client_is_not():
    failed = Scenario([("FAILED", {"train": "FAILED"})], {"training-x7f2p-system-container-impl-1": TRACEBACK})
    with running(failed) as server:
        ours = command_line("slipway", "submit", "configs/digits.yaml", "--endpoint", server.url)
        theirs = stock(server)
    assert (ours.returncode, theirs.returncode) == (2, 0)
    assert "train failed: ValueError: Input X contains NaN." in ours.stdout


def test_the_test_server_refuses_what_the_real_one_does():
    with running(PASSED) as server:
        runs = f"{server.url}/apis/v2beta1/runs"
        assert requests.post(runs, json={"display_name": "r"}, timeout=5).status_code == 404
        experiment = requests.post(
            f"{server.url}/apis/v2beta1/experiments", json={"display_name": "e"}, timeout=5
        ).json()["experiment_id"]
        empty = {"display_name": "r", "experiment_id": experiment, "pipeline_spec": {}}
        assert requests.post(runs, json=empty, timeout=5).status_code == 400
        assert requests.post(runs, data="x", timeout=5).status_code == 415
        assert requests.get(f"{server.url}/apis/v2beta1/nothing", timeout=5).json()["code"] == 5


def test_the_pods_of_a_run_get_the_account_that_is_named():
    with running(PASSED) as server:
        assert send(server, service_account="pipeline-runner") == 0
        assert [body["service_account"] for body in server.created] == ["pipeline-runner"]
