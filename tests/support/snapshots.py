"""Snapshots built in memory, for tests of what judges and shows the rows of a source."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.dataset import Rows
from components.snapshot import FREE, Finding, Snapshot, row_digests

LABELS = ("cat", "dog")


def table(
    y: Sequence[int],
    *,
    numbers: Mapping[str, Sequence[float]] | None = None,
    texts: Mapping[str, Sequence[str]] | None = None,
    labels: tuple[str, ...] = LABELS,
    home: Sequence[int] | None = None,
    read: int | None = None,
    found: tuple[Finding, ...] = (),
) -> Snapshot:
    """Return a table; with neither numbers nor texts, it has one column in which every row is different."""
    if not numbers and not texts:
        numbers = {"size": [row / 7 for row in range(len(y))]}
    numbers, texts = numbers or {}, texts or {}
    arrays: dict[str, NDArray[Any]] = {}
    values: list[tuple[str, ...]] = []
    if numbers:
        arrays["numbers"] = np.array(list(numbers.values()), np.float32).reshape(len(numbers), -1).T.copy()
    if texts:
        known = [np.unique(np.array(column, dtype=object), return_inverse=True) for column in texts.values()]
        values = [tuple(different.tolist()) for different, _ in known]
        arrays["codes"] = np.stack([codes for _, codes in known], axis=1).astype(np.int32)
    columns = zip(*numbers.values(), *texts.values(), strict=True)
    rows = Rows(kind="tabular", labels=labels, numbers=tuple(numbers), categories=tuple(texts))
    return Snapshot(
        rows=rows,
        arrays=arrays,
        y=np.array(y, np.int64),
        digests=row_digests(np.array([f"{row}".ljust(400) for row in columns])) if len(y) else [],
        home=_home(home, len(y)),
        values=tuple(values),
        found=found,
        read=read or len(y),
    )


def pictures(
    x: NDArray[Any],
    y: Sequence[int],
    *,
    labels: tuple[str, ...] = LABELS,
    home: Sequence[int] | None = None,
    maximum: float = 255.0,
) -> Snapshot:
    """Return pictures of shape (rows, height, width[, 3])."""
    rows = Rows(
        kind="image",
        labels=labels,
        shape=x.shape[1:],
        datatype="UINT8" if x.dtype == np.uint8 else "FP32",
        minimum=0.0,
        maximum=maximum,
    )
    targets = np.array(y, np.int64)
    return Snapshot(
        rows=rows, arrays={"x": x}, y=targets, digests=row_digests(x), home=_home(home, len(y)), read=len(y)
    )  # fmt: skip


def noise(*shape: int, seed: int = 0) -> NDArray[np.uint8]:
    """Return pictures of noise, all different."""
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def _home(home: Sequence[int] | None, rows: int) -> NDArray[np.int8]:
    return np.full(rows, FREE, np.int8) if home is None else np.array(home, np.int8)
