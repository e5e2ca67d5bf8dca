"""Kubernetes objects as plain mappings: how they are named, and how to reach into them."""

import fnmatch
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

Node = dict[str, Any]


class Finding(NamedTuple):
    """Something that must change.

    Attributes:
        rule: That it breaks.
        where: ``kind/name`` or ``kind/name[container]``.
        what: Is wrong.
        remedy: What to do.
    """

    rule: str
    where: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.rule} {self.where}: {self.what}; {self.remedy}"


#: What a rule yields: where, what is wrong, what to do.
Found = Iterator[tuple[str, str, str]]


def at(node: Any, *keys: str) -> Node:
    """Return the mapping at the end of a path; an empty one where the path ends early."""
    for key in keys:
        node = node.get(key) if isinstance(node, dict) else None
    return node if isinstance(node, dict) else {}


def listed(node: Any, *keys: str) -> list[Any]:
    """Return the list at the end of a path; an empty one where the path ends early."""
    found = at(node, *keys[:-1]).get(keys[-1])
    return found if isinstance(found, list) else []


def kind_of(document: Node) -> str:
    """Return the kind, empty where there is none."""
    return str(document.get("kind", ""))


def name_of(document: Node) -> str:
    """Return the name, empty where there is none."""
    return str(at(document, "metadata").get("name", ""))


def namespace_of(document: Node) -> str:
    """Return the namespace, empty where the object has none or leaves it to whoever applies it."""
    return str(at(document, "metadata").get("namespace", ""))


def group_of(document: Node) -> str:
    """Return the API group, empty for the core."""
    group, slash, _ = str(document.get("apiVersion", "")).partition("/")
    return group if slash else ""


def where(document: Node, container: str = "") -> str:
    """Return ``kind/name`` or ``kind/name[container]``."""
    place = f"{kind_of(document).lower()}/{name_of(document)}"
    return f"{place}[{container}]" if container else place


def annotations(document: Node) -> Node:
    """Return the annotations."""
    return at(document, "metadata", "annotations")


def texts(node: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield every text below a node with the dotted path that leads to it."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from texts(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from texts(value, f"{path}[{index}]")
    elif isinstance(node, str):
        yield path, node


def selects(selector: Node, labels: Node) -> bool:
    """Return whether a label selector (``matchLabels`` and ``matchExpressions``) selects what has these labels."""
    plain = all(labels.get(key) == value for key, value in at(selector, "matchLabels").items())
    return plain and all(_holds(expression, labels) for expression in listed(selector, "matchExpressions"))


def _holds(expression: Node, labels: Node) -> bool:
    key, values, operator = expression["key"], expression.get("values") or [], expression["operator"]
    verdicts = {
        "In": labels.get(key) in values,
        "NotIn": labels.get(key) not in values,
        "Exists": key in labels,
        "DoesNotExist": key not in labels,
    }
    return verdicts[operator]


def matches(pattern: str, text: str) -> bool:
    """Return whether a text is like a pattern, in which ``*`` stands for anything and nothing else is special."""
    escaped = re.sub(r"[\[?]", lambda special: f"[{special[0]}]", pattern)
    return fnmatch.fnmatchcase(text, escaped)
