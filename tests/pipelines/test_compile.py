"""The compiled file is what the sources say, byte for byte, and holds no shape that goes wrong in silence."""

import os
import subprocess
import sys

import pytest
import yaml

from components.ports import IMAGE
from pipelines import compile as module
from pipelines.compile import COMPILED, compile_pipelines, image_of, with_image
from pipelines.errors import RunError
from pipelines.lint import Finding, lint

DOCUMENTS = {name: list(yaml.safe_load_all(path.read_text())) for name, path in COMPILED.items()}
every_file = pytest.mark.parametrize("name", COMPILED)


@pytest.mark.parametrize("seed", ["0", "1", "2"])
def test_the_committed_file_is_fresh_whatever_the_hash_seed(seed):
    command = [sys.executable, "-m", "pipelines", "compile", "--check"]
    checked = subprocess.run(
        command, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


@every_file
def test_a_stale_file_is_told(tmp_path, name):
    for path in COMPILED.values():
        text = path.read_text()
        (tmp_path / path.name).write_text(text.replace("4G", "8G") if path.name == name else text)
    command = [sys.executable, "-m", "pipelines", "compile", "--check", "--output", str(tmp_path)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 2
    assert f"{name} is stale; run: slipway compile" in checked.stderr


@every_file
def test_the_committed_file_has_no_shape_that_goes_wrong_in_silence(name):
    assert lint(COMPILED[name]) == []


def test_a_graph_with_a_bad_shape_is_not_compiled(monkeypatch):
    finding = Finding(rule="some-rule", where="some task", message="do otherwise")
    monkeypatch.setattr(module, "lint", lambda _: [finding])
    with pytest.raises(RunError, match="some-rule at some task: do otherwise"):
        compile_pipelines()


@every_file
def test_another_image_replaces_every_image_and_nothing_else(name):
    compiled = compile_pipelines("registry.example/slipway@sha256:1")[name]
    executors = next(yaml.safe_load_all(compiled))["deploymentSpec"]["executors"].values()
    assert {executor["container"]["image"] for executor in executors} == {"registry.example/slipway@sha256:1"}
    assert compiled.replace("registry.example/slipway@sha256:1", IMAGE) == COMPILED[name].read_text()


@every_file
def test_every_step_may_run_in_a_restricted_namespace_and_installs_nothing(name):
    spec, platform = DOCUMENTS[name]
    secured = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    for step, executor in spec["deploymentSpec"]["executors"].items():
        assert secured[step]["securityContext"] == {"runAsNonRoot": True}, step
        assert "pip install" not in " ".join(executor["container"]["command"]), step


@every_file
def test_the_compiled_file_names_no_endpoint_and_no_secret(name):
    text = COMPILED[name].read_text()
    assert "http://" not in text
    assert "s3://" not in text
    for executor in DOCUMENTS[name][0]["deploymentSpec"]["executors"].values():
        assert "env" not in executor["container"]


@pytest.mark.parametrize(
    ("name", "steps", "trained"),
    [
        ("training.yaml", {"prepare", "train", "assess", "publish", "refuse"}, "train"),
        ("sweep.yaml", {"prepare", "attempt", "choose", "assess", "publish", "refuse"}, "attempt"),
    ],
)
def test_only_training_is_cached_and_what_it_is_cached_by_names_data_and_code(name, steps, trained):
    spec, tasks = DOCUMENTS[name][0], {}
    for component in (spec["root"], *spec["components"].values()):
        tasks |= component.get("dag", {}).get("tasks", {})
    cached = {task for task, content in tasks.items() if content.get("cachingOptions", {}).get("enableCache")}
    groups = ("condition", "for-loop", "candidate")
    assert {task for task in tasks if not task.startswith(groups)} == steps
    assert {task for task in cached if not task.startswith(groups)} == {trained}
    assert "fingerprint" in tasks[trained]["inputs"]["parameters"]


def test_an_image_that_was_pinned_stays_and_can_be_replaced_again(tmp_path):
    pinned = compile_pipelines("registry.example/slipway@sha256:1")["training.yaml"]
    (tmp_path / "training.yaml").write_text(pinned)
    assert image_of(tmp_path / "training.yaml") == "registry.example/slipway@sha256:1"
    assert image_of(tmp_path / "absent.yaml") == IMAGE
    assert with_image(pinned, IMAGE) == COMPILED["training.yaml"].read_text()
