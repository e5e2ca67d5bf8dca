"""The compiled file is what the sources say, byte for byte, and holds no shape that goes wrong in silence."""

import os
import subprocess
import sys

import pytest
import yaml

from components.ports import IMAGE
from pipelines import compile as module
from pipelines.compile import COMPILED, compile_pipeline
from pipelines.errors import RunError
from pipelines.lint import Finding, lint

DOCUMENTS = list(yaml.safe_load_all(COMPILED.read_text()))


@pytest.mark.parametrize("seed", ["0", "1", "2"])
def test_the_committed_file_is_fresh_whatever_the_hash_seed(seed):
    command = [sys.executable, "-m", "pipelines", "compile", "--check"]
    checked = subprocess.run(
        command, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


def test_a_stale_file_is_told(tmp_path):
    stale = tmp_path / "training.yaml"
    stale.write_text(COMPILED.read_text().replace("4G", "8G"))
    command = [sys.executable, "-m", "pipelines", "compile", "--check", "--output", str(stale)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 2
    assert "is stale; run: slipway compile" in checked.stderr


def test_the_committed_file_has_no_shape_that_goes_wrong_in_silence():
    assert lint(COMPILED) == []


def test_a_graph_with_a_bad_shape_is_not_compiled(monkeypatch):
    finding = Finding(rule="some-rule", where="some task", message="do otherwise")
    monkeypatch.setattr(module, "lint", lambda _: [finding])
    with pytest.raises(RunError, match="some-rule at some task: do otherwise"):
        compile_pipeline()


def test_another_image_replaces_every_image_and_nothing_else():
    compiled = compile_pipeline("registry.example/slipway@sha256:1")
    executors = next(yaml.safe_load_all(compiled))["deploymentSpec"]["executors"].values()
    assert {executor["container"]["image"] for executor in executors} == {"registry.example/slipway@sha256:1"}
    assert compiled.replace("registry.example/slipway@sha256:1", IMAGE) == COMPILED.read_text()


def test_every_step_may_run_in_a_restricted_namespace_and_installs_nothing():
    spec, platform = DOCUMENTS
    secured = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    for name, executor in spec["deploymentSpec"]["executors"].items():
        assert secured[name]["securityContext"] == {"runAsNonRoot": True}, name
        assert "pip install" not in " ".join(executor["container"]["command"]), name


def test_the_compiled_file_names_no_endpoint_and_no_secret():
    text = COMPILED.read_text()
    assert "http://" not in text
    assert "s3://" not in text
    for executor in DOCUMENTS[0]["deploymentSpec"]["executors"].values():
        assert "env" not in executor["container"]


def test_only_training_is_cached_and_what_it_is_cached_by_names_data_and_code():
    tasks = {}
    for component in (DOCUMENTS[0]["root"], *DOCUMENTS[0]["components"].values()):
        tasks |= component.get("dag", {}).get("tasks", {})
    cached = {name for name, task in tasks.items() if task.get("cachingOptions", {}).get("enableCache")}
    steps = {name for name in tasks if not name.startswith("condition")}
    assert steps == {"prepare", "train", "assess", "publish", "refuse"}
    assert cached == {"train"}
    assert "fingerprint" in tasks["train"]["inputs"]["parameters"]
