"""v1 prediction requests, rewritten as the v2 JSON object, so that both get the same verdict.

The protocol: https://kserve.github.io/website/docs/concepts/architecture/data-plane/v1-protocol. An instance is the
value of the only input, or an object by the names of inputs or columns; an encoded picture is ``{"b64": "..."}``.
"""

import math
from collections.abc import Mapping
from itertools import chain
from typing import Any

from serving.codec.columns import described
from serving.codec.query import QueryReader
from serving.errors import InvalidInputError


def rewrite(fields: Mapping[str, Any], reader: QueryReader) -> dict[str, Any]:
    """Return a v1 request as a v2 one.

    Args:
        fields: The v1 JSON object.
        reader: What the model takes.

    Raises:
        InvalidInputError: The instances are not alike, or do not say which input they are.
    """
    instances = fields.get("instances")
    if not isinstance(instances, list) or not instances:
        raise InvalidInputError("'instances' must be a list with at least one instance")
    kept = {name: fields[name] for name in ("id", "parameters") if fields.get(name) is not None}
    return {**kept, "inputs": _inputs(instances, reader)}


def _inputs(instances: list[Any], reader: QueryReader) -> list[dict[str, Any]]:
    if all(isinstance(instance, dict) for instance in instances) and not _is_picture(instances[0]):
        names = list(instances[0])
        if any(instance.keys() != instances[0].keys() for instance in instances):
            raise InvalidInputError("the instances differ in their names; give each the same ones")
        if not names:
            raise InvalidInputError("the instances are empty objects; give values by the names of inputs or columns")
        return [_input(name, [instance[name] for instance in instances], reader) for name in names]
    if len(reader.inputs) > 1:
        raise InvalidInputError(f"give each instance as an object with {described([*reader.inputs])}")
    return [_input(next(iter(reader.inputs)), instances, reader)]


def _input(name: str, values: list[Any], reader: QueryReader) -> dict[str, Any]:
    if all(_is_picture(value) for value in values):
        return {"name": name, "datatype": "BYTES", "shape": [len(values)], "data": [value["b64"] for value in values]}
    if name in reader.inputs:
        tensor = reader.inputs[name]
        shape = [len(values), *tensor.shape]
        if tensor.shape and all(_fills(value, math.prod(tensor.shape)) for value in values):
            values = list(chain.from_iterable(values))
        return {"name": name, "datatype": tensor.datatype, "shape": shape, "data": values}
    return {"name": name, "datatype": reader.datatype(name), "shape": [len(values)], "data": values}


def _is_picture(value: object) -> bool:
    return isinstance(value, dict) and value.keys() == {"b64"}


def _fills(value: object, count: int) -> bool:
    """Tell whether an instance is a flat list of all its values."""
    return isinstance(value, list) and len(value) == count and not any(isinstance(item, list) for item in value)
