"""Proof that an InferenceService serves a package: every pod is new and ready, and says so itself.

Where a right is missing, less is looked at: pods through the API server's proxy, else the Service; the Deployment, else
the InferenceService's own status. Refused: a rollout that does not come to its end. For ``pipelines/cli_promote.py``.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import urllib3

from components.kube import FORBIDDEN, Cluster, ClusterError, Json
from pipelines.doctor.reason import Reason, first_reason
from pipelines.errors import RunError
from pipelines.promote import Promotion, current
from pipelines.rollout import Rollout, digest_of, is_ready, model_of, rollout, served

POLL_SECONDS = 2.0
TIMEOUT = urllib3.Timeout(connect=2, read=5)
#: Successive looks that find a final reason, after which waiting is in vain.
LOOKS = 3
SHORT = 12
FAULT = 500


@dataclass(frozen=True)
class Look:
    """What one look finds.

    Attributes:
        done: Whether the new version serves, and nothing else does.
        told: How far it is.
        reason: Why it goes no further, if that is known.
        old: How many pods of older versions still answer; none where that may not be seen.
    """

    done: bool
    told: str
    reason: Reason | None = None
    old: int | None = None


def wait(cluster: Cluster, promotion: Promotion, before: Json, seconds: float, say: Callable[[str], None]) -> None:
    """Wait until the package is served, and nothing else.

    Args:
        cluster: The connection.
        promotion: What was applied.
        before: The InferenceService as it was before that.
        seconds: How long to wait.
        say: Takes a line whenever something changed.

    Raises:
        RunError: It does not come to that; names the first reason, and what serves meanwhile.
    """
    until, last, vain = time.monotonic() + seconds, "", 0
    # Where nothing changed, pods that failed before may come up now that the package is there.
    changed = current(cluster, promotion)["metadata"].get("generation") != before["metadata"].get("generation")
    while True:
        seen = _patiently(cluster, promotion)
        if seen.told != last:
            say(seen.told)
        if seen.done:
            return
        last, vain = seen.told, vain + 1 if changed and seen.reason and seen.reason.final else 0
        if vain >= LOOKS or time.monotonic() >= until:
            raise RunError(_failure(promotion, before, seen, seconds if vain < LOOKS else None))
        time.sleep(POLL_SECONDS)


def _patiently(cluster: Cluster, promotion: Promotion) -> Look:
    """Look once, and take an API server that is away for a moment as that."""
    try:
        return look(cluster, promotion)
    except ClusterError as error:
        if 0 < error.status < FAULT:
            raise
        return Look(done=False, told=str(error))


def look(cluster: Cluster, promotion: Promotion) -> Look:
    """Look once at how far it is."""
    service = current(cluster, promotion)
    try:
        state = rollout(cluster, service)
    except ClusterError as error:
        if error.status != FORBIDDEN:
            raise
        return _by_status(service, promotion)
    if state is None or state.expected != promotion.digest:
        reason = first_reason(cluster, service, state) if state is None else None
        return Look(done=False, told="KServe has not changed the Deployment yet", reason=reason)
    if not state.settled:
        return Look(done=False, told=state.told(), reason=_reason(cluster, service, state), old=len(state.old))
    if state.wanted == 0:
        return Look(done=True, told="scaled to zero: the next pod will serve it")
    return _by_pods(cluster, service, state, promotion)


def _reason(cluster: Cluster, service: Json, state: Rollout) -> Reason | None:
    try:
        return first_reason(cluster, service, state)
    except ClusterError as error:  # events need a right of their own
        return Reason(str(error), "give this account the right to list events")


def _by_pods(cluster: Cluster, service: Json, state: Rollout, promotion: Promotion) -> Look:
    """Ask every pod, or the Service where the proxy is forbidden: by now all pods behind it are new."""
    try:
        found = {pod["metadata"]["name"]: served(cluster, pod) for pod in state.pods if is_ready(pod)}
    except ClusterError:  # a right that is missing, or a network policy
        package = ask(service)
        if package is None:
            # A pod would not be ready with another package than SLIPWAY_DIGEST says.
            return Look(done=True, told=f"{state.told()}; they can't be asked from here, but all are new")
        found = {f"Service of {promotion.service}": package}
    wrong = [name for name, package in found.items() if package != promotion.digest]
    if wrong:
        return Look(done=False, told=f"{wrong[0]} serves sha256:{(found[wrong[0]] or 'unknown')[:SHORT]}")
    return Look(done=bool(found), told=f"{state.told()}; {', '.join(found)}: sha256:{promotion.digest[:SHORT]}")


def _by_status(service: Json, promotion: Promotion) -> Look:
    """Judge by what KServe says, which stays Ready while pods change, and by one answer of the Service."""
    status = service.get("status", {})
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or [])
    upto = (status.get("modelStatus") or {}).get("transitionStatus", "")
    package = ask(service)
    if package is None and ready:
        raise RunError(
            f"this account may not see the Deployment of {promotion.service}, nor can its Service be asked from here, "
            "so nobody can tell when the new version serves; give it get and list of deployments, replicasets and pods"
        )
    seen = status.get("observedGeneration", 0) >= service["metadata"].get("generation", 0)
    told = f"ready: {ready}, {upto or 'no state'}, the Service answers with sha256:{(package or 'nothing')[:SHORT]}"
    return Look(done=ready and seen and upto == "UpToDate" and package == promotion.digest, told=told)


def ask(service: Json) -> str | None:
    """Return the digest of the package that a Service answers with, None where it can't be reached from here."""
    url = ((service.get("status") or {}).get("address") or {}).get("url")
    metadata = service["metadata"]
    base = f"{(url or 'http://{name}-predictor.{namespace}'.format_map(metadata)).rstrip('/')}/v2/models"
    try:
        listed = urllib3.request("GET", base, timeout=TIMEOUT, retries=False)
        (name,) = listed.json()["models"]
        answer = urllib3.request("GET", f"{base}/{name}", timeout=TIMEOUT, retries=False)
        return str(answer.json()["parameters"]["package"]).removeprefix("sha256:")
    except (urllib3.exceptions.HTTPError, ValueError, KeyError, TypeError):
        return None


def _failure(promotion: Promotion, before: Json, seen: Look, seconds: float | None) -> str:
    uri = model_of(before).get("storageUri", "")
    when = "and will not" if seconds is None else f"after {seconds:.0f} s"
    why = f"{seen.reason.what}; {seen.reason.remedy}" if seen.reason else f"{seen.told}; slipway doctor tells more"
    told = f"{promotion.service} does not serve sha256:{promotion.digest[:SHORT]} {when}: {why}"
    if not uri or uri == promotion.uri:
        return told
    old = f"sha256:{(digest_of(uri) or '?')[:SHORT]}"
    meanwhile = f"{old} goes on serving" if seen.old is None else f"{old} goes on serving in {seen.old} pods"
    back = f"slipway promote {uri} --service {promotion.service} --namespace {promotion.namespace}"
    return f"{told}\n{meanwhile if seen.old != 0 else 'nothing serves'}; back: {back}"
