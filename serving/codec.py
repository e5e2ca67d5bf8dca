"""v2 requests to arrays and arrays to v2 answers, by the model's signature.

A request arrives as the v2 JSON object, whatever brought it: REST parses it, gRPC builds the same object from its
message, so both get the same verdict. ``data`` is a list, flat or nested, or the raw little-endian bytes of the tensor.

Refuses everything that does not fit the signature with :class:`InvalidInputError`. Knows no kserve and no transport.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from modelpackage import Descriptor, PackageError
from serving import tensors
from serving.errors import InvalidInputError

Arrays = dict[str, NDArray[Any]]

#: The output that the predictor adds: the name of the most probable class.
LABEL = "label"
MAX_ID_CHARACTERS = 128


@dataclass(frozen=True, slots=True)
class Request:
    """A request that fits the signature.

    Attributes:
        id: The client's, or a generated one.
        inputs: By tensor name, each of shape (rows, ...).
        outputs: Names of the outputs to answer with, in this order.
    """

    id: str
    inputs: Arrays
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Output:
    """One tensor of an answer: ``array`` has shape (rows, ...) and holds strings where the datatype is BYTES."""

    name: str
    datatype: str
    array: NDArray[Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer before it is written.

    Attributes:
        id: That of the request.
        model_name: The model's name in URLs.
        model_version: The first digits of the package's digest.
        package: The package's identity, ``sha256:`` and 64 hexadecimal digits.
        outputs: At least one.
    """

    id: str
    model_name: str
    model_version: str
    package: str
    outputs: tuple[Output, ...]

    @property
    def rows(self) -> int:
        """How many rows were answered."""
        return len(self.outputs[0].array)


class Codec:
    """Decodes requests and makes answers for one model.

    Args:
        descriptor: What the model takes and gives.
        name: The model's name in URLs.
        max_rows: The most rows of one request.

    Raises:
        PackageError: An output of the model has the name of the derived one.
    """

    def __init__(self, descriptor: Descriptor, *, name: str, max_rows: int) -> None:
        signature = descriptor.signature
        self.name = name
        self.version = descriptor.digest[:12]
        self.package = f"sha256:{descriptor.digest}"
        self.inputs = {tensor.name: tensor for tensor in signature.inputs}
        self.outputs: dict[str, str] = {tensor.name: tensor.datatype for tensor in signature.outputs}
        if LABEL in self.outputs:
            raise PackageError(f"output {LABEL!r} is the one that the predictor adds; rename it in the graph")
        self.outputs[LABEL] = "BYTES"
        self._scores = signature.outputs[0].name
        self._labels = np.array(descriptor.labels, dtype=object)
        self._max_rows = max_rows

    def decode(self, fields: Mapping[str, Any], request_id: str) -> Request:
        """Turn a v2 request into arrays.

        Args:
            fields: The v2 JSON object; ``data`` may also be raw bytes.
            request_id: What to answer under.

        Raises:
            InvalidInputError: It does not fit the signature.
        """
        given = _by_name(fields.get("inputs"), "input", self.inputs)
        for name in self.inputs:
            if name not in given:
                raise InvalidInputError(f"input {name!r} is missing; the model takes {', '.join(self.inputs)}")
        inputs = {name: tensors.decode(tensor, given[name], self._max_rows) for name, tensor in self.inputs.items()}
        if len({len(array) for array in inputs.values()}) > 1:
            raise InvalidInputError("the inputs differ in their number of rows; give each the same first dimension")
        asked = fields.get("outputs")
        named = {} if asked is None else _by_name(asked, "output", self.outputs)
        return Request(id=request_id, inputs=inputs, outputs=tuple(named or self.outputs))

    def answer(self, request: Request, arrays: Arrays) -> Answer:
        """Make the answer to a request from what the graph gave.

        Raises:
            FloatingPointError: The model gave NaN or infinity, of which no label can be told.
        """
        scores = arrays[self._scores]
        if not np.isfinite(scores).all():
            raise FloatingPointError(f"output {self._scores!r} of the model holds NaN or infinite values")
        found = arrays | {LABEL: self._labels[scores.argmax(axis=1)]}
        outputs = tuple(Output(name, self.outputs[name], found[name]) for name in request.outputs)
        return Answer(request.id, self.name, self.version, self.package, outputs)


def parse(body: bytes) -> dict[str, Any]:
    """Read the body of a REST request.

    Raises:
        InvalidInputError: It is not a JSON object.
    """
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise InvalidInputError(f"the body is not JSON, see {where}; send a v2 inference request") from None
    if not isinstance(fields, dict):
        raise InvalidInputError(f"the body is {tensors.shown(fields)}; send a JSON object with 'inputs'")
    return fields


def request_id(fields: Mapping[str, Any], default: str) -> str:
    """Return the client's id of a request, or the default where there is none.

    Raises:
        InvalidInputError: It is no string, or too long to echo.
    """
    given = fields.get("id")
    if given is None or given == "":
        return default
    if not isinstance(given, str) or len(given) > MAX_ID_CHARACTERS:
        raise InvalidInputError(f"'id' must be a string of at most {MAX_ID_CHARACTERS} characters, or absent")
    return given


def render(answer: Answer) -> bytes:
    """Return an answer as the v2 JSON object; ``data`` is flat, in row-major order."""
    outputs = [
        {
            "name": output.name,
            "datatype": output.datatype,
            "shape": output.array.shape,
            "data": output.array.tolist() if output.datatype == "BYTES" else output.array.ravel(),
        }
        for output in answer.outputs
    ]
    fields = {
        "model_name": answer.model_name,
        "model_version": answer.model_version,
        "id": answer.id,
        "parameters": {"package": answer.package},
        "outputs": outputs,
    }
    return orjson.dumps(fields, option=orjson.OPT_SERIALIZE_NUMPY)


def _by_name(items: object, role: str, known: Collection[str]) -> dict[str, Mapping[str, Any]]:
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise InvalidInputError(f"'{role}s' must be a list of objects, each with a 'name'")
    named: dict[str, Mapping[str, Any]] = {}
    for item in items:
        name = item.get("name")
        if not isinstance(name, str) or name not in known:
            raise InvalidInputError(f"there is no {role} {tensors.shown(name)}, the model has {', '.join(known)}")
        if name in named:
            raise InvalidInputError(f"{role} {name!r} is given twice; give it once")
        named[name] = item
    return named
