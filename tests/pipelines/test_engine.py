"""The engine runs the compiled file as it is, but for retries, and MLflow's tables are made once."""

import os
import subprocess
import sys

import yaml
from mlflow import MlflowClient

from pipelines.compile import COMPILED as FILES
from pipelines.engine import without_retries

COMPILED = FILES["training.yaml"]


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


def test_a_path_with_a_space_does_not_fall_apart(tmp_path):
    place = tmp_path / "a place with spaces"
    (place / "bin").mkdir(parents=True)
    interpreter = place / "bin" / "python"
    interpreter.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    interpreter.chmod(0o755)
    program = (
        f"import sys; sys.executable = {str(interpreter)!r}; from pathlib import Path; "
        "from pipelines.engine import main; "
        f"sys.exit(main(Path({str(COMPILED)!r}), Path({str(place / 'steps')!r}), {{'config': {{}}}}, 'subprocess'))"
    )
    environment = {**os.environ, "MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "SLIPWAY_STORE": place.as_uri()}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    # The step itself ran: it is the one that finds the configuration empty.
    assert "[slipway] error: name is missing" in done.stdout
