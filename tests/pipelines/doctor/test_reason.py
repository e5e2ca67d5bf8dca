import kube_scene
import pytest
from kube_scene import NEW

from pipelines.doctor.reason import first_reason
from pipelines.rollout import rollout

POD = "digits-2-a"
FORBIDDEN = 'pods "digits-2-" is forbidden: violates PodSecurity "restricted:latest": storage-initializer must set'


@pytest.fixture
def rolling(server):
    """A new version begins, while the old one serves."""
    kube_scene.service(server)
    kube_scene.deploy(server, NEW, revision=2)
    return server


def why(cluster):
    service = cluster.get(kube_scene.SERVICE)
    return first_reason(cluster, service, rollout(cluster, service))


def waiting(reason: str, message: str = "") -> dict:
    return {"state": {"waiting": {"reason": reason, "message": message}}}


def crashed(code: int, reason: str = "Error", restarts: int = 3) -> dict:
    back = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s restarting failed container"}}
    return {"state": back, "lastState": {"terminated": {"exitCode": code, "reason": reason}}, "restartCount": restarts}


def test_all_is_well_without_a_reason(server, cluster):
    kube_scene.service(server)
    assert why(cluster) is None


def test_a_refused_pod_is_found_in_the_condition_of_its_replica_set(rolling, cluster):
    condition = {"type": "ReplicaFailure", "status": "True", "message": FORBIDDEN}
    rolling.objects[f"{kube_scene.APPS}/replicasets/digits-2"]["status"] = {"conditions": [condition]}
    assert "no pod is created: pods" in why(cluster).what
    assert why(cluster).final
    assert "manifests/storage-container" in why(cluster).remedy


def test_a_refused_pod_is_found_in_the_events_of_its_replica_set(rolling, cluster):
    kube_scene.event(rolling, "digits-2", "FailedCreate", FORBIDDEN)
    assert "violates PodSecurity" in why(cluster).what


def test_an_image_that_is_not_there(rolling, cluster):
    kube_scene.failing(rolling, POD, {"name": "kserve-container", **waiting("ErrImageNeverPull", "no such image")})
    assert why(cluster).what == "container kserve-container of pod digits-2-a: ErrImageNeverPull: no such image"
    assert why(cluster).final


def test_the_predictor_says_why_it_ends(rolling, cluster):
    kube_scene.failing(rolling, POD, {"name": "kserve-container", **crashed(1)})
    log = '{"time":"t","event":"start"}\n/mnt/models is sha256:1, not sha256:2; fetch it again\n{"event":"limits"}\n'
    rolling.texts[f"{kube_scene.CORE}/pods/{POD}/log?container=kserve-container"] = log
    assert why(cluster).what.endswith("ended with 1: /mnt/models is sha256:1, not sha256:2; fetch it again")
    assert why(cluster).final


def test_the_storage_initializer_says_why_it_ends(rolling, cluster):
    state = {"name": "storage-initializer", **crashed(1, restarts=1)}
    kube_scene.failing(rolling, POD, state, kind="initContainerStatuses")
    log = "Traceback (most recent call last):\n  File x\nbotocore.exceptions.NoCredentialsError: no credentials\n"
    rolling.texts[f"{kube_scene.CORE}/pods/{POD}/log?container=storage-initializer"] = log
    assert "storage-initializer of pod digits-2-a ended with 1: botocore" in why(cluster).what
    assert not why(cluster).final


def test_a_log_that_may_not_be_read_leaves_the_exit_code(rolling, cluster):
    kube_scene.failing(rolling, POD, {"name": "kserve-container", **crashed(3)})
    rolling.forbidden = "/log$"
    assert "ended with 3: Error" in why(cluster).what


def test_a_log_that_may_not_be_read_leaves_the_containers_last_message(rolling, cluster):
    state = crashed(1)
    state["lastState"]["terminated"]["message"] = '{"event":"start"}\ns3://models/x holds no model package\n'
    kube_scene.failing(rolling, POD, {"name": "storage-initializer", **state}, kind="initContainerStatuses")
    assert why(cluster).what.endswith("ended with 1: s3://models/x holds no model package")


def test_an_end_for_memory(rolling, cluster):
    kube_scene.failing(rolling, POD, {"name": "kserve-container", **crashed(137, "OOMKilled")})
    assert "was ended for memory (OOMKilled)" in why(cluster).what
    assert why(cluster).remedy == "raise its memory limit"


def test_the_scheduler_says_why_a_pod_waits(rolling, cluster):
    condition = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available: 1 Insufficient cpu."}
    kube_scene.pod(rolling, POD, {"phase": "Pending", "conditions": [condition]})
    assert why(cluster).what == "pod digits-2-a is not scheduled: 0/1 nodes are available: 1 Insufficient cpu."


def test_a_probe_that_fails_is_an_event_of_the_pod(rolling, cluster):
    container = {"name": "kserve-container", "state": {"running": {}}, "ready": False}
    kube_scene.failing(rolling, POD, container)
    kube_scene.event(rolling, POD, "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503")
    assert "statuscode: 503" in why(cluster).what


def test_what_kserve_says_where_there_is_no_deployment(server, cluster):
    kube_scene.service(server)
    del server.objects[kube_scene.DEPLOYMENT]
    failure = {"message": "no runtime found to support predictor"}
    server.objects[kube_scene.SERVICE]["status"]["modelStatus"] = {"lastFailureInfo": failure}
    assert why(cluster).what == "KServe: no runtime found to support predictor"


def test_a_rollout_that_takes_too_long(rolling, cluster):
    condition = {"type": "Progressing", "status": "False", "message": "ReplicaSet has timed out progressing."}
    rolling.objects[kube_scene.DEPLOYMENT]["status"]["conditions"] = [condition]
    assert why(cluster).what == "Deployment: ReplicaSet has timed out progressing."


def test_a_long_message_is_cut(rolling, cluster):
    kube_scene.failing(rolling, POD, {"name": "kserve-container", **waiting("ErrImagePull", "x" * 10_000)})
    assert len(why(cluster).what) < 600
