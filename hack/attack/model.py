"""What a package says of its model, as far as a client needs it: tensors, columns, pictures, and answers known good."""

import base64
import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

import modelpackage
from modelpackage import Tensor

#: The outputs that the predictor adds to those of the graph.
LABEL, CONFIDENCE = "label", "confidence"


@dataclass(frozen=True)
class Model:
    """A model as its clients see it.

    Attributes:
        name: In URLs.
        version: In URLs.
        inputs: By name.
        outputs: Datatype and shape of a row by name, the derived ones last.
        labels: In the order of the probabilities.
        columns: The tensor of each column of a table; empty where rows can't be sent by columns.
        picture: How an encoded picture becomes a row, if one can be sent.
        rows: Golden inputs by name, shape (rows, ...).
        scores: The first output for them.
        tolerance: How far another machine's scores may be off.
        limits: The predictor's own, by name.
        pngs: Golden rows that were encoded.
    """

    name: str
    version: str
    inputs: dict[str, Tensor]
    outputs: dict[str, tuple[str, tuple[int, ...]]]
    labels: tuple[str, ...]
    columns: dict[str, Tensor]
    picture: dict[str, Any] | None
    rows: dict[str, NDArray[Any]]
    scores: NDArray[np.floating[Any]]
    tolerance: float
    limits: dict[str, int]
    pngs: dict[int, bytes] = field(default_factory=dict)

    @classmethod
    def open(cls, package: Path, **limits: int) -> Self:
        """Read a package; limits that the predictor runs with go over its defaults."""
        opened = modelpackage.load(package)
        descriptor = opened.descriptor
        inputs = {tensor.name: tensor for tensor in descriptor.signature.inputs}
        outputs = {tensor.name: (tensor.datatype, tensor.shape) for tensor in descriptor.signature.outputs}
        golden = opened.golden()
        picture = descriptor.preprocessing.get("picture")
        return cls(
            name=descriptor.name,
            version=descriptor.digest[:12],
            inputs=inputs,
            outputs={**outputs, LABEL: ("BYTES", ()), CONFIDENCE: ("FP32", ())},
            labels=descriptor.labels,
            columns=_columns(inputs),
            picture=picture if len(inputs) == 1 and isinstance(picture, dict) else None,
            rows=dict(golden.inputs),
            scores=golden.outputs[next(iter(outputs))],
            tolerance=descriptor.tolerance,
            limits={"max_rows": 1024, "max_elements": 1 << 24, "max_nesting": 32, "max_id_characters": 128,
                    "max_pixels": 16_000_000, "max_body_bytes": 16 << 20} | limits,
        )  # fmt: skip

    @property
    def path(self) -> str:
        """Where to ask."""
        return f"/v2/models/{self.name}/infer"

    def example(self) -> bytes:
        """Return the JSON of a request for the first golden row."""
        inputs = [tensor_object(tensor, self.rows[name][:1]) for name, tensor in self.inputs.items()]
        return json.dumps({"inputs": inputs}).encode()

    def encoded(self, row: int) -> bytes:
        """Return a golden row of a picture model as PNG, which keeps every pixel."""
        if row in self.pngs:
            return self.pngs[row]
        from PIL import Image

        pixels = np.asarray(next(iter(self.rows.values()))[row], dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        self.pngs[row] = file.getvalue()
        return self.pngs[row]


def tensor_object(tensor: Tensor, array: NDArray[Any], *, nested: bool = False) -> dict[str, Any]:
    """Return a v2 tensor with these values, a missing one as null."""
    values = array.tolist() if nested else array.ravel().tolist()
    if tensor.missing:
        values = _gaps_as_null(values)
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": list(array.shape), "data": values}


def picture_object(tensor: Tensor, pictures: list[bytes]) -> dict[str, Any]:
    """Return a v2 tensor with encoded pictures."""
    data = [base64.b64encode(picture).decode() for picture in pictures]
    return {"name": tensor.name, "datatype": "BYTES", "shape": [len(pictures)], "data": data}


def _columns(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    pairs = [(field, tensor) for tensor in inputs.values() for field in tensor.fields or ()]
    whole = all(tensor.fields for tensor in inputs.values()) and len(dict(pairs)) == len(pairs)
    return dict(pairs) if whole else {}


def _gaps_as_null(values: Any) -> Any:
    if isinstance(values, list):
        return [_gaps_as_null(value) for value in values]
    return None if values != values else values  # noqa: PLR0124  # NaN alone is not equal to itself
