"""A compiled pipeline (KFP's intermediate representation): its tasks, containers and the values between them.

It refuses a file that holds no pipeline and judges nothing else. It must not import kfp, for it shows the file
and not what the SDK makes of it. ``pipelines.lint`` imports it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Node = dict[str, Any]

INPUT = re.compile(r"\{\{\$\.inputs\.(?:parameters|artifacts)\['([^']+)'\][^}]*\}\}")


def at(node: Node, *keys: str) -> Node:
    """Return the mapping at the end of a path; an empty one where the path ends early."""
    for key in keys:
        node = node.get(key) or {}
    return node


def leaves(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every scalar below a node with the path that leads to it."""
    if isinstance(node, dict | list):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from leaves(value, (*path, str(key)))
    else:
        yield path, node


@dataclass(frozen=True)
class Task:
    """One use of a component inside another.

    Attributes:
        name: unique inside its owner.
        owner: name of the component whose graph holds the task, "root" for the pipeline itself.
        spec: the task as written.
        component: what the task runs, as written.
    """

    name: str
    owner: str
    spec: Node
    component: Node

    @property
    def where(self) -> str:
        """The task's place in the file."""
        return f"{self.owner}/{self.name}"

    @property
    def parameters(self) -> Node:
        """The source of each parameter that the task is given."""
        return at(self.spec, "inputs", "parameters")

    @property
    def artifacts(self) -> Node:
        """The source of each artifact that the task is given."""
        return at(self.spec, "inputs", "artifacts")

    @property
    def runs(self) -> str:
        """Name of the component that the task runs."""
        return str(self.spec["componentRef"]["name"])

    @property
    def executor(self) -> str:
        """Name of the executor that runs the task; empty for a graph."""
        return str(self.component.get("executorLabel", ""))

    @property
    def is_graph(self) -> bool:
        """Whether the task is a nested pipeline or a group."""
        return "dag" in self.component

    @property
    def is_group(self) -> bool:
        """Whether the task is an If, ParallelFor or ExitHandler; these alone have no caching options."""
        return self.is_graph and "cachingOptions" not in self.spec

    @property
    def condition(self) -> str:
        """The expression that lets the task run; empty when it always does."""
        return str(at(self.spec, "triggerPolicy").get("condition", ""))

    @property
    def items(self) -> str:
        """Name of the input that a loop runs over; empty for a list written into the pipeline."""
        return str(at(self.spec, "parameterIterator", "items").get("inputParameter", ""))


class Pipeline:
    """A compiled pipeline and its platform document.

    Args:
        path: the file that ``kfp.compiler`` wrote.

    Raises:
        ValueError: the file holds no pipeline.
    """

    def __init__(self, path: Path) -> None:
        documents: list[Node] = [*yaml.safe_load_all(path.read_text(encoding="utf-8")), {}, {}]
        spec, platform = documents[:2]
        if not isinstance(spec, dict) or "root" not in spec:
            raise ValueError(
                f"{path} holds no pipeline: its first document needs a 'root'; "
                "write it with kfp.compiler, and not as a Kubernetes manifest"
            )
        executors = at(spec, "deploymentSpec", "executors")
        self.graph: Node = {key: spec.get(key, {}) for key in ("pipelineInfo", "root", "components")}
        self.components: Node = {"root": spec["root"], **spec.get("components", {})}
        self.containers: Node = {label: body["container"] for label, body in executors.items() if "container" in body}
        self.importers: Node = {label: body["importer"] for label, body in executors.items() if "importer" in body}
        self.platform: Node = at(platform, "platforms", "kubernetes", "deploymentSpec", "executors")
        self.tasks = [
            Task(name, owner, task, self.components[task["componentRef"]["name"]])
            for owner, component in self.components.items()
            for name, task in at(component, "dag", "tasks").items()
        ]
        self.loops = [task for task in self.tasks if "parameterIterator" in task.spec]
        self.cached_steps = [
            task
            for task in self.tasks
            if task.executor in self.containers and at(task.spec, "cachingOptions").get("enableCache")
        ]

    def inputs(self, component: str) -> set[str]:
        """Return the names of all inputs that a component declares."""
        declared = at(self.components[component], "inputDefinitions")
        return {*at(declared, "parameters"), *at(declared, "artifacts")}

    def users(self, executor: str) -> list[Task]:
        """Return the tasks that an executor runs."""
        return [task for task in self.tasks if task.executor == executor]

    def ancestors(self, task: Task) -> Iterator[Task]:
        """Yield the tasks around a task, from the inside out."""
        for caller in self._callers(task.owner):
            yield caller
            yield from self.ancestors(caller)

    def arrivals(self, task: Task, name: str) -> Iterator[Any]:
        """Yield every value known before a run that can arrive at a task's input; None for no default."""
        source = task.parameters.get(name)
        if source is None:
            yield _default(task.component, name)
        elif "runtimeValue" in source:
            yield from self.resolve(task, source["runtimeValue"]["constant"])
        elif outer := source.get("componentInputParameter"):
            if task.owner == "root":
                yield _default(self.components["root"], outer)
            for caller in self._callers(task.owner):
                yield from self.arrivals(caller, outer)

    def resolve(self, task: Task, value: Any) -> Iterator[Any]:
        """Yield a task's value itself or, if it names one of the task's inputs, what can arrive there."""
        reference = INPUT.fullmatch(value) if isinstance(value, str) else None
        yield from self.arrivals(task, reference[1]) if reference else [value]

    def _callers(self, component: str) -> list[Task]:
        return [task for task in self.tasks if task.runs == component]


def _default(component: Node, name: str) -> Any:
    return at(component, "inputDefinitions", "parameters", name).get("defaultValue")
