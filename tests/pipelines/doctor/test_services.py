import kube_scene
import pytest
from kube_scene import CORE, NAMESPACE, NEW, OLD, SERVICE

from pipelines.doctor import services


@pytest.fixture
def serving(server):
    kube_scene.service(server)
    return server


def found(cluster, name: str | None = None) -> list[tuple[str, str]]:
    return [(f.level, f.what) for check in services.checks(cluster, NAMESPACE, name) for f in check()]


def test_pods_say_themselves_which_package_they_serve(serving, cluster):
    ((level, told),) = found(cluster)
    assert level == "ok"
    assert told == f"InferenceService digits: 2 of 2 new pods ready, 2 pods in all, serving sha256:{OLD[:12]}"


def test_an_empty_namespace_is_no_problem_and_a_name_that_is_not_there_is(server, cluster):
    assert found(cluster) == [("ok", "no InferenceService is in slipway")]
    assert found(cluster, "digits") == [("problem", "InferenceService digits does not exist in slipway")]


def test_a_pod_that_serves_another_package_is_named(serving, cluster):
    kube_scene.ready(serving, "digits-1-b", NEW)
    ((level, told),) = found(cluster, "digits")
    assert level == "problem"
    assert f"shall serve {OLD[:12]}, but pod digits-1-b serves {NEW[:12]}" in told


def test_a_new_version_that_fails_is_a_problem_although_the_service_is_ready(serving, cluster):
    kube_scene.deploy(serving, NEW, revision=2)
    serving.objects[SERVICE]["spec"]["predictor"]["model"]["storageUri"] = kube_scene.uri(NEW)
    state = {"waiting": {"reason": "ErrImageNeverPull", "message": "not there"}}
    kube_scene.failing(serving, "digits-2-a", {"name": "kserve-container", "state": state})
    ((level, told),) = found(cluster)
    assert level == "problem"
    assert "0 of 2 new pods ready, 2 pods in all; container kserve-container of pod digits-2-a: ErrImage" in told


def test_a_rollout_on_its_way_is_a_warning(serving, cluster):
    kube_scene.deploy(serving, NEW, revision=2)
    assert found(cluster)[0][0] == "warning"


def test_a_digest_that_disagrees_with_the_place_is_a_problem(serving, cluster):
    serving.objects[SERVICE]["spec"]["predictor"]["model"]["storageUri"] = kube_scene.uri(NEW)
    told = [what for level, what in found(cluster) if level == "problem"]
    assert "InferenceService digits: its SLIPWAY_DIGEST is not the digest in its storageUri" in told


def test_a_place_without_a_digest_is_a_warning(serving, cluster):
    serving.objects[SERVICE]["spec"]["predictor"]["model"]["storageUri"] = "s3://models/digits/latest"
    (level, told), _ = found(cluster)
    assert level == "warning"
    assert "names no digest" in told


def test_an_account_without_the_proxy_hears_that_pods_are_ready(serving, cluster):
    serving.forbidden = "/proxy/"
    ((level, told),) = found(cluster)
    assert level == "ok"
    assert "can't be asked: GET" in told


def test_one_that_can_not_be_looked_at_does_not_hide_the_others(serving, cluster):
    serving.put(SERVICE.replace("digits", "iris"), {"spec": {"predictor": {"model": {}}}})
    serving.forbidden = "/deployments/digits"
    assert [level for level, _ in found(cluster)] == ["warning", "warning", "problem"]


def test_knative_is_not_looked_at(serving, cluster):
    serving.objects[SERVICE]["status"]["deploymentMode"] = "Knative"
    ((level, told),) = found(cluster)
    assert level == "warning"
    assert "Knative mode" in told
    assert f"GET {CORE}/pods" not in serving.asked
