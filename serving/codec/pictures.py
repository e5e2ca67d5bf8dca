"""Encoded pictures in a request: JPEG, PNG or WebP, as base64 in JSON and as they are in bytes.

Only takes them apart; decoding is work for other threads than the one that reads requests. What a picture becomes
stands in the package (:class:`modelpackage.Picture`), so that training and serving see the same pixels.
"""

import binascii
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelpackage import Picture, PictureError, Tensor, count_pixels
from serving.codec import tensors
from serving.codec.tensors import Bounds
from serving.errors import InvalidInputError

#: What browsers and cameras write; every other reader would only be one more to attack.
FORMATS = ("JPEG", "PNG", "WEBP")


def encoded(tensor: Tensor, item: Mapping[str, Any], bounds: Bounds) -> list[bytes]:
    """Return the encoded pictures of an input.

    Args:
        tensor: The model's image input.
        item: A v2 tensor of datatype BYTES and shape (rows,) or (rows, 1).
        bounds: How many there may be, and how many values they become.

    Raises:
        InvalidInputError: They do not fit.
    """
    shape = item.get("shape")
    if tensors.is_column(shape):
        shape = shape[:1]
    if not isinstance(shape, list) or len(shape) != 1 or type(shape[0]) is not int or shape[0] < 1:
        raise InvalidInputError(f"input {tensor.name!r} holds pictures as BYTES; its shape is [number of pictures]")
    count = shape[0]
    tensors.check_size(tensor.name, (count, *tensor.shape), bounds)
    data = item.get("data")
    if isinstance(data, bytes | memoryview):
        return tensors.texts(tensor.name, data, count)
    if not isinstance(data, list):
        raise InvalidInputError(f"input {tensor.name!r} has no values; give 'data' as a list of base64 texts")
    flat = tensors.flatten(tensor.name, data, (count, 1) if data and isinstance(data[0], list) else (count,))
    return [_from_base64(tensor.name, value) for value in flat]


def decode(
    picture: Picture,
    tensor: Tensor,
    encoded: list[bytes],
    max_pixels: int,
    go_on: Callable[[], None] = lambda: None,
) -> NDArray[Any]:
    """Return the rows that the model takes, of shape (pictures, ...).

    Args:
        picture: How a picture becomes a row.
        tensor: The model's image input.
        encoded: The pictures.
        max_pixels: The most pixels of all of them.
        go_on: Called before each picture; raises where it is not worth while any more.

    Raises:
        InvalidInputError: One is no picture, damaged, or too large; its place is named.
    """
    rows = np.empty((len(encoded), *tensor.shape), tensor.dtype)
    left = max_pixels
    for index, content in enumerate(encoded):
        go_on()
        try:
            left -= count_pixels(content, formats=FORMATS)
            if left < 0:
                raise InvalidInputError(
                    f"the pictures of input {tensor.name!r} have more than {max_pixels} pixels; send fewer or smaller"
                )
            rows[index] = picture.decode(content, formats=FORMATS)
        except PictureError as error:
            raise InvalidInputError(f"picture {index + 1} of input {tensor.name!r}: {error}") from None
    tensors.check(tensor, rows)
    return rows


def _from_base64(name: str, text: object) -> bytes:
    if isinstance(text, bytes):  # gRPC has bytes
        return text
    if not isinstance(text, str):
        raise InvalidInputError(f"input {name!r} holds {tensors.shown(text)}; give each picture as a base64 text")
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError):
        raise InvalidInputError(f"input {name!r} holds a text that is no base64; encode the picture's bytes") from None
