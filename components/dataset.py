"""Data on disk between the stages: numpy arrays beside JSON files that say what a row is and how it is prepared."""

import json
import math
import mmap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from components.encoding import Encoding
from modelpackage import Picture, Tensor, canonical_json
from modelpackage.signature import Datatype

SPLITS = ("train", "validation", "test")
#: A batch of predictions holds at most so many input values, so that memory stays flat whatever a row is.
BATCH_VALUES = 4_000_000
MOST_BATCH_ROWS = 1024
CHUNK_BYTES = 16_000_000

#: A batch as clients send it: tensor name to array of shape (rows, ...); text as arrays of str objects.
Inputs = dict[str, NDArray[Any]]
Chosen = slice | NDArray[np.int64]


class Rows(BaseModel):
    """What a row is.

    Attributes:
        kind: A row of a table or a picture.
        labels: Names of the classes; a target is an index into them.
        shape: Dimensions of a picture: (height, width) or (height, width, 3).
        datatype: Of the values of a picture.
        minimum: Smallest meaningful value of a picture.
        maximum: Largest meaningful value of a picture.
        numbers: Names of the columns of a table that hold numbers.
        categories: Names of the columns of a table that hold text.
        gaps: Columns in which a value may be missing.
        picture: How encoded pictures become arrays, where the source holds such.
        digest: SHA-256 of the snapshot: the version of the data.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["tabular", "image"]
    labels: tuple[str, ...]
    shape: tuple[int, ...] = ()
    datatype: Literal["FP32", "UINT8"] = "FP32"
    minimum: float | None = None
    maximum: float | None = None
    numbers: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()
    picture: Picture | None = None
    digest: str = ""

    def tensors(self) -> tuple[Tensor, ...]:
        """Return the model's inputs: what clients send are raw rows."""
        if self.kind == "image":
            low, high = self.minimum, self.maximum
            return (Tensor(name="image", datatype=self.datatype, shape=self.shape, minimum=low, maximum=high),)
        tensors: tuple[tuple[str, Datatype, tuple[str, ...]], ...] = (
            ("numbers", "FP32", self.numbers),
            ("categories", "BYTES", self.categories),
        )
        return tuple(
            Tensor(name=name, datatype=datatype, shape=(len(fields),), fields=fields, missing=self._may_miss(fields))
            for name, datatype, fields in tensors
            if fields
        )

    def _may_miss(self, fields: Sequence[str]) -> Literal[True] | None:
        return True if set(fields) & set(self.gaps) else None

    def save(self, directory: Path) -> None:
        """Write ``rows.json``."""
        (directory / "rows.json").write_bytes(canonical_json(self.model_dump(mode="json", exclude_none=True)))

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Read ``rows.json``."""
        return cls.model_validate_json((directory / "rows.json").read_bytes())


class Scaling(BaseModel):
    """The preprocessing of pictures: ``(value - mean) * factor`` in float32, fitted on training rows.

    Attributes:
        mean: One number for grey pictures, one per channel for colours.
        factor: Same length as ``mean``; the inverse of the standard deviation.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: tuple[float, ...]
    factor: tuple[float, ...]

    def arrays(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return mean and factor as float32: the very numbers that stand in the graph."""
        return np.asarray(self.mean, np.float32), np.asarray(self.factor, np.float32)

    def apply(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Scale pictures of shape (rows, height, width[, 3]) in the same float32 operations as the graph."""
        mean, factor = self.arrays()
        scaled: NDArray[np.float32] = (x.astype(np.float32) - mean) * factor
        return scaled


class Part:
    """One folder of rows, memory-mapped: ``x.npy`` for pictures, ``numbers.npy`` and ``codes.npy`` for tables.

    Text is stored as codes: indices into the values of its column, which ``values.json`` of ``values`` lists.
    """

    def __init__(self, directory: Path, rows: Rows, values: Path) -> None:
        self.directory = directory
        self.rows = rows
        self._values = values

    def __len__(self) -> int:
        return len(self.y)

    @property
    def y(self) -> NDArray[np.int64]:
        """The targets, shape (rows,)."""
        return self._array("y")

    @property
    def x(self) -> NDArray[Any]:
        """The pictures, shape (rows, height, width[, 3])."""
        return self._array("x")

    @property
    def numbers(self) -> NDArray[np.float32]:
        """The numbers of a table, shape (rows, columns); NaN where a value is missing."""
        return self._array("numbers")

    @property
    def codes(self) -> NDArray[np.int32]:
        """The text of a table as codes, shape (rows, columns)."""
        return self._array("codes")

    def text(self, chosen: Chosen = slice(None)) -> NDArray[np.object_]:
        """Return the text of a table, shape (rows, columns), ``""`` where a value is missing."""
        known = json.loads(self._values.read_bytes())
        codes = self.codes[chosen]
        columns = [np.array(values, dtype=object)[codes[:, index]] for index, values in enumerate(known)]
        return np.stack(columns, axis=1)

    def inputs(self, chosen: Chosen = slice(None)) -> Inputs:
        """Return rows as clients send them, by tensor name."""
        if self.rows.kind == "image":
            return {"image": np.array(self.x[chosen])}
        found: Inputs = {"numbers": np.array(self.numbers[chosen])} if self.rows.numbers else {}
        return found | ({"categories": self.text(chosen)} if self.rows.categories else {})

    def batches(self) -> Iterator[Inputs]:
        """Yield all rows in order, so few at a time that memory stays flat."""
        for chosen in self.spans():
            yield self.inputs(chosen)

    def spans(self) -> Iterator[slice]:
        """Yield which rows each of the batches has."""
        width = (
            math.prod(self.rows.shape) if self.rows.kind == "image" else len(self.rows.numbers + self.rows.categories)
        )
        size = max(1, min(MOST_BATCH_ROWS, BATCH_VALUES // max(1, width)))
        for start in range(0, len(self), size):
            yield slice(start, start + size)

    def _array(self, name: str) -> NDArray[Any]:
        array: NDArray[Any] = np.load(self.directory / f"{name}.npy", mmap_mode="r", allow_pickle=False)
        return array


class Splits:
    """The directory that preprocessing writes and every later stage reads."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.rows = Rows.open(directory)
        raw = (directory / "preprocessing.json").read_bytes()
        shape = Scaling if self.rows.kind == "image" else Encoding
        self.preprocessing: Scaling | Encoding = shape.model_validate_json(raw)

    def part(self, split: str) -> Part:
        """Return the rows of a split."""
        return Part(self.directory / split, self.rows, self.directory / "values.json")

    def features(self, split: str) -> NDArray[np.float32]:
        """Return a split as a model of tables sees it, all in memory: prepared, shape (rows, features)."""
        return self.prepare(self.part(split).inputs())

    def prepare(self, inputs: Inputs) -> NDArray[np.float32]:
        """Prepare a batch as clients send it, in the same float32 operations as the graph, shape (rows, features)."""
        if isinstance(self.preprocessing, Encoding):
            return self.preprocessing.apply(inputs)
        scaled = self.preprocessing.apply(inputs["image"])
        return np.ascontiguousarray(scaled.reshape(len(scaled), -1))


def chunks(array: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield an array a few megabytes at a time, each with its first row; what was read leaves memory again."""
    size = max(1, CHUNK_BYTES // max(1, array[:1].nbytes))
    for start in range(0, len(array), size):
        yield start, array[start : start + size]
        release(array)


def release(array: NDArray[Any]) -> None:
    """Let the pages of a memory-mapped array leave this process; its file keeps them."""
    base: Any = array
    while base is not None and not isinstance(base, mmap.mmap):
        base = getattr(base, "base", None)
    if base is not None:
        base.madvise(mmap.MADV_DONTNEED)


def save_rows(path: Path, array: NDArray[Any], chosen: NDArray[np.int64]) -> None:
    """Write chosen rows in the given order, a few megabytes at a time."""
    size = max(1, CHUNK_BYTES // max(1, array[:1].nbytes))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        header = {"descr": array.dtype.str, "fortran_order": False, "shape": (len(chosen), *array.shape[1:])}
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, len(chosen), size):
            file.write(np.ascontiguousarray(array[chosen[start : start + size]]).tobytes())
            release(array)


def save_arrays(directory: Path, **arrays: NDArray[Any]) -> None:
    """Write each array to ``NAME.npy``."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        np.save(directory / f"{name}.npy", np.ascontiguousarray(array), allow_pickle=False)
