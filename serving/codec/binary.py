"""The binary tensor extension of v2 REST: a JSON object, then the raw bytes of its tensors.

The protocol: https://github.com/kserve/open-inference-protocol. Every byte behind the JSON must belong to a tensor; a
length that is off by one is refused.
"""

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.codec.nesting import Bounds, parse
from serving.codec.tensors import shown
from serving.errors import InvalidInputError

#: The header with the length of the JSON, in bytes.
LENGTH_HEADER = "inference-header-content-length"
MAX_DIGITS = 12


def split(body: bytes | bytearray, length: str, bounds: Bounds) -> dict[str, Any]:
    """Return a binary body as the v2 JSON object, with the raw tensors as ``data``.

    Args:
        body: The whole body.
        length: The value of the header :data:`LENGTH_HEADER`.
        bounds: How large the JSON may be.

    Raises:
        InvalidInputError: A length does not fit the body, or the JSON is none.
    """
    if not (length.isascii() and length.isdigit() and len(length) <= MAX_DIGITS):
        raise InvalidInputError(f"the header {LENGTH_HEADER} is no whole number; give the bytes of the JSON")
    size = int(length)
    if size > len(body):
        raise InvalidInputError(f"the header {LENGTH_HEADER} says {size} bytes, the body has {len(body)}")
    view = memoryview(body)
    fields = parse(view[:size], bounds)
    fields["inputs"], place = _with_data(fields.get("inputs"), view, size)
    if place != len(body):
        raise InvalidInputError(
            f"{len(body) - place} bytes follow the last tensor; the 'binary_data_size' of all must add up to the rest"
        )
    return fields


def raw(datatype: str, array: NDArray[Any]) -> bytes:
    """Return a tensor's bytes: little-endian and row-major; each text after its length, an integer of four bytes."""
    if datatype != "BYTES":
        return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
    return raw_texts([text.encode() for text in array.ravel().tolist()])


def raw_texts(texts: Sequence[bytes]) -> bytes:
    """Return texts, each after its length."""
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def _with_data(inputs: object, view: memoryview, place: int) -> tuple[list[dict[str, Any]], int]:
    if not isinstance(inputs, list):
        raise InvalidInputError("'inputs' must be a list of objects, each with a 'name'")
    found = []
    for item in inputs:
        size = _size(item)
        if size is not None:
            if "data" in item:
                raise InvalidInputError("an input has 'data' beside 'binary_data_size'; give one of them")
            if size > len(view) - place:
                raise InvalidInputError(f"'binary_data_size' is {size}, only {len(view) - place} bytes are left")
            found.append({**item, "data": view[place : place + size]})
            place += size
        else:
            found.append(item)
    return found, place


def _size(item: object) -> int | None:
    parameters = item.get("parameters") if isinstance(item, dict) else None
    size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
    if size is None:
        return None
    if type(size) is not int or size < 0:
        raise InvalidInputError(f"'binary_data_size' is {shown(size)}; give the tensor's length in bytes")
    return size
