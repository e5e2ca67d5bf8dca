"""Renders kustomize folders, and refuses what does not render."""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from manifests.documents import Node, kind_of, name_of, namespace_of
from manifests.pods import Pod, lift
from manifests.steps import Step, steps_of

SECONDS = 60


class RenderError(Exception):
    """A folder does not render; the message names it and says why."""


@dataclass(frozen=True)
class Rendering:
    """What one folder makes, or what a compiled pipeline says.

    Attributes:
        name: Of the folder or file.
        documents: In their order.
        elsewhere: Pipeline steps that run beside them: their pods count where something selects pods.
    """

    name: str
    documents: list[Node]
    elsewhere: tuple[Step, ...] = ()

    @cached_property
    def pods(self) -> list[Pod]:
        """Every pod that follows from the documents."""
        return lift(self.documents)

    @cached_property
    def steps(self) -> list[Step]:
        """Every pipeline step that is written in the documents."""
        return steps_of(self.documents)

    def of(self, *kinds: str) -> Iterator[Node]:
        """Yield the documents of some kinds."""
        return (document for document in self.documents if kind_of(document) in kinds)

    def find(self, kind: str, name: str, namespace: str = "") -> Node | None:
        """Return an object, if it is made here; those without a namespace are in every one."""
        return next((found for found in self.of(kind) if name_of(found) == name and _meets(found, namespace)), None)


def _meets(document: Node, namespace: str) -> bool:
    own = namespace_of(document)
    return not own or not namespace or own == namespace


def render(folder: Path, elsewhere: tuple[Step, ...] = ()) -> Rendering:
    """Render a kustomize folder.

    Raises:
        RenderError: There is no kubectl, or it refuses the folder.
    """
    if not shutil.which("kubectl"):
        raise RenderError("kubectl is not on the PATH: install it, it renders the manifests")
    command = ["kubectl", "kustomize", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    if done.returncode:
        raise RenderError(f"{folder} does not render: {done.stderr.strip()}")
    return Rendering(folder.resolve().name, parse(done.stdout), elsewhere)


def read(path: Path) -> Rendering:
    """Read a file of documents as it is: a compiled pipeline, or what was rendered before."""
    return Rendering(path.name, parse(path.read_text(encoding="utf-8")))


def parse(text: str) -> list[Node]:
    """Return the documents of a YAML text; lists of objects count as their items."""
    return [document for whole in load_all(text) if whole for document in whole.get("items", [whole])]


def load_all(text: str) -> Iterator[Any]:
    """Yield the documents of a YAML text, read by libyaml: it is ten times as fast as PyYAML's own reader."""
    return yaml.load_all(text, yaml.CSafeLoader)
