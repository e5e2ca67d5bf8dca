from pathlib import Path

from manifests.render import parse, read
from manifests.steps import KFP_LABELS

ROOT = Path(__file__).parents[3]


def test_the_steps_of_our_pipelines_are_found_with_what_they_ask_of_kubernetes():
    steps = {step.name: step for step in read(ROOT / "pipelines" / "training.yaml").steps}
    assert "exec-train" in steps
    assert all(step.platform["securityContext"]["runAsNonRoot"] for step in steps.values())
    assert steps["exec-train"].where == "pipeline/training[exec-train]"
    assert steps["exec-train"].labels.items() >= KFP_LABELS.items()


def test_a_pipeline_version_holds_steps_too():
    spec, platform = parse((ROOT / "pipelines" / "training.yaml").read_text())
    version = {"kind": "PipelineVersion", "metadata": {"name": "training-1"}}
    rendering = read(ROOT / "pipelines" / "training.yaml")
    rendering.documents[:] = [{**version, "spec": {"pipelineSpec": spec, "platformSpec": platform}}]
    assert "pipeline/training-1[exec-train]" in [step.where for step in rendering.steps]
    assert all(step.platform for step in rendering.steps)


def test_labels_of_a_step_reach_its_pod():
    spec, platform = parse((ROOT / "pipelines" / "training.yaml").read_text())
    asked = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-train"]
    asked["podMetadata"] = {"labels": {"app.kubernetes.io/name": "trainer"}}
    rendering = read(ROOT / "pipelines" / "training.yaml")
    rendering.documents[:] = [spec, platform]
    [step] = [step for step in rendering.steps if step.name == "exec-train"]
    assert step.labels == {**KFP_LABELS, "app.kubernetes.io/name": "trainer"}
