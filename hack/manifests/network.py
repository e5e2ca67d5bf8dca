"""Who may reach whom under the NetworkPolicies of a rendering, as a network plugin that enforces them sees it.

A connection needs the egress of its source and the ingress of its target. A pod that no policy selects for a direction
is open in it. Kubelet's probes, a node's own traffic and what a plugin adds to the standard are out of sight, and
the policies of namespaces that the rendering does not make.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field

from manifests.documents import Node, at, kind_of, listed, name_of, namespace_of, selects
from manifests.pods import lift

NAME = "kubernetes.io/metadata.name"


@dataclass(frozen=True)
class Endpoint:
    """One end of a connection: a pod by its labels, or an address outside of the cluster.

    Attributes:
        labels: Of the pod.
        namespace: That it is in; the one of the policies, if empty.
        address: Outside of the cluster. No policy is about such an end itself.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    namespace: str = ""
    address: str = ""


def reachable(
    documents: list[Node], source: Endpoint | Mapping[str, str], target: Endpoint | Mapping[str, str], port: int,
    protocol: str = "TCP",
) -> bool:  # fmt: skip
    """Return whether a source may open a connection to a port of a target.

    Args:
        documents: The rendering: policies, namespaces with their labels, and pods, for the names of their ports.
        source: Labels of a pod in the namespace of the policies, or any other end.
        target: The same.
        port: That the target listens on, which is not the port of a Service.
        protocol: TCP, UDP or SCTP.
    """
    here = {namespace_of(document) for document in documents if kind_of(document) == "NetworkPolicy"}
    if len(here) > 1 and "" in {_endpoint(source).namespace, _endpoint(target).namespace}:
        raise ValueError(f"there are policies in {', '.join(sorted(here))}: name the namespace of each endpoint")
    home = next(iter(here), "")
    start, end = _settle(_endpoint(source), home), _settle(_endpoint(target), home)
    asked = _Connection(documents, start, end, port, protocol)
    return asked.allowed("egress", start, end) and asked.allowed("ingress", end, start)


def matrix(
    documents: list[Node], sources: Mapping[str, Endpoint], targets: Mapping[str, tuple[Endpoint, int]],
    protocol: str = "TCP",
) -> dict[str, set[str]]:  # fmt: skip
    """Return for each source, by name, the names of the targets that it may reach."""
    return {
        name: {
            other
            for other, (target, port) in targets.items()
            if source != target and reachable(documents, source, target, port, protocol)
        }
        for name, source in sources.items()
    }


def _endpoint(given: Endpoint | Mapping[str, str]) -> Endpoint:
    return given if isinstance(given, Endpoint) else Endpoint(given)


def _settle(endpoint: Endpoint, home: str) -> Endpoint:
    if endpoint.address or endpoint.namespace:
        return endpoint
    return Endpoint(endpoint.labels, home)


@dataclass(frozen=True)
class _Connection:
    documents: list[Node]
    source: Endpoint
    target: Endpoint
    port: int
    protocol: str

    def allowed(self, direction: str, subject: Endpoint, peer: Endpoint) -> bool:
        if subject.address:
            return True
        policies = [policy for policy in self.documents if _is_about(policy, direction, subject)]
        rules = [rule for policy in policies for rule in listed(policy, "spec", direction)]
        home = subject.namespace
        return not policies or any(
            self._port_allowed(rule) and self._peer_allowed(rule, direction, peer, home) for rule in rules
        )

    def _port_allowed(self, rule: Node) -> bool:
        ports = listed(rule, "ports")
        return not ports or any(self._is_port(each) for each in ports)

    def _is_port(self, asked: Node) -> bool:
        if asked.get("protocol", "TCP") != self.protocol:
            return False
        if "port" not in asked:
            return True
        if isinstance(asked["port"], str):
            return self.port in self._named(asked["port"])
        last = asked.get("endPort") or asked["port"]
        return bool(asked["port"] <= self.port <= last)

    def _named(self, name: str) -> set[int]:
        """Return the numbers of a named port, which only pods of the rendering tell."""
        return {
            port["containerPort"]
            for pod in lift(self.documents)
            if pod.namespace == self.target.namespace and pod.labels.items() >= dict(self.target.labels).items()
            for container in pod.containers
            for port in listed(container.spec, "ports")
            if port.get("name") == name and port.get("protocol", "TCP") == self.protocol
        }

    def _peer_allowed(self, rule: Node, direction: str, peer: Endpoint, home: str) -> bool:
        peers = listed(rule, "from" if direction == "ingress" else "to")
        return not peers or any(self._is_peer(each, peer, home) for each in peers)

    def _is_peer(self, asked: Node, peer: Endpoint, home: str) -> bool:
        if "ipBlock" in asked:
            # A plugin may or may not take a pod's own address for one of the block: an address outside is sure.
            return bool(peer.address) and _in_block(asked["ipBlock"], peer.address)
        if peer.address:
            return False
        near = peer.namespace == home
        if "namespaceSelector" in asked:
            near = selects(at(asked, "namespaceSelector"), self._namespace_labels(peer.namespace))
        return near and selects(at(asked, "podSelector"), dict(peer.labels))

    def _namespace_labels(self, name: str) -> Node:
        made = (each for each in self.documents if kind_of(each) == "Namespace" and name_of(each) == name)
        return {**at(next(made, {}), "metadata", "labels"), NAME: name}


def _is_about(policy: Node, direction: str, subject: Endpoint) -> bool:
    if kind_of(policy) != "NetworkPolicy" or namespace_of(policy) != subject.namespace:
        return False
    spec = at(policy, "spec")
    # What Kubernetes assumes where the types are left out.
    assumed = ["Ingress", *(["Egress"] if "egress" in spec else [])]
    types = {name.lower() for name in spec.get("policyTypes") or assumed}
    return direction in types and selects(at(spec, "podSelector"), dict(subject.labels))


def _in_block(block: Node, address: str) -> bool:
    found = ipaddress.ip_address(address)
    inside = found in ipaddress.ip_network(block["cidr"])
    return inside and not any(found in ipaddress.ip_network(cut) for cut in listed(block, "except"))
