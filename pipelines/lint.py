"""Names every shape in a compiled pipeline that one of the two places where it runs gets wrong.

``kfp.local`` and the compiler err without a word: a gate stays shut, a value is quietly another one. Other
shapes pass on a laptop and are refused by a cluster. Each function in :data:`RULES` knows one such shape: it
yields where it is and what is there, and its docstring tells why that is wrong and the way out. To add a rule,
write such a function and list it. Nothing is run: values of a run and the inside of a step are out of sight.

Anyone may import it; it needs PyYAML alone.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.ir import INPUT, Node, Pipeline, at, leaves

Found = Iterator[tuple[str, str]]

_TESTED = re.compile(r"inputs\.parameter_values\['([^']+)'\]")
_STRING = re.compile(r"(?<![^\s(])'[^']*'(?![^\s)])")
_TAG = re.compile(r"@|:(?!latest$)[^/:]+$")
_REMOTE = re.compile(r"(?!file:)\w+://")
_CLUSTER_ONLY = re.compile(r"\{\{\$\.pipeline_job_(?:resource_name|create_time_utc|schedule_time_utc)\}\}")
_SHARED_MEMORY = "/dev/shm"  # noqa: S108 a mount point, not a temporary file


@dataclass(frozen=True)
class Finding:
    """One shape that must change.

    Attributes:
        rule: name of the rule.
        where: the task (``component/task``), component, executor or path in the file.
        message: what is there, why it is wrong, and the way out.
    """

    rule: str
    where: str
    message: str


def lint(path: Path) -> list[Finding]:
    """Return what must change in a compiled pipeline; nothing, if it is sound.

    Args:
        path: the file that ``kfp.compiler`` wrote.

    Raises:
        ValueError: the file holds no pipeline.
    """
    pipeline = Pipeline(path)
    found = [
        Finding(rule.__name__.strip("_").replace("_", "-"), where, f"{what}. {rule.__doc__}")
        for rule in RULES
        for where, what in rule(pipeline)
    ]
    return list(dict.fromkeys(found))


def _one_sided_gate(pipeline: Pipeline) -> Found:
    """Without an Else, a local run takes a test of a named output for false; add dsl.Else."""
    for task in pipeline.tasks:
        for name in _TESTED.findall(task.condition):
            if output := _named_output(task.parameters.get(name, {})):
                yield task.where, f"tests the named output {output!r} alone"


def _quoted_condition(pipeline: Pipeline) -> Found:
    """A text with a quote ends early, so that every branch is false; compare with a text that has none."""
    for task in pipeline.tasks:
        if "'" in _STRING.sub("", _TESTED.sub("", task.condition)):
            yield task.where, task.condition


def _loop_source(pipeline: Pipeline) -> Found:
    """A local run can't find it or takes the wrong list; hand it to a nested pipeline that loops over it."""
    for loop in pipeline.loops:
        source = loop.parameters.get(loop.items, {})
        if _named_output(source) or _is_item(source):
            yield loop.where, f"loops over {loop.items!r}"


def _loop_body(pipeline: Pipeline) -> Found:
    """A local run puts the loop's own item in its place; loop in a nested pipeline that is given both."""
    for loop in pipeline.loops:
        body = (task for task in pipeline.tasks if task.owner == loop.runs)
        used = {source.get("componentInputParameter") for task in body for source in task.parameters.values()}
        for name, source in loop.parameters.items():
            if name in used and ("taskOutputParameter" in source or _is_item(source)):
                yield loop.where, f"uses {name!r} in each round"


def _loop_list(pipeline: Pipeline) -> Found:
    """A loop needs an item, and its items (or each of their fields) one type; mix types in JSON texts."""
    for loop in pipeline.loops:
        raw = at(loop.spec, "parameterIterator", "items").get("raw")
        for items in [json.loads(raw)] if raw else pipeline.arrivals(loop, loop.items):
            if isinstance(items, list) and len({_shape(item) for item in items}) != 1:
                yield loop.where, f"loops over {items}"


def _loop_in_exit_handler(pipeline: Pipeline) -> Found:
    """A cluster fails on it; drop the ExitHandler, for whoever waits for the run sees how it ended."""
    for loop in pipeline.loops:
        for outer in pipeline.ancestors(loop):
            if outer.is_group and outer.name.startswith("exit-handler-"):
                yield loop.where, f"loops inside {outer.name}"


def _dict_item_in_group(pipeline: Pipeline) -> Found:
    """Groups inside a loop lose the fields of its item; give the fields to a nested pipeline."""
    for group in (task for task in pipeline.tasks if task.is_group and task not in pipeline.loops):
        declared = at(pipeline.components[group.owner], "inputDefinitions", "parameters")
        for source in group.parameters.values():
            name = source.get("componentInputParameter", "")
            if "-loop-item" in name and declared.get(name, {}).get("parameterType") == "STRUCT":
                yield group.where, f"takes fields of {name!r}"


def _undeclared_input(pipeline: Pipeline) -> Found:
    """Nothing there can resolve it; wrap the task into a nested pipeline that has it as an input."""
    for task in pipeline.tasks:
        around = pipeline.inputs(task.owner)
        own = pipeline.inputs(task.runs) | {*task.parameters, *task.artifacts}
        platform, container = pipeline.platform.get(task.executor), pipeline.containers.get(task.executor)
        for path, text in leaves([task.spec.get("inputs"), platform, container]):
            outer = path[-1] in {"componentInputParameter", "componentInputArtifact"}
            for name in sorted({text} - around if outer else set(INPUT.findall(str(text))) - own):
                yield task.where, f"refers to {name!r}, which is not declared"


def _inherited_input(pipeline: Pipeline) -> Found:
    """A local run takes the outer input of that name, a cluster the default; pass the value."""
    for task in (task for task in pipeline.tasks if task.is_graph and task.parameters):
        around = {name for outer in (task, *pipeline.ancestors(task)) for name in pipeline.inputs(outer.owner)}
        given = {*task.parameters, *task.artifacts, at(task.spec, "parameterIterator").get("itemInput")}
        for name in sorted((pipeline.inputs(task.runs) - given) & around):
            yield task.where, f"leaves out {name!r}"


def _artifacts_alone(pipeline: Pipeline) -> Found:
    """Without a parameter a local run drops artifacts, or takes outer ones; pass a parameter too."""
    for task in (task for task in pipeline.tasks if task.is_graph and task not in pipeline.loops):
        if task.artifacts and not task.parameters:
            yield task.where, f"is given {', '.join(task.artifacts)} alone"


def _one_of_artifacts(pipeline: Pipeline) -> Found:
    """A local run fails to choose between artifacts; choose between parameters, such as a URI."""
    for name, component in pipeline.components.items():
        for output, selected in at(component, "dag", "outputs", "artifacts").items():
            if len(selected["artifactSelectors"]) > 1:
                yield name, f"puts out one of several as {output!r}"


def _environment(pipeline: Pipeline) -> Found:
    """It overrules the caller's environment wherever the step runs; take it from a ConfigMap or Secret."""
    for label, container in pipeline.containers.items():
        for variable in container.get("env", ()):
            yield label, f"sets {variable['name']}"


def _accelerator(pipeline: Pipeline) -> Found:
    """The number must be a parameter with the default "0", so that one file serves every cluster."""
    for label, container in pipeline.containers.items():
        count = at(container, "resources", "accelerator").get("resourceCount", "")
        fixed = INPUT.fullmatch(count) is None
        for value in (value for task in pipeline.users(label) for value in pipeline.resolve(task, count)):
            if count and (fixed or value != "0"):
                yield label, f"asks for {value}"


def _shared_memory(pipeline: Pipeline) -> Found:
    """Data loaders crash in the default 64 MB; mount an emptyDir at /dev/shm."""
    for label, container in pipeline.containers.items():
        mounts = {mount["mountPath"] for mount in pipeline.platform.get(label, {}).get("emptyDirMounts", ())}
        if at(container, "resources", "accelerator") and _SHARED_MEMORY not in mounts:
            yield label, "may train on accelerators"


def _root_user(pipeline: Pipeline) -> Found:
    """Restricted namespaces refuse it; call kubernetes.set_security_context(task, run_as_non_root=True)."""
    for label in pipeline.containers:
        if not at(pipeline.platform, label, "securityContext").get("runAsNonRoot"):
            yield label, "may run as root"


def _pip_install(pipeline: Pipeline) -> Found:
    """It needs an index at every start; fill the image and say install_kfp_package=False."""
    for label, container in pipeline.containers.items():
        if "pip install" in " ".join([*container.get("command", ()), *container.get("args", ())]):
            yield label, "runs pip install"


def _mutable_image(pipeline: Pipeline) -> Found:
    """A cache knows the image by its name alone and serves stale results; name a version or a digest."""
    for task in pipeline.cached_steps:
        for image in pipeline.resolve(task, pipeline.containers[task.executor]["image"]):
            if isinstance(image, str) and not _TAG.search(image):
                yield task.where, f"is cached and runs {image!r}"


def _cached_effect(pipeline: Pipeline) -> Found:
    """A cache would skip what it does outside of the run; call set_caching_options(False)."""
    for task in pipeline.cached_steps:
        # What training does outside, its checkpoints, is gone when it has a model.
        made = at(task.component, "outputDefinitions", "artifacts").values()
        model = any(at(artifact, "artifactType").get("schemaTitle") == "system.Model" for artifact in made)
        if not model and {"secretAsEnv", "secretAsVolume"} & set(at(pipeline.platform, task.executor)):
            yield task.where, "holds a Secret and is cached"
        elif not task.component.get("outputDefinitions"):
            yield task.where, "has no outputs and is cached"


def _rewritten_text(pipeline: Pipeline) -> Found:
    """A local run puts its interpreter's path in the place of 'python3'; spell it otherwise."""
    for path, text in leaves(pipeline.graph):
        if "python3" in str(text) and path[-1] != "description":
            yield ".".join(path), repr(text)


def _cluster_placeholder(pipeline: Pipeline) -> Found:
    """A local run does not know it and fails; use the job's name or id, or pass the time as a parameter."""
    for path, text in leaves({**pipeline.graph, "executors": pipeline.containers}):
        for placeholder in _CLUSTER_ONLY.findall(str(text)):
            yield ".".join(path), placeholder


def _remote_import(pipeline: Pipeline) -> Found:
    """A local run downloads nothing; fetch it in a step."""
    for task in (task for label in pipeline.importers for task in pipeline.users(label)):
        for uri in pipeline.arrivals(task, "uri"):
            if _REMOTE.match(str(uri)):
                yield task.where, f"imports {uri}"


def _named_output(source: Node) -> str:
    name = str(at(source, "taskOutputParameter").get("outputParameterKey", ""))
    return "" if name == "Output" else name


def _is_item(source: Node) -> bool:
    return str(source.get("componentInputParameter", "")).endswith("-loop-item")


def _shape(item: Any) -> Any:
    return frozenset((key, type(value)) for key, value in item.items()) if isinstance(item, dict) else type(item)


RULES: tuple[Callable[[Pipeline], Found], ...] = (
    _one_sided_gate,
    _quoted_condition,
    _loop_source,
    _loop_body,
    _loop_list,
    _loop_in_exit_handler,
    _dict_item_in_group,
    _undeclared_input,
    _inherited_input,
    _artifacts_alone,
    _one_of_artifacts,
    _environment,
    _accelerator,
    _shared_memory,
    _root_user,
    _pip_install,
    _mutable_image,
    _cached_effect,
    _rewritten_text,
    _cluster_placeholder,
    _remote_import,
)
