"""What every pod must say of itself: probes, resources, and how little it may do."""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from manifests.documents import Found, Node, at, kind_of, listed, name_of, where
from manifests.pods import SERVER, Container, Pod
from manifests.podsecurity import violations
from manifests.render import Rendering

OPENAPI = Path(__file__).parents[3] / "serving" / "rest" / "openapi.json"
#: What KServe puts the model's name in for.
TEMPLATE = "{{.Name}}"
SERVERS = frozenset({"InferenceService", "ServingRuntime", "ClusterServingRuntime"})


def probes(rendering: Rendering) -> Found:
    """Find containers that nobody watches, and probes that ask our predictor for a path that it has not."""
    for pod in rendering.pods:
        for container in pod.containers:
            if container.lasting:
                yield from _watched(container)
            if kind_of(pod.owner) in SERVERS and container.name == SERVER:
                yield from _asked(container)


def _watched(container: Container) -> Found:
    if not {"readinessProbe", "startupProbe"} & container.spec.keys():
        yield container.where, "has neither a startup nor a readiness probe", "add one: traffic comes too early"
    if "livenessProbe" not in container.spec:
        yield container.where, "has no liveness probe", "add one: nothing restarts it when it hangs"


def _asked(container: Container) -> Found:
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        path = at(container.spec, probe, "httpGet").get("path")
        if path is None:
            continue
        if not any(route.fullmatch(path.replace(TEMPLATE, "model")) for route in _routes()):
            yield container.where, f"{probe} asks for {path}", f"take a path of serving/rest/{OPENAPI.name}"
        elif probe != "livenessProbe" and not path.endswith("/ready"):
            remedy = f"ask for /v2/models/{TEMPLATE}/ready or /v2/health/ready"
            yield container.where, f"{probe} asks for {path}, which answers without a model", remedy


@cache
def _routes() -> list[re.Pattern[str]]:
    paths = json.loads(OPENAPI.read_text(encoding="utf-8"))["paths"]
    return [re.compile("[^/]+".join(re.escape(part) for part in re.split(r"\{\w+\}", path))) for path in paths]


def resources(rendering: Rendering) -> Found:
    """Find containers whose needs the scheduler can't know, or that may take all memory."""
    for pod in rendering.pods:
        for container in pod.containers:
            for kind, name in (("requests", "cpu"), ("requests", "memory"), ("limits", "memory")):
                if name not in at(container.spec, "resources", kind):
                    yield container.where, f"has no resources.{kind}.{name}", "say how much it needs"


def security_context(rendering: Rendering) -> Found:
    """Find what the restricted Pod Security standard refuses, and rights that nobody uses."""
    bound = set(_bound_accounts(rendering))
    for pod in rendering.pods:
        for control, name, what in violations(pod.spec, pod.annotations):
            yield where(pod.owner, name), what, f"the restricted standard ({control}) refuses the pod; change it"
        for container in pod.containers:
            if not at(container.spec, "securityContext").get("readOnlyRootFilesystem"):
                yield container.where, "can write its root file system", "set readOnlyRootFilesystem, mount an emptyDir"
        if pod.whole:
            yield from _unused_rights(rendering, pod, bound)


def _unused_rights(rendering: Rendering, pod: Pod, bound: set[str]) -> Found:
    account: Node = rendering.find("ServiceAccount", pod.account, pod.namespace) or {}
    mounts = pod.spec.get("automountServiceAccountToken", account.get("automountServiceAccountToken", True))
    if mounts and pod.account not in bound:
        what = f"mounts a token of the account {pod.account}, which has no role"
        yield pod.where, what, "set automountServiceAccountToken: false"
    if pod.spec.get("enableServiceLinks") is not False:
        yield pod.where, "gets a variable for every Service", "set enableServiceLinks: false"


def _bound_accounts(rendering: Rendering) -> Iterator[str]:
    for binding in rendering.of("RoleBinding", "ClusterRoleBinding"):
        for subject in listed(binding, "subjects"):
            if kind_of(subject) == "ServiceAccount":
                yield str(subject.get("name") or name_of(subject))
