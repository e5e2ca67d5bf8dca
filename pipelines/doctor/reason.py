"""The first reason why pods do not become ready, found where it really is, in one sentence.

An InferenceService says only that it is not ready. Behind it the reason may be a condition of the Deployment, an event
of the ReplicaSet, the state of a container, the last words of its log, or the scheduler's. For ``services.py`` and
``pipelines/promote.py``.
"""

from dataclasses import dataclass

from components.kube import Cluster, ClusterError, Json
from pipelines.errors import error_of
from pipelines.rollout import Rollout, is_ready

#: Looked at from the end of a log.
LINES = "50"
LONGEST = 400
#: Restarts after which a container that ends with an error is taken not to recover.
PATIENCE = 2
IMAGE_TROUBLE = {"ImagePullBackOff", "ErrImagePull", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError"}
SETTING_TROUBLE = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}


@dataclass(frozen=True)
class Reason:
    """Why pods do not become ready.

    Attributes:
        what: One sentence.
        remedy: What to do about it.
        final: Whether waiting is in vain.
    """

    what: str
    remedy: str
    final: bool = False


def first_reason(cluster: Cluster, service: Json, state: Rollout | None) -> Reason | None:
    """Return the first reason why an InferenceService's newest version does not become ready; None where all is well.

    Args:
        cluster: The connection.
        service: The InferenceService.
        state: What it runs; none where it has no Deployment.
    """
    if state is None:
        return _of_service(service) or Reason("KServe made no Deployment of it", "look at the log of its controller")
    reason = _refused(cluster, state) or next(filter(None, (_of_pod(cluster, pod) for pod in state.pods)), None)
    return reason or _of_service(service) or _late(state.deployment)


def of_pods(cluster: Cluster, pods: list[Json]) -> Reason | None:
    """Return the first reason why some of the pods are not ready."""
    return next(filter(None, (_of_pod(cluster, pod) for pod in pods)), None)


def _refused(cluster: Cluster, state: Rollout) -> Reason | None:
    """Return why no pod is created: Pod Security, a quota, an admission webhook."""
    for holder in filter(None, (state.replica_set, state.deployment)):
        for condition in holder.get("status", {}).get("conditions") or []:
            if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
                return _admission(condition.get("message", "its pods are refused"))
    if state.replica_set and not state.pods:
        events = _events(cluster, state.replica_set, "FailedCreate")
        return _admission(events[-1]) if events else None
    return None


def _admission(message: str) -> Reason:
    remedy = "look at the quotas and admission webhooks of the namespace"
    if "violates PodSecurity" in message:
        remedy = "harden the container that it names; for storage-initializer, manifests/storage-container is"
    return Reason(f"no pod is created: {_short(message)}", remedy, final=True)


def _of_pod(cluster: Cluster, pod: Json) -> Reason | None:
    status = pod.get("status", {})
    if is_ready(pod) or status.get("phase") == "Succeeded":
        return None
    for condition in status.get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            told = condition.get("message", "no node takes it")
            return Reason(f"pod {_name(pod)} is not scheduled: {_short(told)}", "ask for less, or add a node")
    for kind in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(kind) or []:
            if reason := _of_container(cluster, pod, container):
                return reason
    events = _events(cluster, pod, "Unhealthy") or _events(cluster, pod, "FailedMount")
    return Reason(f"pod {_name(pod)}: {_short(events[-1])}", "look at its log") if events else None


def _of_container(cluster: Cluster, pod: Json, container: Json) -> Reason | None:
    where = f"container {container['name']} of pod {_name(pod)}"
    waiting: Json = container.get("state", {}).get("waiting") or {}
    why = waiting.get("reason", "")
    if why in IMAGE_TROUBLE | SETTING_TROUBLE:
        remedy = "push the image, or load it onto the node" if why in IMAGE_TROUBLE else "create what it names"
        told = str(waiting.get("message") or container["image"])
        return Reason(f"{where}: {why}: {_short(told)}", remedy, final=True)
    ended = _failure(container)
    if ended is None:
        return None
    final = container.get("restartCount", 0) >= PATIENCE
    if ended.get("reason") == "OOMKilled":
        return Reason(f"{where} was ended for memory (OOMKilled)", "raise its memory limit", final)
    told = _error(_log(cluster, pod, container)) or _error(ended.get("message", "")) or ended.get("reason") or "no word"
    return Reason(
        f"{where} ended with {ended.get('exitCode')}: {_short(told)}", "cure that; the pod is started again", final
    )


def _failure(container: Json) -> Json | None:
    """Return how a container that does not run, or is not ready, ended last; None where it did not fail."""
    state = container.get("state", {})
    ended: Json = state.get("terminated") or container.get("lastState", {}).get("terminated") or {}
    runs_well = "running" in state and container.get("ready")
    return ended if ended.get("exitCode") and not runs_well else None


def _log(cluster: Cluster, pod: Json, container: Json) -> str:
    """Return the end of the log of the container's last run that ended; empty where it can't be had."""
    metadata = pod["metadata"]
    path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/log"
    previous = {"previous": "true"} if "terminated" not in container.get("state", {}) else {}
    try:
        return cluster.text(path, container=container["name"], tailLines=LINES, **previous)
    except ClusterError:  # it may be gone already, or this account may not read logs
        return ""


def _error(log: str) -> str:
    """Return the error out of a log: events of the predictor are JSON, its refusal is a plain line."""
    lines = [line for line in log.splitlines() if line.strip() and not line.startswith("{")]
    return error_of("\n".join(lines)) if lines else ""


def _events(cluster: Cluster, about: Json, why: str) -> list[str]:
    """Return the messages of an object's events with a reason, the newest last."""
    metadata = about["metadata"]
    path = f"/api/v1/namespaces/{metadata['namespace']}/events"
    selector = f"involvedObject.name={metadata['name']}"
    found = [event for event in cluster.items(path, fieldSelector=selector) if event.get("reason") == why]
    found.sort(key=lambda event: event.get("lastTimestamp") or event["metadata"].get("creationTimestamp") or "")
    return [event.get("message", "") for event in found]


def _of_service(service: Json) -> Reason | None:
    """Return what KServe itself says about an InferenceService that it can't bring up."""
    status = service.get("status", {})
    failure = (status.get("modelStatus") or {}).get("lastFailureInfo") or {}
    if failure.get("message"):
        return Reason(f"KServe: {_short(failure['message'])}", "see kubectl describe inferenceservice")
    for condition in status.get("conditions") or []:
        if condition["status"] == "False" and condition.get("message"):
            return Reason(
                f"KServe: {condition['type']}: {_short(condition['message'])}", "see kubectl describe inferenceservice"
            )
    return None


def _late(deployment: Json) -> Reason | None:
    for condition in deployment.get("status", {}).get("conditions") or []:
        if condition["type"] == "Progressing" and condition["status"] == "False":
            return Reason(f"Deployment: {_short(condition.get('message', ''))}", "look at its pods", final=True)
    return None


def _name(pod: Json) -> str:
    return str(pod["metadata"]["name"])


def _short(text: str) -> str:
    folded = " ".join(text.split())
    return folded if len(folded) <= LONGEST else f"{folded[:LONGEST]}..."
