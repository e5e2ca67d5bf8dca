"""``hack/lint-manifests`` for real: on a folder, on our compiled pipelines, and on what it can't read."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
GOOD = Path(__file__).with_name("good.yaml")

needs_kubectl = pytest.mark.skipif(not shutil.which("kubectl"), reason="no kubectl on the PATH")


def lint(*arguments, **environment):
    own = {name: value for name, value in os.environ.items() if name != "SLIPWAY_CRDS"}
    command = [sys.executable, ROOT / "hack" / "lint-manifests", *arguments]
    return subprocess.run(command, env={**own, **environment}, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "local"
    folder.mkdir()
    (folder / "good.yaml").write_text(GOOD.read_text())
    (folder / "kustomization.yaml").write_text("resources: [good.yaml]\n")
    return folder


@pytest.fixture
def none(tmp_path):
    """A file of waivers that waives nothing."""
    file = tmp_path / "none.yaml"
    file.touch()
    return file


@needs_kubectl
def test_sound_manifests_pass_and_what_was_not_checked_is_said(folder, none):
    done = lint(folder, "--waivers", none)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "6 custom resources were not held against a schema: SLIPWAY_CRDS is not set" in done.stderr


@needs_kubectl
def test_a_finding_is_a_line_with_its_overlay_and_ends_with_1(folder, none):
    text = (folder / "good.yaml").read_text()
    (folder / "good.yaml").write_text(text.replace("args: [--port=5000]", "tty: 5"))
    done = lint(folder, "--waivers", none)
    assert done.returncode == 1
    [line] = done.stdout.splitlines()
    assert line.startswith("schema deployment/web: spec.template.spec.containers[0].tty: 5 is not of type")
    assert line.endswith("(local)")


@needs_kubectl
def test_a_waiver_ends_a_finding_and_an_idle_one_is_one(folder, tmp_path):
    text = (folder / "good.yaml").read_text()
    (folder / "good.yaml").write_text(text.replace("minReplicas: 1", "minReplicas: 0"))
    waivers = tmp_path / "waivers.yaml"
    waivers.write_text("- {rule: kserve-ignored, object: inferenceservice/digits, overlay: local, reason: a test}\n")
    done = lint(folder, "--waivers", waivers)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    (folder / "good.yaml").write_text(text)
    done = lint(folder, "--waivers", waivers)
    assert done.returncode == 1
    assert (
        done.stdout
        == "waiver-unused waivers.yaml/kserve-ignored[inferenceservice/digits]: waives nothing; take it out\n"
    )


def test_our_compiled_pipelines_pass(none):
    done = lint(*sorted((ROOT / "pipelines").glob("*.yaml")), "--waivers", none)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


@needs_kubectl
def test_a_folder_that_does_not_render_ends_with_2(tmp_path, none):
    done = lint(tmp_path, "--waivers", none)
    assert done.returncode == 2
    assert f"{tmp_path} does not render" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_not_there_is_refused(tmp_path):
    assert "there is no" in lint(tmp_path / "none").stderr
    pipeline = ROOT / "pipelines" / "training.yaml"
    done = lint(pipeline, SLIPWAY_CRDS=str(tmp_path / "none"))
    assert done.returncode == 2
    assert "is not a folder" in done.stderr
