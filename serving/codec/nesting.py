"""JSON bodies to objects, no deeper and of no more values than allowed.

Refuses what is no JSON object. Depth and counts are taken before parsing, on the text: a parser's own limit is about
its stack, and while it makes and frees millions of objects, nothing else in the process runs.
"""

from typing import Any, Protocol

import numpy as np
import orjson

from serving.codec.tensors import shown
from serving.errors import InvalidInputError

#: What a name of an object counts beside its value: to enter it costs about as much as three more values.
NAME = 3
#: Bytes that are scanned in one go, so that other threads get their turn in between.
PIECE = 1 << 18
OTHERS = bytes(sorted(set(range(256)) - set(b'[{]}"')))
#: What each bracket adds to the depth, as a signed byte; a quote adds nothing.
STEPS = bytes.maketrans(b'[{]}"', b"\1\1\xff\xff\0")


class Bounds(Protocol):
    """How large a JSON body may be; the settings have these."""

    @property
    def max_nesting(self) -> int:
        """The most objects and lists around any value."""

    @property
    def max_json_containers(self) -> int:
        """The most objects and lists."""

    @property
    def max_json_values(self) -> int:
        """The most values, where a name of an object counts as three more."""


def parse(body: bytes | bytearray | memoryview, bounds: Bounds) -> dict[str, Any]:
    """Read a JSON object.

    Lists, objects, values and names are counted by their brackets, commas and colons, and those inside of strings count
    as well: it is a bound and no grammar.

    Args:
        body: UTF-8 text.
        bounds: How large it may be.

    Raises:
        InvalidInputError: It is no JSON object, nested deeper, or holds more.
    """
    if isinstance(body, memoryview):
        body = bytes(body)
    _check(body, bounds)
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise InvalidInputError(f"the body is not JSON, see {where}; send one JSON object") from None
    if not isinstance(fields, dict):
        raise InvalidInputError(f"the body is {shown(fields)}; send one JSON object")
    return fields


def depth(body: bytes | bytearray) -> int:
    """Return how deep brackets outside of strings are nested: the highest that their running count gets."""
    deepest = level = quotes = 0
    rest = b""
    for start in range(0, len(body), PIECE):
        piece = rest + body[start : start + PIECE]
        # A backslash that escapes what the next piece begins with goes there.
        rest = b"\\" * ((len(piece) - len(piece.rstrip(b"\\"))) % 2)
        piece = piece[: len(piece) - len(rest)].replace(b"\\\\", b"").replace(b'\\"', b"")
        steps = np.frombuffer(piece.translate(STEPS, OTHERS), np.int8)
        opened = quotes + (steps == 0).cumsum(dtype=np.int32)
        levels = level + np.where(opened % 2, 0, steps).cumsum(dtype=np.int32)
        if len(steps):
            deepest, level, quotes = max(deepest, int(levels.max())), int(levels[-1]), int(opened[-1])
    return deepest


def _check(body: bytes | bytearray, bounds: Bounds) -> None:
    containers = body.count(b"[") + body.count(b"{")
    values = body.count(b",") + 1 + NAME * body.count(b":")
    if containers > bounds.max_json_containers:
        raise InvalidInputError(
            f"the body has {containers} lists and objects, the most is {bounds.max_json_containers}; "
            "send fewer rows, or the binary tensor extension"
        )
    if values > bounds.max_json_values:
        raise InvalidInputError(
            f"the body has {values} values, counting a name as {NAME}, the most is {bounds.max_json_values}; "
            "send fewer rows, or the binary tensor extension"
        )
    # Most bodies have fewer brackets than may be nested, and are done with these counts.
    if containers > bounds.max_nesting and depth(body) > bounds.max_nesting:
        raise InvalidInputError(
            f"the body is nested deeper than {bounds.max_nesting}; send values flat or nested like their shape"
        )
