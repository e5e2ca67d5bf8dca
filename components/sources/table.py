"""Tables: CSV and Parquet, one file or a folder of them; columns become numbers or categories by what they hold."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from components.config import Data
from components.dataset import Rows
from components.errors import DataError
from components.snapshot import FREE, MOST_EXAMPLES, Finding, Snapshot
from components.sources.columns import Column, read_columns

SLICES_OF_NUMBERS = 4
#: Beyond this many classes, and more than one class in so many rows, the label is a number to predict, not a class.
MOST_CLASSES, FEWEST_ROWS_PER_CLASS = 50, 5


def read(place: Path, data: Data) -> Snapshot:
    """Read a table.

    Args:
        place: A CSV or Parquet file, or a folder of them.
        data: Which column is learned, which are left out, and which are not what they look like.

    Raises:
        DataError: The file can't be read, or a column is missing or not what was said.
    """
    columns = {column.name: column for column in read_columns(place, data.format)}
    _need(place, columns, data)
    label = columns[str(data.label)]
    labelled = np.flatnonzero(~label.missing())
    used = [column for name, column in columns.items() if name != data.label and name not in data.drop]
    found = [*_unlabelled(label, labelled, data.set_aside), *_doubts(used, data.columns)]
    kinds = {column.name: data.columns.get(column.name) or column.kind() for column in used}
    numbers = [column for column in used if kinds[column.name] == "number"]
    texts = [column for column in used if kinds[column.name] == "category"]
    if not used:
        raise DataError(f"{place} has no column to learn from besides the label {data.label!r}; see data.drop")
    labels, y = _labels(label, labelled)
    arrays: dict[str, NDArray[np.generic]] = {}
    values: tuple[tuple[str, ...], ...] = ()
    if numbers:
        arrays["numbers"] = np.stack([column.numbers()[labelled] for column in numbers], axis=1)
    if texts:
        coded = [column.codes(labelled) for column in texts]
        values = tuple(known for known, _ in coded)
        arrays["codes"] = np.stack([codes for _, codes in coded], axis=1)
    gaps = [column.name for column in numbers if np.isnan(column.numbers()[labelled]).any()]
    gaps += [column.name for column, known in zip(texts, values, strict=True) if "" in known]
    rows = Rows(
        kind="tabular",
        labels=labels,
        numbers=tuple(column.name for column in numbers),
        categories=tuple(column.name for column in texts),
        gaps=tuple(gaps),
    )
    return Snapshot(
        rows=rows,
        arrays=arrays,
        y=y,
        digests=_digests(list(columns.values()), labelled),
        home=np.full(len(y), FREE, dtype=np.int8),
        values=values,
        slices={name: _slices(columns[name])[labelled] for name in data.slices},
        found=tuple(found),
        read=len(label),
    )


def _need(place: Path, columns: Mapping[str, Column], data: Data) -> None:
    """Refuse names that no column has."""
    if data.label is None:
        raise DataError(
            f"which column of {place.name} is learned? set data.label to one of {', '.join(columns)}"
        )  # fmt: skip
    asked = {
        "data.label": [data.label], "data.drop": data.drop, "data.columns": data.columns, "data.slices": data.slices
    }  # fmt: skip
    for setting, names in asked.items():
        for name in names:
            if name not in columns:
                raise DataError(f"{setting} names {name!r}, {place.name} has {', '.join(columns)}")
    if data.label in data.drop:
        raise DataError(f"data.drop names the label {data.label!r}; leave it there")


def _unlabelled(label: Column, labelled: NDArray[np.int64], largest_share: float) -> list[Finding]:
    missing = len(label) - len(labelled)
    if missing > len(label) * largest_share:
        raise DataError(
            f"{missing} of {len(label)} rows have no {label.name!r}, data.set_aside={largest_share:g} allows "
            f"{int(len(label) * largest_share)}; label them, remove them, or allow more"
        )
    if not missing:
        return []
    examples = tuple(f"row {row + 1}" for row in np.flatnonzero(label.missing())[:MOST_EXAMPLES])
    text = f"{missing} of {len(label)} rows have no {label.name!r} and were set aside"
    return [Finding(severity="warning", text=text, examples=examples)]


def _doubts(columns: Sequence[Column], settled: Mapping[str, str]) -> list[Finding]:
    """Mention columns that became categories for the sake of a few values, where nobody said that they are."""
    doubts = [column.doubt() for column in columns if column.name not in settled]
    advice = "it was taken for a category; correct the file, or say in data.columns that it is one"
    return [Finding(severity="warning", text=f"{doubt}; {advice}") for doubt in doubts if doubt]


def _labels(label: Column, labelled: NDArray[np.int64]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return the classes, numbers in numeric order, and each row's class."""
    known, codes = label.codes(labelled)
    if len(known) > MOST_CLASSES and len(known) * FEWEST_ROWS_PER_CLASS > len(labelled):
        raise DataError(
            f"{label.name!r} has {len(known)} different values in {len(labelled)} rows, like {known[0]!r}; "
            "a classifier needs few classes with many rows each: bin the values, or choose another data.label"
        )
    order = sorted(range(len(known)), key=lambda index: (_number(known[index]), known[index]))
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    return tuple(known[index] for index in order), place[codes]


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return math.inf
    return value if math.isfinite(value) else math.inf


def _slices(column: Column) -> NDArray[np.object_]:
    """Return the slice of every row: its value, or the quarter of the numbers that it is in."""
    if column.kind() == "category":
        known, codes = column.codes(np.arange(len(column)))
        return np.array([value or "(missing)" for value in known], dtype=object)[codes]
    values = column.numbers().astype(np.float64)
    cuts = np.unique(np.nanquantile(values, np.linspace(0, 1, SLICES_OF_NUMBERS + 1)[1:-1]))
    edges = [f"{cut:g}" for cut in cuts]
    names = [
        f"up to {edges[0]}",
        *(f"{a} to {b}" for a, b in pairwise(edges)),
        f"above {edges[-1]}",
    ]
    found = np.array([*names, "(missing)"], dtype=object)[np.searchsorted(cuts, values, side="left")]
    found[np.isnan(values)] = "(missing)"
    return found


def _digests(columns: Sequence[Column], chosen: NDArray[np.int64]) -> list[bytes]:
    """Return the SHA-256 of every row, over all columns as text, in the order of their names."""
    ordered = sorted(columns, key=lambda column: column.name)
    texts = [pc.take(column.text, pa.array(chosen)).to_pylist() for column in ordered]
    names = json.dumps([column.name for column in ordered]).encode()
    return [
        hashlib.sha256(names + json.dumps(row, ensure_ascii=False).encode()).digest()
        for row in zip(*texts, strict=True)
    ]
