"""One tensor of a v2 request to one array: from a list, flat or nested, or from raw little-endian bytes.

Refuses everything that does not fit the tensor of the signature with :class:`InvalidInputError`, and names a client's
value in at most a few words.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, Protocol, TypeGuard

import numpy as np
from numpy.typing import NDArray

from modelpackage import SignatureError, Tensor
from serving.errors import InvalidInputError

SHOWN_CHARACTERS = 32
LENGTH_BYTES = 4
#: Which JSON values make a tensor of a numpy kind, and what to call them.
TYPES: dict[str, tuple[set[type], str]] = {
    "b": ({bool}, "true and false"),
    "i": ({int}, "whole numbers"),
    "u": ({int}, "whole numbers"),
    "f": ({int, float}, "numbers"),
    "O": ({str}, "text"),
}
WORDS: dict[type, str] = {
    bool: "true or false",
    int: "a number",
    float: "a floating-point number",
    str: "a string",
    bytes: "bytes",
    list: "a list",
    dict: "an object",
    type(None): "null",
}


class Bounds(Protocol):
    """How large a tensor may be; the settings have these."""

    @property
    def max_rows(self) -> int:
        """The most rows."""

    @property
    def max_elements(self) -> int:
        """The most values."""


def decode(tensor: Tensor, item: Mapping[str, Any], bounds: Bounds) -> NDArray[Any]:
    """Return the values of a request's tensor, of shape (rows, ...).

    Args:
        tensor: What the model takes.
        item: The tensor as the v2 JSON object has it; ``data`` may also be raw bytes, or a list of encoded text.
        bounds: How large it may be.

    Raises:
        InvalidInputError: It does not fit.
    """
    if item.get("datatype") != tensor.datatype:
        given = shown(item.get("datatype"))
        raise InvalidInputError(f"input {tensor.name!r} has datatype {given}, the model takes {tensor.datatype}")
    shape = _shape(tensor, item.get("shape"), bounds)
    data = item.get("data")
    if isinstance(data, list):
        array = _from_list(tensor, data, shape)
    elif isinstance(data, bytes | memoryview):
        array = _from_raw(tensor, data, shape)
    else:
        raise InvalidInputError(f"input {tensor.name!r} has no values; give 'data' as a list")
    check(tensor, array)
    return array


def check(tensor: Tensor, array: NDArray[Any]) -> None:
    """Refuse an array that is not a batch of rows of a tensor.

    Raises:
        InvalidInputError: It does not fit.
    """
    try:
        tensor.check(array)
    except SignatureError as error:
        raise InvalidInputError(str(error)) from None


def is_column(shape: object) -> TypeGuard[list[Any]]:
    """Tell whether a client's shape is that of one column, (rows, 1); ``true`` is not 1 here."""
    return isinstance(shape, list) and list(map(type, shape[1:])) == [int] and shape[1] == 1


def shown(value: object) -> str:
    """Name a client's value without echoing more than a word of it."""
    if isinstance(value, str):
        return repr(value if len(value) <= SHOWN_CHARACTERS else f"{value[:SHOWN_CHARACTERS]}...")
    return WORDS[type(value)]


def _shape(tensor: Tensor, shape: object, bounds: Bounds) -> list[int]:
    if not isinstance(shape, list) or any(type(size) is not int for size in shape):
        example = [1, *tensor.shape]
        raise InvalidInputError(f"input {tensor.name!r} needs a 'shape' of whole numbers, such as {example}")
    if not shape or shape[1:] != list(tensor.shape) or shape[0] < 1:
        given = shape if len(shape) <= len(tensor.shape) + 1 else f"of {len(shape)} dimensions"
        raise InvalidInputError(
            f"input {tensor.name!r} has shape {given}, the model takes {tensor.batch_shape} with at least one row"
        )
    check_size(tensor.name, shape, bounds)
    return shape


def check_size(name: str, shape: Sequence[int], bounds: Bounds) -> None:
    """Refuse a shape before anything is made of it.

    Raises:
        InvalidInputError: It has too many rows or values.
    """
    if shape[0] > bounds.max_rows:
        raise InvalidInputError(
            f"input {shown(name)} has {shape[0]} rows, the most is {bounds.max_rows}; send several requests"
        )
    if math.prod(shape) > bounds.max_elements:
        raise InvalidInputError(
            f"input {shown(name)} has {math.prod(shape)} values, the most is {bounds.max_elements}; "
            "send several requests"
        )


def _from_list(tensor: Tensor, data: list[Any], shape: list[int]) -> NDArray[Any]:
    flat = flatten(tensor.name, data, shape)
    if tensor.datatype == "BYTES" and flat and all(type(text) is bytes for text in flat):
        return decoded(tensor.name, flat).reshape(shape)
    allowed, described = TYPES[tensor.dtype.kind]
    if tensor.missing:
        allowed, described = {*allowed, type(None)}, f"{described} or null"
    if wrong := set(map(type, flat)) - allowed:
        held = " and ".join(sorted(WORDS[kind] for kind in wrong))
        raise InvalidInputError(f"input {tensor.name!r} holds {held}, {tensor.datatype} takes {described}")
    if tensor.datatype == "BYTES":
        return np.array([text or "" for text in flat], dtype=object).reshape(shape)
    try:
        # A float beyond the datatype becomes infinite, which the signature refuses; null becomes NaN.
        with np.errstate(over="ignore"):
            return np.array(flat, dtype=tensor.dtype).reshape(shape)
    except OverflowError:
        raise InvalidInputError(f"input {tensor.name!r} holds a number that {tensor.datatype} can't hold") from None


def flatten(name: str, data: list[Any], shape: Sequence[int]) -> list[Any]:
    """Return a list that is flat or nested like its shape as a flat one.

    Raises:
        InvalidInputError: It does not fill the shape.
    """
    fits = True
    if data and isinstance(data[0], list):
        fits = len(data) == shape[0]
        for size in shape[1:]:
            fits = fits and all(isinstance(row, list) and len(row) == size for row in data)
            if not fits:
                break
            data = list(chain.from_iterable(data))
    if not fits or len(data) != math.prod(shape):
        raise InvalidInputError(
            f"input {shown(name)} has data that does not fill its shape {list(shape)}; "
            f"give {math.prod(shape)} values, flat or nested like the shape"
        )
    return data


def _from_raw(tensor: Tensor, data: bytes | memoryview, shape: list[int]) -> NDArray[Any]:
    if tensor.datatype == "BYTES":
        return decoded(tensor.name, texts(tensor.name, data, math.prod(shape))).reshape(shape)
    expected = math.prod(shape) * tensor.dtype.itemsize
    if len(data) != expected:
        raise InvalidInputError(
            f"input {tensor.name!r} has {len(data)} raw bytes, shape {shape} of {tensor.datatype} takes {expected}"
        )
    if tensor.datatype == "BOOL" and bytes(data).strip(b"\0\1"):
        raise InvalidInputError(f"input {tensor.name!r} holds a raw byte other than 0 and 1, BOOL takes these")
    array = np.frombuffer(data, dtype=tensor.dtype.newbyteorder("<")).reshape(shape)
    # Behind JSON of any length the bytes stand anywhere; the graph's kernels may count on aligned numbers.
    return np.require(array, tensor.dtype, ["ALIGNED"])


def texts(name: str, data: bytes | memoryview, count: int) -> list[bytes]:
    """Read the binary form of BYTES: before each element its length in bytes, four of them, little-endian.

    Raises:
        InvalidInputError: These are not exactly ``count`` elements.
    """
    found: list[bytes] = []
    place = 0
    while place < len(data) and len(found) < count:
        start = place + LENGTH_BYTES
        place = start + int.from_bytes(data[place:start], "little")
        found.append(bytes(data[start:place]))
    if place != len(data) or len(found) != count:
        raise InvalidInputError(
            f"input {shown(name)} has {len(data)} raw bytes, which are not {count} elements; "
            f"give each after its length, a little-endian integer of {LENGTH_BYTES} bytes"
        )
    return found


def decoded(name: str, texts: Sequence[bytes]) -> NDArray[np.object_]:
    """Return encoded text as str objects.

    Raises:
        InvalidInputError: It is no UTF-8.
    """
    try:
        return np.array([text.decode() for text in texts], dtype=object)
    except UnicodeDecodeError:
        raise InvalidInputError(f"input {shown(name)} holds bytes that are no UTF-8; encode text as UTF-8") from None
