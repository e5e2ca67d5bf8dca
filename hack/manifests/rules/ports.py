"""Whatever names a port of a pod must name one that a container has."""

from collections.abc import Iterator

from manifests.documents import Found, Node, at, listed, namespace_of, selects, where
from manifests.pods import Pod
from manifests.render import Rendering

REMEDY = "name a containerPort of the pods that it selects"


def service_ports(rendering: Rendering) -> Found:
    """Find ports of Services and monitors that no container of the selected pods has."""
    for service in rendering.of("Service"):
        pods = _selected(rendering, service, {"matchLabels": at(service, "spec", "selector")})
        for port in listed(service, "spec", "ports") if pods else ():
            target = port.get("targetPort", port.get("port"))
            if not any(target in ports_of(pod) for pod in pods):
                yield where(service), f"port {port.get('port')} leads to {target}, which no container has", REMEDY
    for monitor in rendering.of("PodMonitor"):
        pods = _selected(rendering, monitor, at(monitor, "spec", "selector"))
        for endpoint in listed(monitor, "spec", "podMetricsEndpoints") if pods else ():
            target = endpoint.get("port", endpoint.get("portNumber", endpoint.get("targetPort")))
            if not any(target in ports_of(pod) for pod in pods):
                yield where(monitor), f"endpoint {target} is a port that no container has", REMEDY


def ports_of(pod: Pod) -> set[object]:
    """Return the ports of a pod, by number and by name."""
    return {value for port in _ports(pod) for value in (port.get("containerPort"), port.get("name")) if value}


def _ports(pod: Pod) -> Iterator[Node]:
    for container in pod.containers:
        yield from listed(container.spec, "ports")


def _selected(rendering: Rendering, document: Node, selector: Node) -> list[Pod]:
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        return []
    names = set(listed(document, "spec", "namespaceSelector", "matchNames")) or {namespace_of(document)}
    near = (pod for pod in rendering.pods if pod.whole and (pod.namespace in names or not pod.namespace))
    return [pod for pod in near if selects(selector, pod.labels)]
