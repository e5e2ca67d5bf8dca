"""Ingest: a source in, an immutable snapshot of its raw rows and their digest out."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.config import Data
from components.dataset import Rows, row_digests, save_arrays
from components.errors import ConfigError

Source = Callable[[], tuple[NDArray[Any], NDArray[Any], Rows]]


def ingest(data: Data, directory: Path) -> str:
    """Write the snapshot: ``x.npy``, ``y.npy`` and ``rows.json``.

    Rows are stored in the order of their digests, so the same rows give the same bytes and the same digest in
    whatever order the source hands them out.

    Args:
        data: The source.
        directory: Created.

    Returns:
        The digest of the snapshot, 64 hexadecimal digits.

    Raises:
        ConfigError: There is no such source.
    """
    source = SOURCES.get(data.source)
    if source is None:
        raise ConfigError(f"data.source={data.source} is not known; choose one of {', '.join(SOURCES)}")
    x, y, rows = source()
    x, y = x.astype(np.float32), y.astype(np.int64)
    digests = row_digests(x, y, rows.labels)
    order = sorted(range(len(digests)), key=digests.__getitem__)
    digest = hashlib.sha256(b"".join(digests[index] for index in order)).hexdigest()
    save_arrays(directory, x[order], y[order])
    rows.model_copy(update={"digest": digest}).save(directory)
    return digest


def _digits() -> tuple[NDArray[Any], NDArray[Any], Rows]:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    labels = tuple(str(name) for name in bunch.target_names)
    rows = Rows(kind="image", shape=(8, 8), labels=labels, minimum=0.0, maximum=16.0)
    return bunch.images, bunch.target, rows


SOURCES: dict[str, Source] = {"builtin://digits": _digits}
