"""The snapshot: every usable row of a source, with the digest that is the version of the data, whatever their order."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from components.dataset import Rows, chunks

#: What stands in ``Snapshot.home`` where a source has no split of its own.
FREE = -1
MOST_EXAMPLES = 20


class Finding(BaseModel):
    """Something that a person should know about the data.

    Attributes:
        severity: ``warning`` may cost accuracy, ``note`` is for information.
        text: One sentence with the number of rows and the way out.
        examples: Some of the rows, files or values that it is about.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    severity: Literal["warning", "note"]
    text: str
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The rows of a source.

    Attributes:
        rows: What a row is.
        arrays: ``x`` for pictures, ``numbers`` and ``codes`` for tables, as :class:`components.dataset.Part` has them;
            memory-mapped where they are large.
        y: Targets, shape (rows,).
        digests: SHA-256 of each row's raw content, 32 bytes each.
        home: Index into ``SPLITS`` where the source comes with a split, else ``FREE``; shape (rows,), int8.
        values: The values of each column of text.
        slices: The name of the slice that each row is in, by column.
        found: What reading it brought up.
        read: How many rows the source has, unusable ones included.
    """

    rows: Rows
    arrays: Mapping[str, NDArray[Any]]
    y: NDArray[np.int64]
    digests: Sequence[bytes]
    home: NDArray[np.int8]
    values: tuple[tuple[str, ...], ...] = ()
    slices: Mapping[str, NDArray[np.object_]] = field(default_factory=dict)
    found: tuple[Finding, ...] = ()
    read: int

    def __len__(self) -> int:
        return len(self.y)

    def order(self) -> NDArray[np.int64]:
        """Return the rows in the order of their digests, which is the same wherever the rows came from."""
        labelled = self._labelled()
        return np.array(sorted(range(len(labelled)), key=labelled.__getitem__), dtype=np.int64)

    def digest(self) -> str:
        """Return the version of the data: SHA-256 over the rows' digests in ascending order."""
        return hashlib.sha256(b"".join(sorted(self._labelled()))).hexdigest()

    def _labelled(self) -> list[bytes]:
        """Return each row's digest with its label's name, so that a renumbering of classes changes nothing."""
        names = [label.encode() for label in self.rows.labels]
        return [
            hashlib.sha256(digest + bytes([home + 1]) + names[target]).digest()
            for digest, home, target in zip(self.digests, self.home.tolist(), self.y.tolist(), strict=True)
        ]


def row_digests(x: NDArray[Any]) -> list[bytes]:
    """Return the SHA-256 of every row's bytes."""
    return [hashlib.sha256(row.tobytes()).digest() for row in x]


def twins(arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.int64]:
    """Number the rows so that rows of equal content, and only these, have one number.

    A sum of the bytes tells nearly all rows apart; only the rest is hashed, so that pictures are not.

    Args:
        arrays: Each of shape (rows, ...).

    Returns:
        Shape (rows,): the index of the first row with this content.
    """
    sums = [_sums(array) for array in arrays.values()]
    keys: dict[tuple[int, ...], list[int]] = {}
    for row, key in enumerate(zip(*(column.tolist() for column in sums), strict=True)):
        keys.setdefault(key, []).append(row)
    first = np.arange(len(sums[0]), dtype=np.int64)
    for rows in keys.values():
        if len(rows) > 1:
            seen: dict[bytes, int] = {}
            for row in rows:
                content = b"".join(hashlib.sha256(array[row].tobytes()).digest() for array in arrays.values())
                first[row] = seen.setdefault(content, row)
    return first


def _sums(array: NDArray[Any]) -> NDArray[np.uint64]:
    total = np.empty(len(array), dtype=np.uint64)
    for start, part in chunks(array):
        raw = np.ascontiguousarray(part).reshape(len(part), -1).view(np.uint8)
        wide = raw.view(np.uint64) if raw.shape[1] % 8 == 0 else raw
        total[start : start + len(part)] = wide.sum(axis=1, dtype=np.uint64)
    return total
