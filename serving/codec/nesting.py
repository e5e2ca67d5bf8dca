"""JSON bodies to objects, no deeper than allowed.

Refuses what is no JSON object. The depth is measured before parsing, on the text: a parser's own limit is about its
stack.
"""

import re
from typing import Any

import numpy as np
import orjson

from serving.codec.tensors import shown
from serving.errors import InvalidInputError

STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
OTHERS = bytes(sorted(set(range(256)) - set(b"[{]}")))
#: What each bracket adds to the depth, as a signed byte.
STEPS = bytes.maketrans(b"[{]}", b"\1\1\xff\xff")


def parse(body: bytes | bytearray | memoryview, max_nesting: int) -> dict[str, Any]:
    """Read a JSON object.

    Args:
        body: UTF-8 text.
        max_nesting: The most objects and lists around any value.

    Raises:
        InvalidInputError: It is no JSON object, or nested deeper.
    """
    # Most bodies have fewer brackets than may be nested, and are done with these two counts.
    if isinstance(body, memoryview):
        body = bytes(body)
    if body.count(b"[") + body.count(b"{") > max_nesting and depth(body) > max_nesting:
        raise InvalidInputError(
            f"the body is nested deeper than {max_nesting}; send values flat or nested like their shape"
        )
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise InvalidInputError(f"the body is not JSON, see {where}; send one JSON object") from None
    if not isinstance(fields, dict):
        raise InvalidInputError(f"the body is {shown(fields)}; send one JSON object")
    return fields


def depth(body: bytes | bytearray) -> int:
    """Return how deep brackets are nested: the highest that their running count gets, at the speed of a text search."""
    # Cutting a text without escapes at its quotes leaves what is outside of strings at every second place.
    bare = STRING.sub(b"", body) if b"\\" in body else b"".join(bytes(body).split(b'"')[::2])
    steps = np.frombuffer(bare.translate(STEPS, OTHERS), np.int8)
    return int(steps.cumsum(dtype=np.int32).max(initial=0))
