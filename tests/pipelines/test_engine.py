"""The engine runs the compiled file as it is, but for retries, and MLflow's tables are made once."""

import subprocess
import sys

import yaml
from mlflow import MlflowClient

from pipelines.compile import COMPILED
from pipelines.engine import without_retries


def test_only_the_retries_are_taken_out():
    original, stripped = COMPILED.read_text(), without_retries(COMPILED.read_text())
    assert original.count("retryPolicy") == 5
    assert "retryPolicy" not in stripped
    documents, left = list(yaml.safe_load_all(original)), list(yaml.safe_load_all(stripped))
    for component in (documents[0]["root"], *documents[0]["components"].values()):
        for task in component.get("dag", {}).get("tasks", {}).values():
            task.pop("retryPolicy", None)
    assert left == documents


def test_several_first_runs_at_once_make_one_good_database(tmp_path):
    uri = f"sqlite:///{tmp_path / 'fresh' / 'mlflow.db'}"
    command = [sys.executable, "-c", f"from pipelines.engine import initialise_tracking as i; i({uri!r})"]
    processes = [subprocess.Popen(command) for _ in range(4)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0, 0, 0]
    assert MlflowClient(tracking_uri=uri).search_experiments()
