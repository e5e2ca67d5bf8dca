import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import pipelines
from pipelines.errors import RunError
from pipelines.selftest import TABLE, run_pipeline, self_test

ROOT = Path(__file__).parents[2]


def test_the_command_lines_version_is_the_projects():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == pipelines.VERSION


@pytest.mark.slow
def test_the_pipeline_publishes_a_whole_package(tmp_path, monkeypatch):
    monkeypatch.setenv("SLIPWAY_STORE", "s3://of-others/models")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    digest = run_pipeline(TABLE, tmp_path)
    assert (tmp_path / "store" / "self-test" / f"sha256-{digest}" / "model.onnx").exists()
    assert not (tmp_path / "mlflow.db").exists()


@pytest.mark.slow
def test_a_step_that_fails_is_told_in_its_own_words(tmp_path):
    with pytest.raises(RunError, match=r"^prepare failed: .*/nowhere\.csv"):
        run_pipeline(TABLE | {"data": {"source": "/nowhere.csv", "label": "kind"}}, tmp_path)


@pytest.mark.slow
def test_it_passes_in_one_line():
    done = subprocess.run(
        [sys.executable, "-m", "pipelines", "--self-test"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"self-test passed in [\d.]+ s: .+ is whole(; torch .+ computes on .+)?\n", done.stdout)


def test_what_fails_is_one_line_and_exit_code_1(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "a%20b"))
    (tmp_path / "a%20b").mkdir()
    assert self_test() == 1
    said, errors = capsys.readouterr()
    assert said == ""
    assert re.fullmatch(r"self-test failed: .+a%20b.+\n", errors)
