"""Columns of a table as they stand in its file: text, what of it is missing, and whether it is numbers."""

import csv
import io
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from components.errors import DataError

#: What people write where a value is missing.
MISSING = ("", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None", "<NA>", "#N/A", "?")
DELIMITERS = ",;\t|"
SUFFIXES = {".csv": "csv", ".tsv": "csv", ".txt": "csv", ".parquet": "parquet", ".pq": "parquet"}
SNIFFED_BYTES = 65_536
#: 00123 is a code and not the number 123.
CODE = r"^[+-]?0[0-9]"
NUMBER = r"^[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?$"
DECIMAL_COMMA = r"^[+-]?[0-9]+,[0-9]+$"
#: From this share of numbers on, what is none is an exception that deserves a word.
NEARLY_ALL = 0.9


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: Its name.
        text: Its values as text, trimmed; null where one is missing.
        typed: Whether the file itself says that these are numbers.
    """

    name: str
    text: pa.Array
    typed: bool

    def __len__(self) -> int:
        return len(self.text)

    def missing(self) -> NDArray[np.bool_]:
        """Return where a value is missing, shape (rows,)."""
        found: NDArray[np.bool_] = self.text.is_null().to_numpy(zero_copy_only=False)
        return found

    def kind(self) -> Literal["number", "category"]:
        """Tell what the values look like: numbers, if every one of them is and none is a code like 00123."""
        if self.typed:
            return "number"
        present = self.text.drop_null()
        if not len(present) or self._as_numbers is None or pc.any(pc.match_substring_regex(present, CODE)).as_py():
            return "category"
        return "number"

    def doubt(self) -> str | None:
        """Say why a category looks like a column of numbers; nothing where it does not."""
        present = self.text.drop_null()
        if self.kind() == "number" or not len(present) or self._as_numbers is not None:
            return None
        for pattern, what in ((NUMBER, "are numbers"), (DECIMAL_COMMA, "are numbers with a decimal comma")):
            fits = pc.match_substring_regex(present, pattern).to_numpy(zero_copy_only=False)
            if fits.mean() >= NEARLY_ALL:
                others = "" if fits.all() else f", another is {present[int(fits.argmin())].as_py()[:40]!r}"
                return f"{int(fits.sum())} of {len(fits)} values of {self.name!r} {what}{others}"
        return None

    def numbers(self) -> NDArray[np.float32]:
        """Return the values as numbers, NaN where one is missing or beyond what float32 holds.

        Raises:
            DataError: A value is no number.
        """
        if self._as_numbers is None:
            row = next(row for row, value in enumerate(self.text) if value.is_valid and _float(value.as_py()) is None)
            raise DataError(
                f"column {self.name!r} is to hold numbers, row {row + 1} holds {self.text[row].as_py()[:40]!r}; "
                f"correct the row, or set data.columns to {{{self.name}: category}}"
            )
        return self._as_numbers

    def codes(self, chosen: NDArray[np.int64]) -> tuple[tuple[str, ...], NDArray[np.int32]]:
        """Return the different values of some rows, ascending, ``""`` for a missing one, and each row's index."""
        taken = pc.fill_null(pc.take(self.text, pa.array(chosen)), "")
        encoded = taken.dictionary_encode()
        values = np.array(encoded.dictionary.to_pylist(), dtype=object)
        order = np.array(sorted(range(len(values)), key=values.__getitem__), dtype=np.int64)
        place = np.empty(len(order), dtype=np.int32)
        place[order] = np.arange(len(order), dtype=np.int32)
        return tuple(values[order].tolist()), place[encoded.indices.to_numpy(zero_copy_only=False)]

    @cached_property
    def _as_numbers(self) -> NDArray[np.float32] | None:
        try:
            wide = pc.cast(self.text, pa.float64()).to_numpy(zero_copy_only=False).astype(np.float64)
        except pa.ArrowInvalid:
            return None
        with np.errstate(over="ignore"):
            narrow = wide.astype(np.float32)
        narrow[~np.isfinite(narrow)] = np.nan
        found: NDArray[np.float32] = narrow
        return found


def format_of(place: Path) -> str | None:
    """Return ``csv`` or ``parquet`` by the name of a file, or of the files in a folder."""
    names = [place] if place.is_file() else sorted(place.rglob("*"))
    return next((SUFFIXES[path.suffix.lower()] for path in names if path.suffix.lower() in SUFFIXES), None)


def read_columns(place: Path, file_format: str | None = None) -> list[Column]:
    """Read a file, or all files of a folder, which must have the same columns.

    Raises:
        DataError: No such file, or it can't be read.
    """
    chosen = file_format or format_of(place)
    suffixes = {suffix for suffix, name in SUFFIXES.items() if name == chosen}
    paths = [place] if place.is_file() else sorted(p for p in place.rglob("*") if p.suffix.lower() in suffixes)
    if not paths:
        raise DataError(f"{place} holds no table; give a CSV or Parquet file, or a folder of them")
    tables = [_parquet(path) if chosen == "parquet" else _csv(path) for path in paths]
    for path, table in zip(paths, tables, strict=True):
        if set(table.column_names) != set(tables[0].column_names):
            other = sorted(set(table.column_names) ^ set(tables[0].column_names))
            raise DataError(f"{path.name} and {paths[0].name} differ in the columns {', '.join(other)}")
    names = tables[0].column_names
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{paths[0].name} has two columns {twice!r}; give each its own name")
    table = pa.concat_tables([table.select(names) for table in tables], promote_options="permissive")
    if not table.num_rows:
        raise DataError(f"{place} has columns and no rows")
    return [_column(name, table[name]) for name in names]


def _column(name: str, values: pa.ChunkedArray) -> Column:
    typed = pa.types.is_integer(values.type) or pa.types.is_floating(values.type) or pa.types.is_decimal(values.type)
    if pa.types.is_temporal(values.type) or pa.types.is_nested(values.type) or pa.types.is_binary(values.type):
        raise DataError(f"column {name!r} holds {values.type}; make numbers or text of it, or remove it")
    text = pc.utf8_trim_whitespace(values.cast(pa.string()).combine_chunks())
    return Column(name, pc.if_else(pc.is_in(text, pa.array(MISSING)), pa.scalar(None, pa.string()), text), typed)


def _parquet(path: Path) -> pa.Table:
    try:
        return pyarrow.parquet.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path} can't be read as Parquet: {_first_line(error)}") from None


def _csv(path: Path) -> pa.Table:
    with path.open("rb") as file:
        head = file.read(SNIFFED_BYTES)
    try:
        first = head.decode("utf-8-sig", errors="strict" if len(head) < SNIFFED_BYTES else "ignore").partition("\n")[0]
        delimiter = max(DELIMITERS, key=first.count)
        names = _header(path, delimiter)
        return pyarrow.csv.read_csv(
            io.BytesIO(path.read_bytes().removeprefix(b"\xef\xbb\xbf")),
            read_options=pyarrow.csv.ReadOptions(column_names=names, skip_rows=1),
            parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
        )
    except UnicodeDecodeError:
        raise DataError(f"{path} is not UTF-8 text; save it as UTF-8") from None
    except pa.ArrowInvalid as error:
        raise DataError(f"{path} can't be read as CSV: {_first_line(error)}") from None


def _header(path: Path, delimiter: str) -> list[str]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        names = [name.strip() for name in next(csv.reader(file, delimiter=delimiter), [])]
    if not names or not all(names):
        raise DataError(f"{path} needs a first line that names every column, it says {names}")
    return names


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200]


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
