"""What the graph gave to v2 answers: labels, confidence, abstaining, and the JSON and binary forms.

Refuses nothing: what arrives here was asked for and computed.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from modelpackage import Descriptor
from serving.codec.binary import raw
from serving.codec.query import CONFIDENCE, LABEL, Arrays, Query


@dataclass(slots=True)
class Scores:
    """What the graph gave for the rows of one request.

    Attributes:
        outputs: By name, each of shape (rows, ...).
        classes: Index of the most probable class, shape (rows,).
        confidence: Its probability, shape (rows,), FP32.
    """

    outputs: Arrays
    classes: NDArray[np.int64]
    confidence: NDArray[np.float32]


@dataclass(slots=True)
class Output:
    """One tensor of an answer: ``array`` has shape (rows, ...) and holds strings where the datatype is BYTES."""

    name: str
    datatype: str
    array: NDArray[Any]


@dataclass(slots=True)
class Answer:
    """An answer before it is written.

    Attributes:
        id: That of the request.
        outputs: At least one.
        binary: Names of the outputs that are wanted as raw bytes.
        abstained: How many rows got no label for want of confidence; none where the request set no bound.
    """

    id: str
    outputs: list[Output]
    binary: frozenset[str]
    abstained: int | None


class Writer:
    """Makes and writes the answers of one model.

    Args:
        descriptor: Whose answers.
        name: The model's name in URLs.

    Attributes:
        version: The first digits of the package's digest.
        package: The package's identity, ``sha256:`` and 64 hexadecimal digits.
    """

    def __init__(self, descriptor: Descriptor, name: str) -> None:
        self.name = name
        self.version = descriptor.digest[:12]
        self.package = f"sha256:{descriptor.digest}"
        self.labels = descriptor.labels
        self._labels = np.array(descriptor.labels, dtype=object)
        self._datatypes = {tensor.name: tensor.datatype for tensor in descriptor.signature.outputs}

    def answer(self, query: Query, scores: Scores) -> Answer:
        """Make the answer to a request."""
        outputs = []
        unsure = None if query.min_confidence is None else scores.confidence < query.min_confidence
        for name in query.outputs:
            if name == LABEL:
                labels = self._labels[scores.classes]
                if unsure is not None:
                    labels[unsure] = ""
                outputs.append(Output(name, "BYTES", labels))
            elif name == CONFIDENCE:
                outputs.append(Output(name, "FP32", scores.confidence))
            else:
                outputs.append(Output(name, self._datatypes[name], scores.outputs[name]))
        return Answer(query.id, outputs, query.binary, None if unsure is None else int(unsure.sum()))

    def render(self, answer: Answer) -> tuple[bytes, int | None]:
        """Return an answer's body and, where raw tensors follow its JSON, the length of the JSON in bytes."""
        outputs: list[dict[str, Any]] = []
        tail: list[bytes] = []
        for output in answer.outputs:
            form: dict[str, Any] = {"name": output.name, "datatype": output.datatype, "shape": output.array.shape}
            if output.name in answer.binary:
                tail.append(raw(output.datatype, output.array))
                form["parameters"] = {"binary_data_size": len(tail[-1])}
            else:
                form["data"] = output.array.tolist() if output.datatype == "BYTES" else output.array.ravel()
            outputs.append(form)
        head = self._json(answer, outputs)
        return (b"".join((head, *tail)), len(head)) if tail else (head, None)

    def predictions(self, query: Query, scores: Scores) -> bytes:
        """Return the answer of v1: the request's id, and an object for each row, in order."""
        bound = query.min_confidence or 0
        probabilities = next(iter(scores.outputs.values()))
        found = [
            {
                "label": self.labels[index] if confidence >= bound else "",
                "confidence": confidence,
                "probabilities": row,
            }
            for index, confidence, row in zip(scores.classes.tolist(), scores.confidence, probabilities, strict=True)
        ]
        return orjson.dumps({"id": query.id, "predictions": found}, option=orjson.OPT_SERIALIZE_NUMPY)

    def _json(self, answer: Answer, outputs: list[dict[str, Any]]) -> bytes:
        parameters: dict[str, Any] = {"package": self.package}
        if answer.abstained is not None:
            parameters["abstained"] = answer.abstained
        fields = {
            "model_name": self.name,
            "model_version": self.version,
            "id": answer.id,
            "parameters": parameters,
            "outputs": outputs,
        }
        return orjson.dumps(fields, option=orjson.OPT_SERIALIZE_NUMPY)
