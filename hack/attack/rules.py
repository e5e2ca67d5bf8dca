"""A second reading of docs/predictor.md and the v2 protocol: what is wrong with a request, if anything.

Shares no code with ``serving``, so that the two can find each other's mistakes. Every function returns the rule that
a request breaks, or the empty string; :func:`expected` returns the HTTP status that follows.
"""

import json
import math
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from attack.client import Call
from attack.model import Model
from attack.tensors import column_fault, tensor_fault

LENGTH = "inference-header-content-length"
DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
#: What only a text with halves of surrogate pairs has.
HALF = re.compile(r"\\u[dD][89a-fA-F]")
PAGES = {
    "/",
    "/v2",
    "/v2/health/live",
    "/v2/health/ready",
    "/v2/models",
    "/v1/models",
    "/metrics",
    "/openapi.json",
    "/docs",
}
JSON_MEDIA, BINARY_MEDIA = "application/json", "application/octet-stream"
#: A number's digits: beyond these no double holds it.
MAX_DIGITS = 400


class RefusedError(ValueError):
    """The text is no JSON."""


def expected(call: Call, model: Model) -> tuple[int, str]:
    """Return the status that an inference call should get, and why it is not 200."""
    if len(call.body) > model.limits["max_body_bytes"]:
        return 413, "too many bytes"
    path = unquote(call.path.partition("?")[0])
    versions = (f"/v2/models/{model.name}", f"/v2/models/{model.name}/versions/{model.version}")
    v2, v1 = [f"{start}/infer" for start in versions], f"/v1/models/{model.name}:predict"
    gets = {*PAGES, *versions, *(f"{start}/ready" for start in versions), f"/v1/models/{model.name}"}
    if path in gets:
        return (200, "") if call.method in ("GET", "HEAD") else (405, "method")
    if path not in v2 and path != v1:
        return 404, "no such path"
    if call.method != "POST":
        return 405, "method"
    headers = {name.lower(): value.strip(" \t") for name, value in call.headers.items()}
    if fault := media_fault(headers, v1=path == v1):
        return 415, fault
    fault = v1_fault(call.body, model) if path == v1 else body_fault(call.body, headers.get(LENGTH), model)
    return (400, fault) if fault else (200, "")


def media_fault(headers: Mapping[str, str], *, v1: bool) -> str:
    if headers.get("content-encoding", "identity") != "identity":
        return "compressed"
    media = headers.get("content-type", "").partition(";")[0].strip().lower()
    binary = media == BINARY_MEDIA and LENGTH in headers and not v1
    return "" if media in (JSON_MEDIA, "") or binary else "media type"


def body_fault(body: bytes, length: str | None, model: Model) -> str:
    """Judge the body of a v2 request."""
    size = len(body)
    if length is not None:
        if not re.fullmatch("[0-9]{1,12}", length) or int(length) > len(body):
            return "length of the JSON"
        size = int(length)
    try:
        fields = parse(body[:size], model.limits["max_nesting"])
    except RefusedError as error:
        return str(error)
    if length is not None and (fault := _take_tail(fields, body[size:])):
        return fault
    return fields_fault(fields, model)


def parse(text: bytes, max_nesting: int) -> dict[str, Any]:
    """Read a JSON object by RFC 8259, with numbers that a double holds, and whole characters.

    Raises:
        RefusedError: It is none.
    """
    try:
        decoded = text.decode()
        if decoded.startswith("\ufeff"):
            raise RefusedError("byte order mark")
        fields = json.loads(decoded, parse_constant=_refuse, parse_float=_float, parse_int=_int)
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"no JSON: {type(error).__name__}") from None
    if not isinstance(fields, dict):
        raise RefusedError("no object")
    if HALF.search(decoded) and not _encodes(fields):
        raise RefusedError("half of a surrogate pair")
    if _depth(fields) > max_nesting:
        raise RefusedError("nesting")
    return fields


def fields_fault(fields: Mapping[str, Any], model: Model) -> str:
    """Judge a v2 request as an object; ``data`` may also be raw bytes, or a list of bytes."""
    return (
        _id_fault(fields, model)
        or _parameters_fault(fields)
        or _inputs_fault(fields.get("inputs"), model)
        or _outputs_fault(fields.get("outputs"), model)
    )


def _id_fault(fields: Mapping[str, Any], model: Model) -> str:
    given = fields.get("id")
    wrong = given is not None and (not isinstance(given, str) or len(given) > model.limits["max_id_characters"])
    return "id" if wrong else ""


def v1_fault(body: bytes, model: Model) -> str:
    """Judge the body of a v1 request."""
    try:
        fields = parse(body, model.limits["max_nesting"])
    except RefusedError as error:
        return str(error)
    instances = fields.get("instances")
    if not isinstance(instances, list) or not instances:
        return "instances"
    if fault := _parameters_fault(fields):
        return fault
    if all(isinstance(instance, dict) for instance in instances) and instances[0].keys() != {"b64"}:
        names = instances[0].keys()
        if not names or any(instance.keys() != names for instance in instances):
            return "instances differ"
        values = {name: [instance[name] for instance in instances] for name in names}
    elif len(model.inputs) == 1:
        values = {next(iter(model.inputs)): instances}
    else:
        return "instances have no names"
    inputs = [_from_v1(name, column, model) for name, column in values.items()]
    return _id_fault(fields, model) or _inputs_fault(inputs, model)


def _from_v1(name: str, values: list[Any], model: Model) -> dict[str, Any]:
    tensor = model.inputs.get(name)
    if all(isinstance(value, dict) and value.keys() == {"b64"} for value in values):
        return {"name": name, "datatype": "BYTES", "shape": [len(values)], "data": [value["b64"] for value in values]}
    if tensor is None:
        owner = model.columns.get(name)
        return {"name": name, "datatype": owner and owner.datatype, "shape": [len(values)], "data": values}
    rows, size = len(values), math.prod(tensor.shape)
    if tensor.shape and all(isinstance(row, list) and len(row) == size and not _nests(row) for row in values):
        values = [value for row in values for value in row]
    return {"name": name, "datatype": tensor.datatype, "shape": [rows, *tensor.shape], "data": values}


def _nests(values: list[Any]) -> bool:
    return any(isinstance(value, list) for value in values)


def _inputs_fault(inputs: object, model: Model) -> str:
    if not isinstance(inputs, list) or not inputs:
        return "inputs"
    if not all(isinstance(item, dict) and isinstance(item.get("name"), str) and _plain(item) for item in inputs):
        return "name or parameters of an input"
    given = {item["name"]: item for item in inputs}
    if len(given) != len(inputs):
        return "input twice"
    if given.keys() == model.inputs.keys():
        faults = [tensor_fault(tensor, given[name], model) for name, tensor in model.inputs.items()]
    elif model.columns and given.keys() == model.columns.keys():
        faults = [column_fault(tensor, given[name], model) for name, tensor in model.columns.items()]
    else:
        return "names of inputs"
    if any(faults):
        return next(filter(None, faults))
    return "" if len({item["shape"][0] for item in inputs}) == 1 else "rows differ"


def _outputs_fault(outputs: object, model: Model) -> str:
    if outputs is None or outputs == []:
        return ""
    if not isinstance(outputs, list):
        return "outputs"
    names = [item.get("name") if isinstance(item, dict) else None for item in outputs]
    if not all(isinstance(name, str) and name in model.outputs for name in names):
        return "unknown output"
    if len(set(names)) != len(names):
        return "output twice"
    for item in outputs:
        if not _plain(item) or not isinstance((item.get("parameters") or {}).get("binary_data", False), bool):
            return "parameters of an output"
    return ""


def _plain(item: Mapping[str, Any]) -> bool:
    """Tell whether the parameters of something are what the protocol calls so: text, numbers, true and false."""
    parameters = item.get("parameters")
    if parameters is None:
        return True
    return isinstance(parameters, dict) and not any(isinstance(value, dict | list) for value in parameters.values())


def _parameters_fault(fields: Mapping[str, Any]) -> str:
    if not _plain(fields):
        return "parameters"
    parameters = fields.get("parameters") or {}
    if not isinstance(parameters.get("binary_data_output", False), bool):
        return "binary_data_output"
    share = parameters.get("min_confidence")
    if isinstance(share, str):
        share = float(share) if DECIMAL.fullmatch(share) else math.nan
    if share is None or (isinstance(share, int | float) and not isinstance(share, bool) and 0 <= share <= 1):
        return ""
    return "min_confidence"


def _take_tail(fields: dict[str, Any], tail: bytes) -> str:
    """Give each binary input its bytes, which must use up the tail."""
    inputs = fields.get("inputs")
    for item in inputs if isinstance(inputs, list) else []:
        parameters = item.get("parameters") if isinstance(item, dict) else None
        size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
        if size is None:
            continue
        if type(size) is not int or not 0 <= size <= len(tail) or "data" in item:
            return "binary_data_size"
        item["data"], tail = tail[:size], tail[size:]
    return "bytes after the last tensor" if tail else ""


def _depth(value: Any) -> int:
    if not isinstance(value, dict | list):
        return 0
    return 1 + max(map(_depth, value.values() if isinstance(value, dict) else value), default=0)


def _encodes(fields: dict[str, Any]) -> bool:
    try:
        json.dumps(fields, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _refuse(_constant: str) -> Any:
    raise RefusedError("a number that JSON has not")


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise RefusedError("a number that no double holds")
    return value


def _int(text: str) -> int | float:
    """Read a whole number; one of more than 64 bits is a double, as for most readers of JSON."""
    value = _float(text) if len(text) > MAX_DIGITS else int(text)
    return value if -(2**63) <= value < 2**64 else _float(text)
