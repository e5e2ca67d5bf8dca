"""The idx files that MNIST comes in (http://yann.lecun.com/exdb/mnist): training and test rows, plain or gzipped."""

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.dataset import SPLITS, Rows
from components.errors import DataError
from components.snapshot import FREE, Snapshot, row_digests

IMAGES, LABELS = "{}-images-idx3-ubyte", "{}-labels-idx1-ubyte"
#: Training rows are dealt into training and validation; the test rows stay the test rows.
PARTS = {"train": FREE, "t10k": SPLITS.index("test")}
MEMBERS = tuple(f"{name.format(part)}.gz" for part in PARTS for name in (IMAGES, LABELS))
UNSIGNED_BYTES = 0x08
PICTURE_DIMENSIONS = 3


def read(place: Path) -> Snapshot:
    """Read the four files, wherever below the folder they are.

    Args:
        place: The folder.

    Raises:
        DataError: A file is missing, damaged, or does not fit its partner.
    """
    found = {part: (_array(place, IMAGES.format(part)), _array(place, LABELS.format(part))) for part in PARTS}
    for part, (x, y) in found.items():
        if (
            x.ndim != PICTURE_DIMENSIONS
            or y.ndim != 1
            or len(x) != len(y)
            or x.shape[1:] != found["train"][0].shape[1:]
        ):
            raise DataError(
                f"{place}: {part} has pictures of shape {list(x.shape)} and labels of shape {list(y.shape)}; "
                "each picture needs one label and all pictures one size"
            )
    x = np.concatenate([pictures for pictures, _ in found.values()])
    labels, y = np.unique(np.concatenate([targets for _, targets in found.values()]), return_inverse=True)
    home = np.concatenate([np.full(len(found[part][1]), split, np.int8) for part, split in PARTS.items()])
    rows = Rows(
        kind="image", labels=tuple(map(str, labels)), shape=x.shape[1:], datatype="UINT8", minimum=0.0, maximum=255.0
    )  # fmt: skip
    return Snapshot(rows=rows, arrays={"x": x}, y=y.astype(np.int64), digests=row_digests(x), home=home, read=len(y))


def _array(place: Path, name: str) -> NDArray[Any]:
    paths = sorted([*place.rglob(name), *place.rglob(f"{name}.gz")])
    if not paths:
        raise DataError(f"{place} holds no {name} or {name}.gz; data.format=idx needs the four files of MNIST")
    raw = _content(paths[0])
    header = struct.unpack(">HBB", raw[:4]) if len(raw) >= 4 else (1, 0, 0)  # noqa: PLR2004 (the magic number)
    zero, kind, dimensions = header
    if zero or kind != UNSIGNED_BYTES or len(raw) < 4 + 4 * dimensions:
        raise DataError(f"{paths[0]} is not an idx file of unsigned bytes; fetch it again")
    shape = struct.unpack(f">{dimensions}I", raw[4 : 4 + 4 * dimensions])
    values = np.frombuffer(raw, np.uint8, offset=4 + 4 * dimensions)
    if math.prod(shape) != values.size:
        raise DataError(f"{paths[0]} holds {values.size} values, its header says {list(shape)}; fetch it again")
    return values.reshape(shape)


def _content(path: Path) -> bytes:
    raw = path.read_bytes()
    if not raw.startswith(b"\x1f\x8b"):
        return raw
    try:
        return gzip.decompress(raw)
    except (EOFError, OSError, zlib.error):
        raise DataError(f"{path} is a damaged gzip file; fetch it again") from None
