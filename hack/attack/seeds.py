"""Requests known good, in every form that a model takes, and what their answers must say."""

import json
import math
from random import Random
from typing import Any

import numpy as np
from attack.client import Answer, Call
from attack.model import CONFIDENCE, LABEL, Model, picture_object, tensor_object
from attack.rules import LENGTH

BINARY = "application/octet-stream"
MAX_ROWS = 3
#: A row with more values is sent as raw bytes alone: as JSON it only costs time.
LARGE = 4096


class Seeds:
    """Good requests of a model.

    Args:
        model: Which takes them.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self._count = len(model.scores)
        large = sum(math.prod(tensor.shape) for tensor in model.inputs.values()) > LARGE
        text = any(tensor.datatype == "BYTES" for tensor in model.inputs.values())
        self.kinds = [] if large else ["flat", "nested", "v1", *(["v1-named"] if not text else [])]
        self.kinds += ["binary", *(["columns"] if model.columns else []), *(["pictures"] * 2 if model.picture else [])]

    def rows(self, random: Random) -> list[int]:
        """Return the places of some golden rows."""
        return [random.randrange(self._count) for _ in range(random.randint(1, MAX_ROWS))]

    def inputs(self, kind: str, rows: list[int]) -> list[dict[str, Any]]:
        """Return the inputs of a v2 request; the ones of kind ``binary`` hold bytes."""
        if kind == "pictures":
            tensor = next(iter(self.model.inputs.values()))
            return [picture_object(tensor, [self.model.encoded(row) for row in rows])]
        if kind == "columns":
            return [item for name in self.model.inputs for item in self._columns(name, rows)]
        found = []
        for name, tensor in self.model.inputs.items():
            item = tensor_object(tensor, self.model.rows[name][rows], nested=kind in ("nested", "v1", "v1-named"))
            found.append(item if kind != "binary" else item | {"data": raw(tensor, self.model.rows[name][rows])})
        return found

    def fields(self, kind: str, rows: list[int]) -> dict[str, Any]:
        """Return the JSON object of a request, v2 or v1."""
        inputs = self.inputs(kind, rows)
        if kind == "v1-named" or (kind == "v1" and len(inputs) > 1):
            return {"instances": [{item["name"]: item["data"][row] for item in inputs} for row in range(len(rows))]}
        return {"instances": inputs[0]["data"]} if kind == "v1" else {"inputs": inputs}

    def call(self, kind: str, fields: dict[str, Any]) -> Call:
        """Return the call that sends an object."""
        if kind.startswith("v1"):
            return Call("POST", f"/v1/models/{self.model.name}:predict", dumped(fields))
        if kind != "binary":
            return Call("POST", self.model.path, dumped(fields))
        return binary_call(self.model.path, fields)

    def good(self, random: Random) -> tuple[Call, list[int]]:
        """Return a good call and the golden rows that it asks about."""
        kind, rows = random.choice(self.kinds), self.rows(random)
        return self.call(kind, self.fields(kind, rows)), rows

    def wrong(self, answer: Answer, rows: list[int]) -> str:
        """Tell what is wrong with the answer to a good call, if anything."""
        if answer.status != 200:
            return f"status {answer.status}"
        found = json.loads(answer.body)
        if "predictions" in found:
            scores = [row["probabilities"] for row in found["predictions"]]
        else:
            outputs = {output["name"]: output for output in found["outputs"]}
            first = next(iter(self.model.outputs))
            scores = np.reshape(outputs[first]["data"], outputs[first]["shape"]).tolist()
            if not {LABEL, CONFIDENCE} <= outputs.keys():
                return "derived outputs are missing"
        close = np.shape(scores) == (len(rows), *self.model.scores.shape[1:]) and np.allclose(
            scores, self.model.scores[rows], atol=10 * self.model.tolerance, rtol=0
        )
        return "" if close else "scores are not the golden ones"

    def _columns(self, name: str, rows: list[int]) -> list[dict[str, Any]]:
        tensor = self.model.inputs[name]
        whole = tensor_object(tensor, self.model.rows[name][rows])["data"]
        width = len(tensor.fields or ())
        return [
            {"name": field, "datatype": tensor.datatype, "shape": [len(rows)], "data": whole[place::width]}
            for place, field in enumerate(tensor.fields or ())
        ]


def raw(tensor: Any, array: Any) -> bytes:
    """Return a tensor's bytes as the binary extension has them."""
    if tensor.datatype != "BYTES":
        return bytes(array.astype(array.dtype.newbyteorder("<")).tobytes())
    texts = [text.encode() for text in array.ravel().tolist()]
    return b"".join(len(text).to_bytes(4, "little") + text for text in texts)


def dumped(fields: Any) -> bytes:
    """Return JSON as Python writes it: NaN and halves of surrogates among it."""
    return json.dumps(fields, separators=(",", ":")).encode()


def binary_call(path: str, fields: dict[str, Any]) -> Call:
    """Return the call whose body is JSON, and behind it the bytes of the inputs that hold such."""
    inputs, tail = [], []
    for item in fields["inputs"]:
        if isinstance(item.get("data"), bytes):
            tail.append(item["data"])
            size = {"parameters": {"binary_data_size": len(tail[-1])}}
            inputs.append({key: value for key, value in item.items() if key != "data"} | size)
        else:
            inputs.append(item)
    head = dumped({**fields, "inputs": inputs})
    headers = {"content-type": BINARY, LENGTH: str(len(head))}
    return Call("POST", path, b"".join((head, *tail)), headers)
