"""What the server and its model say of themselves: the metadata of v2, and beside it what a form is made of."""

from typing import Any

from modelpackage import Package, Tensor
from serving import VERSION
from serving.codec.query import CONFIDENCE, LABEL
from serving.predictor import Predictor

#: What of the v2 protocol is there beyond its core.
EXTENSIONS = ["binary_tensor_data"]
#: Values of an example row that are worth sending.
EXAMPLE_VALUES = 1024
#: Eight by eight grey pixels, in base64.
GREY_PNG = "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAAAAADhZOFXAAAAEElEQVR42mNsYIAAJgaKGAAmCACQtTEKkQAAAABJRU5ErkJggg=="


def server() -> dict[str, Any]:
    """Return the v2 server metadata."""
    return {"name": "slipway", "version": VERSION, "extensions": EXTENSIONS}


def model(predictor: Predictor) -> dict[str, Any]:
    """Return the v2 model metadata; ``parameters`` are what the protocol has no word for."""
    package = predictor.package
    descriptor = package.descriptor
    parameters: dict[str, Any] = {
        "kind": descriptor.kind,
        "labels": list(descriptor.labels),
        "package": predictor.writer.package,
    }
    if predictor.reader.picture:
        parameters["picture"] = predictor.reader.picture.model_dump(include={"height", "width", "colour"})
    golden = package.golden().inputs
    texts = package.reference().texts or {}
    choices = {name: sorted(text for text in counted.counts if text) for name, counted in texts.items()}
    return {
        "name": predictor.name,
        "versions": [predictor.writer.version],
        "platform": "onnxruntime_onnx",
        "inputs": [
            {**_tensor(tensor), "parameters": _details(tensor, golden[tensor.name][:1], choices)}
            for tensor in descriptor.signature.inputs
        ],
        "outputs": [
            *(_tensor(tensor) for tensor in descriptor.signature.outputs),
            {"name": LABEL, "datatype": "BYTES", "shape": [-1]},
            {"name": CONFIDENCE, "datatype": "FP32", "shape": [-1]},
        ],
        "parameters": parameters,
    }


def example(package: Package) -> dict[str, Any]:
    """Return a v2 request that the model answers; of pictures a small one, which is brought to their size."""
    golden = package.golden().inputs
    if "picture" in package.descriptor.preprocessing:
        (name,) = golden
        return {"inputs": [{"name": name, "datatype": "BYTES", "shape": [1], "data": [GREY_PNG]}]}
    inputs = [
        {
            "name": tensor.name,
            "datatype": tensor.datatype,
            "shape": [1, *tensor.shape],
            "data": _values(golden[tensor.name][:1]),
        }
        for tensor in package.descriptor.signature.inputs
    ]
    return {"inputs": inputs}


def _tensor(tensor: Tensor) -> dict[str, Any]:
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.batch_shape}


def _details(tensor: Tensor, row: Any, choices: dict[str, list[str]]) -> dict[str, Any]:
    found = tensor.model_dump(include={"fields", "minimum", "maximum", "missing"}, exclude_none=True)
    if mine := {name: choices[name] for name in tensor.fields or () if name in choices}:
        found["choices"] = mine
    if row.size <= EXAMPLE_VALUES:
        found["example"] = _values(row)
    return found


def _values(row: Any) -> list[Any]:
    """Return a row's values as JSON has them: a missing number, which is not equal to itself, is null there."""
    values: list[Any] = row.ravel().tolist()
    return [None if value != value else value for value in values]  # noqa: PLR0124  # see above
