"""Sound manifests, and a way to break them in one place."""

import copy
import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
GOOD = Path(__file__).with_name("good.yaml")
sys.path.append(str(ROOT / "hack"))

from manifests.documents import Node, where  # noqa: E402  # the path comes first
from manifests.render import Rendering, parse  # noqa: E402  # see above
from manifests.rules import findings  # noqa: E402  # see above


@cache
def _read() -> list[Node]:
    # Through JSON, so that what YAML writes once and means twice is changed in one place.
    return json.loads(json.dumps(parse(GOOD.read_text())))


@pytest.fixture
def good() -> list[Node]:
    return copy.deepcopy(_read())


class Broken:
    """Documents to change, and what the rules then find."""

    def __init__(self, documents: list[Node]) -> None:
        self.documents = documents

    def object(self, place: str) -> Node:
        return next(document for document in self.documents if where(document) == place)

    def change(self, place: str, path: str, value: Any) -> "Broken":
        """Set what a path of keys with spaces between them leads to; ``...`` takes it out."""
        node: Any = self.object(place)
        *keys, last = [int(key) if key.isdigit() else key for key in path.split()]
        for key in keys:
            node = node[key] if isinstance(node, list) else node.setdefault(key, {})
        if value is ...:
            del node[last]
        elif isinstance(node, list) and last == len(node):
            node.append(value)
        else:
            node[last] = value
        return self

    def found(self) -> list[tuple[str, str, str]]:
        """Every finding as its rule, its place, and the rest of its line."""
        found = findings(Rendering("test", copy.deepcopy(self.documents)))
        return [(each.rule, each.where, f"{each.what}; {each.remedy}") for each in found]


@pytest.fixture
def broken(good) -> Broken:
    return Broken(good)
