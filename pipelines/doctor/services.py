"""Checks of the InferenceServices of a namespace: what each really serves, and if it does not, the first reason."""

from collections.abc import Iterator

from components.kube import Cluster, ClusterError, Json
from pipelines.doctor import Check, Finding, diagnose, ok, problem, warning
from pipelines.doctor.reason import first_reason
from pipelines.rollout import Rollout, digest_of, is_ready, model_of, rollout, served, service_path

SHORT = 12
MODE = "serving.kserve.io/deploymentMode"
KNATIVE = {"Knative", "Serverless"}


def checks(cluster: Cluster, namespace: str, name: str | None) -> list[Check]:
    """Return the check of one InferenceService, or of all in a namespace."""
    return [lambda: services(cluster, namespace, name)]


def services(cluster: Cluster, namespace: str, name: str | None) -> Iterator[Finding]:
    """Tell of each InferenceService what it serves."""
    if name is None:
        found = cluster.items(service_path(namespace))
        if not found:
            yield ok(f"no InferenceService is in {namespace}")
    else:
        one = cluster.find(service_path(namespace, name))
        found = [one] if one else []
        if one is None:
            remedy = f"kubectl get inferenceservices -n {namespace} shows what there is"
            yield problem(f"InferenceService {name} does not exist in {namespace}", remedy)
    for service in found:
        yield from diagnose([lambda service=service: _service(cluster, service)])  # type: ignore[misc]  # bound now


def _service(cluster: Cluster, service: Json) -> Iterator[Finding]:
    name, uri = service["metadata"]["name"], model_of(service).get("storageUri", "")
    digest = digest_of(uri)
    if digest is None:
        what = f"InferenceService {name}: storageUri {uri!r} names no digest, so new bytes there start no rollout"
        yield warning(what, f"slipway promote {name}@champion --service {name}")
    if _mode(service) in KNATIVE:
        what = f"InferenceService {name} runs in Knative mode, in which its pods are not looked at"
        yield warning(
            what, f"for Standard, create it with the annotation {MODE}: Standard; an existing one keeps its mode"
        )
        return
    state = rollout(cluster, service)
    if state is None or not state.settled:
        reason = first_reason(cluster, service, state)
        told = state.told() if state else "it has no Deployment"
        if reason is None:
            yield warning(f"InferenceService {name}: {told}", "wait; it is on its way")
        else:
            yield problem(f"InferenceService {name}: {told}; {reason.what}", reason.remedy)
        return
    yield from _packages(cluster, name, state, digest)


def _mode(service: Json) -> str:
    """Return how KServe runs an InferenceService; empty where it has not said so yet."""
    annotated = (service["metadata"].get("annotations") or {}).get(MODE, "")
    return str((service.get("status") or {}).get("deploymentMode") or annotated)


def _packages(cluster: Cluster, name: str, state: Rollout, digest: str | None) -> Iterator[Finding]:
    """Compare the package that each ready pod says it serves with the one that is asked for."""
    if digest and state.expected not in (None, digest):
        what = f"InferenceService {name}: its SLIPWAY_DIGEST is not the digest in its storageUri"
        yield problem(what, "change both together, as slipway promote does")
    try:
        found = {pod["metadata"]["name"]: served(cluster, pod) for pod in state.pods if is_ready(pod)}
    except ClusterError as error:  # a right that is missing, or a network policy
        yield ok(f"InferenceService {name}: {state.told()}; which package they serve can't be asked: {error}")
        return
    wrong = [pod for pod, package in found.items() if digest and package != digest]
    if wrong:
        served_by = f"pod {wrong[0]} serves {(found[wrong[0]] or 'no package of Slipway')[:SHORT]}"
        yield problem(
            f"InferenceService {name} shall serve {str(digest)[:SHORT]}, but {served_by}",
            "change the InferenceService, so that KServe starts new pods; slipway promote does",
        )
    else:
        yield ok(f"InferenceService {name}: {state.told()}, serving sha256:{(digest or '?')[:SHORT]}")
