"""v2 inference requests to what the model takes, checked against its signature.

Refuses everything that does not fit with :class:`InvalidInputError`.
"""

import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray
from pydantic import ValidationError

from modelpackage import Descriptor, PackageError, Picture
from serving.codec import pictures, tensors
from serving.codec.columns import Columns, described
from serving.errors import InvalidInputError
from serving.settings import Limits

Arrays = dict[str, NDArray[Any]]

#: The outputs that the predictor adds: the name of the most probable class, and its probability.
LABEL, CONFIDENCE = "label", "confidence"
#: A number as JSON writes it.
DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")


@dataclass(slots=True)
class Query:
    """A request that fits the signature.

    Attributes:
        id: The client's, or a generated one.
        rows: At least one.
        inputs: By tensor name, each of shape (rows, ...); without the image input while its pictures are encoded.
        pictures: Encoded pictures that still have to be decoded, in order.
        outputs: Names of the outputs to answer with, in this order.
        binary: Those of them to answer as raw bytes, where the protocol can.
        min_confidence: Rows below it get no label, where the request set a bound.
    """

    id: str
    rows: int
    inputs: Arrays
    pictures: list[bytes]
    outputs: tuple[str, ...]
    binary: frozenset[str]
    min_confidence: float | None


class QueryReader:
    """Reads the requests of one model.

    Args:
        descriptor: What the model takes and gives.
        limits: How large a request may be.

    Raises:
        PackageError: An output of the model has the name of a derived one, or its picture does not fit its input.

    Attributes:
        inputs: The tensors of the signature by name.
        outputs: Datatypes by name, the derived ones last.
        picture: How an encoded picture becomes a row, where the package says so.
    """

    def __init__(self, descriptor: Descriptor, limits: Limits) -> None:
        signature = descriptor.signature
        self.inputs = {tensor.name: tensor for tensor in signature.inputs}
        self.outputs: dict[str, str] = {tensor.name: tensor.datatype for tensor in signature.outputs}
        for name, datatype in ((LABEL, "BYTES"), (CONFIDENCE, "FP32")):
            if name in self.outputs:
                raise PackageError(f"output {name!r} is one that the predictor adds; rename it in the graph")
            self.outputs[name] = datatype
        self.columns = Columns(signature)
        self.picture = _picture(descriptor)
        self._image = signature.inputs[0]
        self._limits = limits
        self._all = tuple(self.outputs)

    def read(self, fields: Mapping[str, Any], request_id: str) -> Query:
        """Check a request and turn it into arrays.

        Args:
            fields: The v2 JSON object; ``data`` may also be raw bytes, or a list of encoded text.
            request_id: What to answer under.

        Raises:
            InvalidInputError: It does not fit the signature.
        """
        parameters = _parameters(fields)
        given = _by_name(fields.get("inputs"), "input")
        found: list[bytes] = []
        if self.picture and given.keys() == self.inputs.keys() and _is_encoded(given[self._image.name]):
            found = pictures.encoded(self._image, given[self._image.name], self._limits)
            inputs, rows = {}, len(found)
        else:
            inputs = self._arrays(given)
            rows = len(next(iter(inputs.values())))
        outputs, binary = self._wanted(fields.get("outputs"), parameters)
        return Query(request_id, rows, inputs, found, outputs, binary, _share(parameters.get("min_confidence")))

    def datatype(self, column: str) -> str | None:
        """Return the datatype of a column of a table; none where there is no such column."""
        owners = (tensor.datatype for tensor in self.inputs.values() if column in (tensor.fields or ()))
        return next(owners, None)

    def pixel_bytes(self, query: Query) -> int:
        """Return how many bytes the encoded pictures of a request become."""
        return len(query.pictures) * math.prod(self._image.shape) * self._image.dtype.itemsize

    def decode_pictures(self, query: Query, go_on: Callable[[], None] = lambda: None) -> None:
        """Turn the encoded pictures of a request into its image input; takes a while, so not in the event loop.

        Args:
            query: The request.
            go_on: Called before each picture; raises where it is not worth while any more.

        Raises:
            InvalidInputError: One is no picture, damaged, or too large.
        """
        if self.picture is not None:
            rows = pictures.decode(self.picture, self._image, query.pictures, self._limits.max_pixels, go_on)
            query.inputs, query.pictures = {self._image.name: rows}, []

    def _arrays(self, given: dict[str, Mapping[str, Any]]) -> Arrays:
        if not given.keys() <= self.inputs.keys():
            if given.keys() <= self.columns.names:
                return _equally_long(self.columns.decode(given, self._limits), "columns")
            ours = self.inputs.keys() | self.columns.names
            unknown = next((name for name in given if name not in ours), None)
            if unknown is not None:
                known = described([*self.inputs, *sorted(self.columns.names)])
                raise InvalidInputError(f"there is no input {tensors.shown(unknown)}, the model has {known}")
            raise InvalidInputError("inputs and columns are mixed; give either all inputs or all columns")
        for name in self.inputs:
            if name not in given:
                raise InvalidInputError(f"input {name!r} is missing; the model takes {described([*self.inputs])}")
        inputs = {name: tensors.decode(tensor, given[name], self._limits) for name, tensor in self.inputs.items()}
        return _equally_long(inputs, "inputs")

    def _wanted(self, asked: object, parameters: Mapping[str, Any]) -> tuple[tuple[str, ...], frozenset[str]]:
        """Return the outputs to answer with, and which of them as raw bytes."""
        every = _flag(parameters, "binary_data_output")
        if not asked and (asked is None or isinstance(asked, list)):
            return self._all, frozenset(self._all if every else ())
        named = _by_name(asked, "output", self.outputs)
        binary = {name for name, item in named.items() if _flag(_parameters(item), "binary_data", default=every)}
        return tuple(named), frozenset(binary)


def request_id(fields: Mapping[str, Any], longest: int) -> str:
    """Return the client's id of a request, or an empty one where there is none.

    Raises:
        InvalidInputError: It is no string, or too long to echo.
    """
    given = fields.get("id")
    if given is None or given == "":
        return ""
    if not isinstance(given, str) or len(given) > longest:
        raise InvalidInputError(f"'id' must be a string of at most {longest} characters, or absent")
    return given


def _picture(descriptor: Descriptor) -> Picture | None:
    given = descriptor.preprocessing.get("picture")
    if given is None or len(descriptor.signature.inputs) != 1:
        return None
    # Through JSON values again, so that lists are read as the tuples that they were.
    try:
        picture = Picture.model_validate(given, strict=False)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, ("picture", *first["loc"])))
        raise PackageError(
            f"preprocessing {tensors.shown(where)} is not as modelpackage.Picture has it: {first['msg']}; "
            "correct it, or give what is no such picture another name, and seal the package again"
        ) from None
    if picture.shape() != descriptor.signature.inputs[0].shape:
        raise PackageError(f"the package's pictures have shape {picture.shape()}, which its input does not take")
    return picture


def _equally_long(inputs: Arrays, role: str) -> Arrays:
    if len(inputs) > 1 and len({len(array) for array in inputs.values()}) > 1:
        raise InvalidInputError(f"the {role} differ in their number of rows; give each the same first dimension")
    return inputs


def _is_encoded(item: Mapping[str, Any]) -> bool:
    return item.get("datatype") == "BYTES"


def _by_name(items: object, role: str, known: Collection[str] | None = None) -> dict[str, Mapping[str, Any]]:
    if not isinstance(items, list) or not items:
        raise InvalidInputError(f"'{role}s' must be a list of objects, each with a 'name'")
    named: dict[str, Mapping[str, Any]] = {}
    for item in items:
        name = item.get("name") if isinstance(item, dict) else None
        if not isinstance(name, str):
            raise InvalidInputError(f"'{role}s' must be a list of objects, each with a 'name'")
        if known is not None and name not in known:
            raise InvalidInputError(f"there is no {role} {tensors.shown(name)}, the model has {', '.join(known)}")
        if name in named:
            raise InvalidInputError(f"{role} {tensors.shown(name)} is given twice; give it once")
        _parameters(item)
        named[name] = item
    return named


def _parameters(item: Mapping[str, Any]) -> Mapping[str, Any]:
    found = item.get("parameters")
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise InvalidInputError(f"'parameters' is {tensors.shown(found)}; give an object, or leave it out")
    if any(isinstance(value, dict | list) for value in found.values()):
        raise InvalidInputError("'parameters' holds an object or a list; give text, numbers, true or false")
    return found


def _flag(parameters: Mapping[str, Any], name: str, *, default: bool = False) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise InvalidInputError(f"parameter {name!r} is {tensors.shown(value)}; give true or false")
    return value


def _share(value: object) -> float | None:
    """Return a confidence; over gRPC, which has no fractions, it is text."""
    if value is None:
        return None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    # Python's float() also takes digits of other scripts, underscores and spaces.
    number = number or (isinstance(value, str) and DECIMAL.fullmatch(value) is not None)
    share = float(value) if number else math.nan  # type: ignore[arg-type]  # a number or text, see above
    if not 0 <= share <= 1:
        raise InvalidInputError(f"parameter 'min_confidence' is {tensors.shown(value)}; give a number from 0 to 1")
    return share
