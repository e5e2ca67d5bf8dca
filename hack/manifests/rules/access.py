"""Roles must name what they allow, and allow no more than their holder needs."""

from collections.abc import Iterator

from manifests.documents import Found, Node, at, kind_of, listed, where
from manifests.render import Rendering

CLIMBING = frozenset({"escalate", "bind", "impersonate"})


def rbac(rendering: Rendering) -> Found:
    """Find rights that amount to all rights, or that reach every Secret or container."""
    for role in rendering.of("Role", "ClusterRole"):
        for rule in listed(role, "rules"):
            for what, remedy in _too_much(rule):
                yield where(role), what, remedy
    for binding in rendering.of("RoleBinding", "ClusterRoleBinding"):
        if at(binding, "roleRef").get("name") == "cluster-admin":
            yield where(binding), "binds cluster-admin", "bind a role of its own"
        for subject in listed(binding, "subjects"):
            if kind_of(subject) == "ServiceAccount" and subject.get("name") == "default":
                yield where(binding), "gives rights to the default account", "make an account for whoever needs them"


def _too_much(rule: Node) -> Iterator[tuple[str, str]]:
    for field in ("verbs", "resources", "apiGroups", "nonResourceURLs"):
        if any("*" in text for text in listed(rule, field)):
            yield f"allows {field} {', '.join(rule[field])}", "name each of them"
    verbs, resources = set(listed(rule, "verbs")), set(listed(rule, "resources"))
    for resource in sorted(resources & {"pods/exec", "pods/attach"}):
        yield f"allows {resource}", "leave it out: it is a shell in every container"
    if "secrets" in resources and (reads := verbs & {"list", "watch"}):
        yield f"allows to {' and '.join(sorted(reads))} secrets", "get them by resourceNames"
    for verb in sorted(verbs & CLIMBING):
        yield f"allows to {verb}", "leave it out: its holder gives itself all rights"
