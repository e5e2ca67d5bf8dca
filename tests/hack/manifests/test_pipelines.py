from pathlib import Path

import pytest
from manifests.render import Rendering, parse
from manifests.rules import findings

ROOT = Path(__file__).parents[3]
TRAIN = "pipeline/training[exec-train]"
SPEC, PLATFORM = 0, 1


@pytest.fixture
def pipeline():
    return parse((ROOT / "pipelines" / "training.yaml").read_text())


def container(pipeline):
    return pipeline[SPEC]["deploymentSpec"]["executors"]["exec-train"]["container"]


def found(pipeline):
    return findings(Rendering("training.yaml", pipeline))


def test_our_pipelines_are_sound(pipeline):
    assert found(pipeline) == []


@pytest.mark.parametrize(
    "name", ["resourceCpuRequest", "resourceCpuLimit", "resourceMemoryRequest", "resourceMemoryLimit"]
)
def test_a_step_without_resources_is_found(pipeline, name):
    del container(pipeline)["resources"][name]
    [finding] = found(pipeline)
    assert (finding.rule, finding.where, finding.what) == ("kfp-steps", TRAIN, f"has no {name}")


def test_a_step_that_may_run_as_root_is_found(pipeline):
    asked = pipeline[PLATFORM]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    del asked["exec-train"]["securityContext"]
    [finding] = found(pipeline)
    assert (finding.rule, finding.where, finding.what) == ("kfp-steps", TRAIN, "may run as root")


def test_pipelines_without_a_platform_document_run_as_anyone(pipeline):
    assert {finding.what for finding in found(pipeline[:1])} == {"may run as root"}


@pytest.mark.parametrize("image", ["slipway/component", "slipway/component:latest", "slipway/component:dev"])
def test_a_mutable_image_is_found(pipeline, image):
    container(pipeline)["image"] = image
    [finding] = found(pipeline)
    assert (finding.rule, finding.where, image in finding.what) == ("kfp-steps", TRAIN, True)


def test_a_pip_install_is_found(pipeline):
    container(pipeline)["command"] = ["sh", "-c", "python -m pip install kfp"]
    [finding] = found(pipeline)
    assert (finding.rule, finding.where, finding.what) == ("kfp-steps", TRAIN, "runs pip install")


def test_a_secret_in_a_variable_is_found(pipeline):
    container(pipeline)["env"] = [{"name": "AWS_SECRET_ACCESS_KEY", "value": "hunter2"}]
    [finding] = found(pipeline)
    assert (finding.rule, finding.where) == ("kfp-steps", TRAIN)
    assert "hunter2" not in str(finding)
