"""Data on disk between the stages: numpy arrays beside one JSON file that says what a row is."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from modelpackage import Tensor, canonical_json

SPLITS = ("train", "validation", "test")


class Rows(BaseModel):
    """What a row is.

    Attributes:
        kind: A row of a table or a picture.
        shape: Dimensions of one row.
        labels: Names of the classes; a target is an index into them.
        fields: Names of the columns of a table.
        minimum: Smallest meaningful value, for pictures.
        maximum: Largest meaningful value, for pictures.
        digest: SHA-256 of the raw snapshot: the version of the data.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["tabular", "image"]
    shape: tuple[int, ...]
    labels: tuple[str, ...]
    fields: tuple[str, ...] | None = None
    minimum: float | None = None
    maximum: float | None = None
    digest: str = ""

    def tensor(self) -> Tensor:
        """Return the model's input tensor: what clients send is a raw row."""
        return Tensor(
            name="image" if self.kind == "image" else "row",
            datatype="FP32",
            shape=self.shape,
            fields=self.fields,
            minimum=self.minimum,
            maximum=self.maximum,
        )

    def save(self, directory: Path) -> None:
        """Write ``rows.json``."""
        (directory / "rows.json").write_bytes(canonical_json(self.model_dump(mode="json")))

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Read ``rows.json``."""
        return cls.model_validate_json((directory / "rows.json").read_bytes())


class Scaling(BaseModel):
    """The preprocessing of numbers: ``(value - mean) * factor`` in float32, fitted on training rows.

    Attributes:
        mean: One number for pictures, one per column for tables.
        factor: Same length as ``mean``; the inverse of the standard deviation.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: tuple[float, ...]
    factor: tuple[float, ...]

    def arrays(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return mean and factor as float32: the very numbers that stand in the graph."""
        return np.asarray(self.mean, np.float32), np.asarray(self.factor, np.float32)

    def apply(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Scale rows of any shape that broadcasts with ``mean``, in the same float32 operations as the graph."""
        mean, factor = self.arrays()
        scaled: NDArray[np.float32] = (x.astype(np.float32) - mean) * factor
        return scaled


class Splits:
    """The directory that preprocessing writes and every later stage reads."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.rows = Rows.open(directory)
        self.scaling = Scaling.model_validate_json((directory / "scaling.json").read_bytes())

    def x(self, split: str) -> NDArray[np.float32]:
        """Return the raw rows of a split, memory-mapped, shape (rows, ...)."""
        array: NDArray[np.float32] = np.load(self.directory / split / "x.npy", mmap_mode="r", allow_pickle=False)
        return array

    def y(self, split: str) -> NDArray[np.int64]:
        """Return the targets of a split, shape (rows,)."""
        array: NDArray[np.int64] = np.load(self.directory / split / "y.npy", allow_pickle=False)
        return array

    def scaled(self, split: str) -> NDArray[np.float32]:
        """Return the rows of a split as the model's first layer sees them."""
        return self.scaling.apply(self.x(split))


def save_arrays(directory: Path, x: NDArray[Any], y: NDArray[Any]) -> None:
    """Write ``x.npy`` (float32) and ``y.npy`` (int64)."""
    directory.mkdir(parents=True, exist_ok=True)
    np.save(directory / "x.npy", np.ascontiguousarray(x, dtype=np.float32), allow_pickle=False)
    np.save(directory / "y.npy", np.ascontiguousarray(y, dtype=np.int64), allow_pickle=False)


def row_digests(x: NDArray[np.float32], y: NDArray[np.int64], labels: Sequence[str]) -> list[bytes]:
    """Return the SHA-256 of every row with its label's name, so that a renumbering of classes changes nothing."""
    flat = np.ascontiguousarray(x).reshape(len(x), -1)
    return [
        hashlib.sha256(row.tobytes() + labels[target].encode()).digest()
        for row, target in zip(flat, y.tolist(), strict=True)
    ]
