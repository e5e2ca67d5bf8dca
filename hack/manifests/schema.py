"""Holds documents against the schemas of Kubernetes and of custom resources; an unknown field is an error.

The schemas of Kubernetes come with ``kubernetes-validate``; those of custom resources are the definitions in the folder
that ``SLIPWAY_CRDS`` names, without which custom resources are not looked at. Rules in CEL are out of sight.
"""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]  # it has no types
import yaml
from jsonschema import Draft202012Validator, ValidationError  # type: ignore[import-untyped]  # stubs are apart
from referencing import Registry, Resource

from manifests.documents import Finding, Node, at, group_of, kind_of, listed, where
from manifests.render import Rendering

RULE, MISSING = "schema", "schema-missing"
VERSION = "1.34.0"
SCHEMAS = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema" / f"v{VERSION}-local-strict"
ANYTHING = "x-kubernetes-preserve-unknown-fields"
EMBEDDED = "x-kubernetes-embedded-resource"
#: What an API server sets and reads itself, whatever the definition says.
OBJECT: Node = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}
LONGEST = 200


def check(rendering: Rendering, crds: Path | None) -> list[Finding]:
    """Return what the schemas refuse.

    Args:
        rendering: To be checked.
        crds: Folder of CustomResourceDefinitions; without one, custom resources are skipped.
    """
    return [finding for document in rendering.documents for finding in _check(document, crds)]


def skipped(rendering: Rendering) -> int:
    """Return how many objects only a folder of definitions would let us check."""
    return sum(1 for document in rendering.documents if kind_of(document) and not is_built_in(document))


def is_built_in(document: Node) -> bool:
    """Return whether Kubernetes itself knows the kind of an object."""
    return _built_in(kind_of(document), str(document.get("apiVersion"))) is not None


def _check(document: Node, crds: Path | None) -> Iterator[Finding]:
    kind, version = kind_of(document), str(document.get("apiVersion"))
    if not kind:
        return
    validator = _built_in(kind, version)
    if validator is None:
        if crds is None:
            return
        validator = _custom(crds, group_of(document), kind, version.rpartition("/")[2])
    if validator is None:
        what = f"no definition of {kind} in {version}"
        yield Finding(
            MISSING, where(document), what, "correct apiVersion and kind, or add the definition to the folder"
        )
        return
    for error in sorted(validator.iter_errors(document), key=lambda error: error.json_path):
        yield from (Finding(RULE, where(document), what, remedy) for what, remedy in _explain(error))


def _explain(error: ValidationError) -> Iterator[tuple[str, str]]:
    path = error.json_path.removeprefix("$").removeprefix(".")
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = error.schema.get("properties", {})
        for name in sorted(error.instance.keys() - known.keys()):
            place = f"{path}.{name}" if path else name
            yield f"{place} is no field of the kind", "correct it: the API server drops or refuses it"
    else:
        message = error.message if len(error.message) <= LONGEST else f"...{error.message[-LONGEST:]}"
        yield f"{path or 'the object'}: {message}", "write what its schema says"


@cache
def _built_in(kind: str, version: str) -> Draft202012Validator | None:
    group, _, number = version.rpartition("/")
    if "." in group and not group.endswith(".k8s.io"):
        return None
    file = SCHEMAS / f"{kind.lower()}-{'-'.join(filter(None, (group.partition('.')[0], number)))}.json"
    if not file.exists():
        return None
    return Draft202012Validator(json.loads(file.read_text(encoding="utf-8")), registry=_definitions())


@cache
def _definitions() -> "Registry[Any]":
    contents = json.loads((SCHEMAS / "_definitions.json").read_text(encoding="utf-8"))
    registry: Registry[Any] = Registry()
    return Resource.from_contents(contents) @ registry


@cache
def _custom(folder: Path, group: str, kind: str, version: str) -> Draft202012Validator | None:
    """Find a definition by the text of its file first: to parse them all takes seconds."""
    named = re.compile(rf"^ +kind: [\"']?{re.escape(kind)}[\"']?$", re.MULTILINE)
    for path in sorted(folder.glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        if f"group: {group}" in text and named.search(text):
            for definition in yaml.load_all(text, yaml.CSafeLoader):
                schema = _schema(definition or {}, group, kind, version)
                if schema is not None:
                    return Draft202012Validator(_whole(schema))
    return None


def _schema(definition: Node, group: str, kind: str, version: str) -> Node | None:
    spec = at(definition, "spec")
    if spec.get("group") == group and at(spec, "names").get("kind") == kind:
        for each in listed(spec, "versions"):
            if each.get("name") == version:
                return at(each, "schema", "openAPIV3Schema")
    return None


def _whole(schema: Node) -> Node:
    closed = _closed(schema)
    return {**closed, "properties": {**closed.get("properties", {}), **OBJECT}}


def _closed(schema: Node) -> Node:
    """Return a structural schema as a JSON schema that knows no other fields; junctors are for values alone."""
    closed = dict(schema)
    if "properties" in schema:
        closed["properties"] = {name: _closed(each) for name, each in schema["properties"].items()}
        if schema.get(EMBEDDED):
            closed["properties"] |= OBJECT
    if isinstance(schema.get("items"), dict):
        closed["items"] = _closed(schema["items"])
    if isinstance(schema.get("additionalProperties"), dict):
        closed["additionalProperties"] = _closed(schema["additionalProperties"])
    elif schema.get("type") == "object" and "properties" in schema and not schema.get(ANYTHING):
        closed["additionalProperties"] = False
    if schema.get("x-kubernetes-int-or-string"):
        closed = {**closed, "type": ["integer", "string"]}
        closed.pop("anyOf", None)
    if schema.get("nullable") and "type" in closed:
        kinds = closed["type"] if isinstance(closed["type"], list) else [closed["type"]]
        closed["type"] = [*kinds, "null"]
    return closed
