import kube_scene
import pytest
from kube_scene import NEW, OLD

from components.kube import Cluster
from pipelines.rollout import deployment_name, digest_of, is_ready, rollout, served


def seen(cluster: Cluster):
    return rollout(cluster, cluster.get(kube_scene.SERVICE))


@pytest.mark.parametrize(
    ("uri", "digest"),
    [
        (f"s3://models/digits/sha256-{OLD}/", OLD),
        (f"s3://models/digits/sha256-{OLD}", OLD),
        (f"s3://models/digits/sha256-{OLD[:12]}/", None),
        (f"s3://models/digits/sha256-{'G' * 64}/", None),
        (f"s3://models/digits/{OLD}/", None),
        ("s3://models/digits/latest/", None),
        ("", None),
    ],
    ids=["slash", "no slash", "short", "no digits", "no prefix", "alias", "empty"],
)
def test_a_digest_is_read_off_the_last_part_of_a_uri(uri, digest):
    assert digest_of(uri) == digest


def test_a_rollout_that_is_done_is_settled(server, cluster):
    kube_scene.service(server)
    state = seen(cluster)
    assert (state.settled, state.expected, state.wanted, len(state.pods), state.old) == (True, OLD, 2, 2, [])
    assert [served(cluster, pod) for pod in state.pods] == [OLD, OLD]


def test_what_the_controller_has_not_seen_is_not_settled(server, cluster):
    kube_scene.service(server)
    server.objects[kube_scene.DEPLOYMENT]["metadata"]["generation"] = 2
    assert not seen(cluster).settled


def test_pods_of_the_version_before_are_told_apart(server, cluster):
    kube_scene.service(server)
    kube_scene.deploy(server, NEW, revision=2)
    kube_scene.failing(server, "digits-2-a", {"name": "kserve-container", "state": {"waiting": {}}})
    state = seen(cluster)
    assert not state.settled
    assert state.expected == NEW
    assert [pod["metadata"]["name"] for pod in state.pods] == ["digits-2-a"]
    assert [pod["metadata"]["name"] for pod in state.old] == ["digits-1-a", "digits-1-b"]
    assert state.told() == "0 of 2 new pods ready, 2 pods in all"


def test_a_pod_that_ends_is_not_ready(server, cluster):
    kube_scene.service(server)
    pod = server.objects[f"{kube_scene.CORE}/pods/digits-1-a"]
    assert is_ready(pod)
    pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert not is_ready(pod)


def test_without_a_deployment_there_is_no_rollout(server, cluster):
    kube_scene.service(server)
    del server.objects[kube_scene.DEPLOYMENT]
    assert seen(cluster) is None


def test_a_named_predictor_has_a_deployment_of_another_name():
    service = {"metadata": {"name": "digits"}, "spec": {"predictor": {"name": "v2"}}}
    assert deployment_name(service) == "digits-v2-predictor"


def test_a_server_that_is_none_of_ours_serves_no_package(server, cluster):
    kube_scene.service(server)
    server.objects[f"{kube_scene.CORE}/pods/digits-1-a:8080/proxy/v2/models/digits"].pop("parameters")
    del server.objects[f"{kube_scene.CORE}/pods/digits-1-b:8080/proxy/v2/models"]
    assert [served(cluster, pod) for pod in seen(cluster).pods] == [None, None]
