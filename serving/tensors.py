"""One tensor of a v2 request to one array: from a list, flat or nested, or from raw little-endian bytes.

Refuses everything that does not fit the tensor of the signature with :class:`InvalidInputError`, and names a client's
value in at most a few words.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

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


def decode(tensor: Tensor, item: Mapping[str, Any], max_rows: int) -> NDArray[Any]:
    """Return the values of a request's tensor, of shape (rows, ...).

    Args:
        tensor: What the model takes.
        item: The tensor as the v2 JSON object has it; ``data`` may also be raw bytes.
        max_rows: The most rows.

    Raises:
        InvalidInputError: It does not fit.
    """
    if item.get("datatype") != tensor.datatype:
        given = shown(item.get("datatype"))
        raise InvalidInputError(f"input {tensor.name!r} has datatype {given}, the model takes {tensor.datatype}")
    shape = _shape(tensor, item.get("shape"), max_rows)
    data = item.get("data")
    if isinstance(data, list):
        array = _from_list(tensor, data, shape)
    elif isinstance(data, bytes):
        array = _from_raw(tensor, data, shape)
    else:
        raise InvalidInputError(f"input {tensor.name!r} has no values; give 'data' as a list")
    try:
        tensor.check(array)
    except SignatureError as error:
        raise InvalidInputError(str(error)) from None
    return array


def shown(value: object) -> str:
    """Name a client's value without echoing more than a word of it."""
    if isinstance(value, str):
        return repr(value if len(value) <= SHOWN_CHARACTERS else f"{value[:SHOWN_CHARACTERS]}...")
    return WORDS[type(value)]


def _shape(tensor: Tensor, shape: object, max_rows: int) -> list[int]:
    if not isinstance(shape, list) or any(type(size) is not int for size in shape):
        example = [1, *tensor.shape]
        raise InvalidInputError(f"input {tensor.name!r} needs a 'shape' of whole numbers, such as {example}")
    if not shape or shape[1:] != list(tensor.shape) or shape[0] < 1:
        given = shape if len(shape) <= len(tensor.shape) + 1 else f"of {len(shape)} dimensions"
        raise InvalidInputError(
            f"input {tensor.name!r} has shape {given}, the model takes {tensor.batch_shape} with at least one row"
        )
    if shape[0] > max_rows:
        raise InvalidInputError(
            f"input {tensor.name!r} has {shape[0]} rows, the most is {max_rows}; send several requests"
        )
    return shape


def _from_list(tensor: Tensor, data: list[Any], shape: list[int]) -> NDArray[Any]:
    flat = _flat(tensor, data, shape)
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


def _flat(tensor: Tensor, data: list[Any], shape: list[int]) -> list[Any]:
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
            f"input {tensor.name!r} has data that does not fill its shape {shape}; "
            f"give {math.prod(shape)} values, flat or nested like the shape"
        )
    return data


def _from_raw(tensor: Tensor, data: bytes, shape: list[int]) -> NDArray[Any]:
    if tensor.datatype == "BYTES":
        return _texts(tensor, data, shape)
    expected = math.prod(shape) * tensor.dtype.itemsize
    if len(data) != expected:
        raise InvalidInputError(
            f"input {tensor.name!r} has {len(data)} raw bytes, shape {shape} of {tensor.datatype} takes {expected}"
        )
    if tensor.datatype == "BOOL" and data.strip(b"\0\1"):
        raise InvalidInputError(f"input {tensor.name!r} holds a raw byte other than 0 and 1, BOOL takes these")
    return np.frombuffer(data, dtype=tensor.dtype.newbyteorder("<")).reshape(shape)


def _texts(tensor: Tensor, data: bytes, shape: list[int]) -> NDArray[np.object_]:
    """Read text in the binary form of v2: before each element its length in bytes, four of them, little-endian."""
    texts: list[bytes] = []
    place, count = 0, math.prod(shape)
    while place < len(data) and len(texts) < count:
        size = int.from_bytes(data[place : place + LENGTH_BYTES], "little")
        texts.append(data[place + LENGTH_BYTES : place + LENGTH_BYTES + size])
        place += LENGTH_BYTES + size
    if place != len(data) or len(texts) != count:
        raise InvalidInputError(
            f"input {tensor.name!r} has {len(data)} raw bytes, which are not {count} texts; "
            f"give each after its length, a little-endian integer of {LENGTH_BYTES} bytes"
        )
    return decoded(tensor.name, texts).reshape(shape)


def decoded(name: str, texts: Sequence[bytes]) -> NDArray[np.object_]:
    """Return encoded text as str objects.

    Raises:
        InvalidInputError: It is no UTF-8.
    """
    try:
        return np.array([text.decode() for text in texts], dtype=object)
    except UnicodeDecodeError:
        raise InvalidInputError(f"input {shown(name)} holds bytes that are no UTF-8; encode text as UTF-8") from None
