"""The rules for one tensor of a request: datatype, shape, and every value; see :mod:`attack.rules`."""

import base64
import io
import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from attack.model import Model

from modelpackage import Tensor

#: The range of whole numbers by datatype.
WHOLE = {f"{'U' if low == 0 else ''}INT{bits}": (low, 2**bits + low - 1)
         for bits in (8, 16, 32, 64) for low in (0, -(2 ** (bits - 1)))}  # fmt: skip
FLOATS: dict[str, type[np.floating[Any]]] = {"FP16": np.float16, "FP32": np.float32, "FP64": np.float64}
MAX_CHARACTERS = 1024
PICTURES = ("JPEG", "PNG", "WEBP")


def tensor_fault(tensor: Tensor, item: Mapping[str, Any], model: Model) -> str:
    """Judge an input under the name of a tensor."""
    if model.picture and item.get("datatype") == "BYTES":
        return _pictures_fault(item, model)
    if item.get("datatype") != tensor.datatype:
        return "datatype"
    return _filled(tensor, item, list(tensor.shape), model)


def column_fault(tensor: Tensor, item: Mapping[str, Any], model: Model) -> str:
    """Judge an input under the name of a column, which may be of any numeric datatype where the column is numeric."""
    datatype = item.get("datatype")
    if tensor.datatype == "BYTES" and datatype != "BYTES":
        return "datatype"
    if tensor.datatype != "BYTES" and (not isinstance(datatype, str) or datatype not in {*WHOLE, *FLOATS}):
        return "datatype"
    shape, data = item.get("shape"), item.get("data")
    if isinstance(shape, list) and len(shape) == 2 and shape[1] == 1 and type(shape[1]) is int:
        shape = shape[:1]
    if isinstance(data, list) and data and all(isinstance(value, list) and len(value) == 1 for value in data):
        data = [value[0] for value in data]  # a column may be nested whatever its shape says
    return _filled(tensor, {**item, "shape": shape, "data": data}, [], model, str(datatype))


def _filled(tensor: Tensor, item: Mapping[str, Any], row: list[int], model: Model, datatype: str = "") -> str:
    datatype = datatype or tensor.datatype
    shape, data = item.get("shape"), item.get("data")
    if not isinstance(shape, list) or any(type(size) is not int for size in shape) or not shape:
        return "shape"
    if shape[1:] != row or not 1 <= shape[0] <= model.limits["max_rows"]:
        return "shape"
    if math.prod(shape) > model.limits["max_elements"]:
        return "too many values"
    values = _from_bytes(data, datatype, math.prod(shape)) if isinstance(data, bytes) else _flat(data, shape)
    if values is None:
        return "data does not fill the shape"
    return next(filter(None, (_value_fault(value, datatype, tensor) for value in values)), "")


def _flat(data: object, shape: list[int]) -> list[Any] | None:
    """Return values that are flat or nested like their shape, and nothing between, as flat ones."""
    if not isinstance(data, list):
        return None
    if data and isinstance(data[0], list):
        return _unnested(data, shape)
    return data if len(data) == math.prod(shape) else None


def _unnested(data: object, shape: list[int]) -> list[Any] | None:
    if not isinstance(data, list) or len(data) != shape[0]:
        return None
    if len(shape) == 1:
        return data
    found: list[Any] = []
    for row in data:
        values = _unnested(row, shape[1:])
        if values is None:
            return None
        found += values
    return found


def _from_bytes(data: bytes, datatype: str, count: int) -> list[Any] | None:
    if datatype == "BYTES":
        return _texts(data, count)
    if datatype in FLOATS:
        kind = np.dtype(FLOATS[datatype])
    else:
        kind = np.dtype("uint8" if datatype == "BOOL" else datatype.lower())
    if len(data) != count * kind.itemsize:
        return None
    values: list[Any] = np.frombuffer(data, kind.newbyteorder("<")).tolist()
    if datatype == "BOOL":
        return [{0: False, 1: True}.get(value, value) for value in values]
    # Raw NaN is how a gap is said where there is no null.
    return [None if value != value else value for value in values]  # noqa: PLR0124  # NaN alone is not equal to itself


def _texts(data: bytes, count: int) -> list[bytes] | None:
    found: list[bytes] = []
    while data and len(found) < count:
        size = int.from_bytes(data[:4], "little")
        if len(data) < 4 + size:
            return None
        found.append(data[4 : 4 + size])
        data = data[4 + size :]
    return found if len(found) == count and not data else None


def _value_fault(value: Any, datatype: str, tensor: Tensor) -> str:
    if datatype == "BYTES":
        return _text_fault(value, tensor)
    if value is None:
        return "" if tensor.missing and datatype in FLOATS else "null"
    if datatype == "BOOL":
        return "" if isinstance(value, bool) else "no truth value"
    return _number_fault(value, datatype, tensor)


def _number_fault(value: Any, datatype: str, tensor: Tensor) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "no number"
    if datatype in WHOLE:
        low, high = WHOLE[datatype]
        if not isinstance(value, int) or not low <= value <= high:
            return "no whole number of the datatype"
        return _range_fault(value, tensor)
    with np.errstate(over="ignore"):
        cast = float(FLOATS[datatype](value))
    return "infinite" if math.isinf(cast) or math.isnan(cast) else _range_fault(cast, tensor)


def _range_fault(value: float, tensor: Tensor) -> str:
    if tensor.datatype in WHOLE:
        low, high = WHOLE[tensor.datatype]
        return "" if value == int(value) and low <= value <= high and _within(value, tensor, float) else "range"
    if tensor.datatype == "BOOL":
        return "range"
    kind = FLOATS[tensor.datatype]
    with np.errstate(over="ignore"):
        return "" if math.isfinite(kind(value)) and _within(value, tensor, kind) else "range"


def _within(value: float, tensor: Tensor, kind: Any) -> bool:
    low = tensor.minimum is None or kind(value) >= kind(tensor.minimum)
    return bool(low and (tensor.maximum is None or kind(value) <= kind(tensor.maximum)))


def _text_fault(value: Any, tensor: Tensor) -> str:
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError:
            return "no UTF-8"
    if value is None or value == "":
        return "" if tensor.missing else "empty text"
    if not isinstance(value, str):
        return "no text"
    return "text" if "\0" in value or len(value) > MAX_CHARACTERS else ""


def _pictures_fault(item: Mapping[str, Any], model: Model) -> str:
    shape, data = item.get("shape"), item.get("data")
    if not isinstance(shape, list) or shape[1:] not in ([], [1]) or type(shape[0] if shape else None) is not int:
        return "shape of pictures"
    if type(shape[-1]) is not int or not 1 <= shape[0] <= model.limits["max_rows"]:
        return "shape of pictures"
    if isinstance(data, bytes):
        found: list[Any] | None = _texts(data, shape[0])
    else:
        found = _flat(data, [shape[0], 1] if isinstance(data, list) and data and isinstance(data[0], list) else shape)
    if found is None:
        return "pictures do not fill the shape"
    return next(filter(None, (_picture_fault(value, model) for value in found)), "")


def _picture_fault(value: Any, model: Model) -> str:
    from PIL import Image

    try:
        if not isinstance(value, bytes):
            value = base64.b64decode(value.encode("ascii"), validate=True)
        with warnings.catch_warnings(), Image.open(io.BytesIO(value), formats=PICTURES) as image:
            warnings.simplefilter("ignore")
            if image.width * image.height > model.limits["max_pixels"]:
                return "pixels"
            image.load()
    except Exception as error:  # noqa: BLE001  # Pillow raises nearly anything on damaged input
        return f"picture: {type(error).__name__}"
    return ""
