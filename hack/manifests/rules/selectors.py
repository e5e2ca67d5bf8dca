"""Whatever selects pods by their labels must select some."""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from manifests.documents import Found, Node, at, kind_of, listed, namespace_of, selects, where
from manifests.render import Rendering

#: Labels that only pods have which a controller makes at run time.
MADE_LATER = ("pipelines.kubeflow.org/", "workflows.argoproj.io/", "pipeline/", "trainer.kubeflow.org/")
#: Labels that whoever wants to be let in puts on, now or later: both ends of a policy must spell them alike.
WORN = "slipway.dev/"
REMEDY = "spell it as the pod's template does"


class Labelled(NamedTuple):
    """What may be selected."""

    namespace: str
    labels: Node


def selectors(rendering: Rendering) -> Found:
    """Find selectors of Services, budgets, policies and monitors that select nothing."""
    pods = labelled_pods(rendering)
    services = [Labelled(namespace_of(each), at(each, "metadata", "labels")) for each in rendering.of("Service")]
    selecting = [(document, *found) for document in rendering.documents for found in _selectors(document)]
    spelt = Counter(_plain(selector) for _, _, selector, _ in selecting)
    for document, path, selector, namespaces in selecting:
        candidates = services if kind_of(document) == "ServiceMonitor" else pods
        worn = spelt[_plain(selector)] > 1 and all(key.startswith(WORN) for key in _keys(selector))
        if not _any(selector, namespaces, candidates) and not _made_later(selector) and not worn:
            what = "services" if candidates is services else "pods"
            yield where(document), f"{path} selects no {what}: {_plain(selector)}", REMEDY


def labelled_pods(rendering: Rendering) -> list[Labelled]:
    """Return the pods of a rendering and of the pipelines beside it, which run in whatever namespace there is."""
    made = [Labelled(pod.namespace, pod.labels) for pod in rendering.pods if pod.whole]
    return made + [Labelled("", step.labels) for step in (*rendering.steps, *rendering.elsewhere)]


def _selectors(document: Node) -> Iterator[tuple[str, Node, set[str]]]:
    """Yield every label selector with its path and the namespaces it looks into; none of these means all."""
    spec, own = at(document, "spec"), {namespace_of(document)}
    kind = kind_of(document)
    if kind == "Service" and spec.get("selector"):
        yield "selector", {"matchLabels": spec["selector"]}, own
    elif kind == "PodDisruptionBudget":
        yield "selector", at(spec, "selector"), own
    elif kind in {"PodMonitor", "ServiceMonitor"}:
        asked = at(spec, "namespaceSelector")
        names = set() if asked.get("any") else set(asked.get("matchNames") or own)
        yield "selector", at(spec, "selector"), names
    elif kind == "NetworkPolicy":
        yield "podSelector", at(spec, "podSelector"), own
        for direction, side in (("ingress", "from"), ("egress", "to")):
            for peer in (peer for rule in listed(spec, direction) for peer in listed(rule, side)):
                # Pods of other namespaces are made by others.
                if "podSelector" in peer and "namespaceSelector" not in peer:
                    yield f"{direction}.{side}", at(peer, "podSelector"), own


def _any(selector: Node, namespaces: set[str], candidates: list[Labelled]) -> bool:
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        return True
    return any(
        selects(selector, each.labels)
        for each in candidates
        if not namespaces or not each.namespace or each.namespace in namespaces or "" in namespaces
    )


def _keys(selector: Node) -> list[str]:
    return [*at(selector, "matchLabels"), *(each["key"] for each in listed(selector, "matchExpressions"))]


def _made_later(selector: Node) -> bool:
    return any(key.startswith(MADE_LATER) for key in _keys(selector))


def _plain(selector: Node) -> str:
    labels = [f"{key}={value}" for key, value in at(selector, "matchLabels").items()]
    expressions = [f"{each['key']} {each['operator']}" for each in listed(selector, "matchExpressions")]
    return ", ".join(labels + expressions)
