"""Columns as they stand in a file."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import DataError
from components.sources.columns import Column, format_of, read_columns


def column(*values: str | None) -> Column:
    return Column("x", pa.array(values, pa.string()), typed=False)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (("1", "2.5", "-3e4", None), "number"),
        (("1", "two"), "category"),
        (("01234", "12345"), "category"),
        (("0", "0.5", "-0.25"), "number"),
        (("true", "false"), "category"),
        ((None, None), "category"),
    ],
)
def test_numbers_are_told_from_codes_and_words(values, kind):
    assert column(*values).kind() == kind


@pytest.mark.parametrize(
    ("values", "doubt"),
    [
        (("1",) * 19 + ("unknown",), "19 of 20 values of 'x' are numbers, another is 'unknown'"),
        (("1,5", "2,25"), "2 of 2 values of 'x' are numbers with a decimal comma"),
        (("1", "2", "three"), None),
        (("01234", "12345"), None),
        (("1", "2"), None),
        ((None,), None),
    ],
)
def test_a_category_that_looks_like_numbers_is_doubted(values, doubt):
    assert column(*values).doubt() == doubt


@given(st.lists(st.sampled_from(["", "a", "b", "é", "10", "9"]), min_size=1))
def test_codes_lead_back_to_the_values(values):
    import numpy as np

    known, codes = column(*(value or None for value in values)).codes(np.arange(len(values)))
    assert [known[code] for code in codes] == values
    assert list(known) == sorted(set(values))


@pytest.mark.parametrize("text", ["", "NA", "n/a", "NaN", "null", "?", "None", "  "])
def test_what_people_write_for_nothing_is_missing(tmp_path, text):
    path = tmp_path / "x.csv"
    path.write_text(f"a,b\n1,{text}\n2,x\n")
    assert read_columns(path)[1].missing().tolist() == [True, False]


def test_quoted_values_may_hold_delimiters_and_line_breaks(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text('"the name",b\n"one, two","line\nbreak"\n')
    first, second = read_columns(path)
    assert (first.name, first.text[0].as_py(), second.text[0].as_py()) == ("the name", "one, two", "line\nbreak")


def test_the_format_of_a_folder_is_that_of_its_files(tmp_path):
    assert format_of(tmp_path) is None
    (tmp_path / "part-1.parquet").touch()
    assert format_of(tmp_path) == "parquet"


def test_a_folder_without_tables_is_named(tmp_path):
    with pytest.raises(DataError, match="holds no table"):
        read_columns(tmp_path, "csv")


def test_a_damaged_parquet_file_is_named(tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(DataError, match=r"x.parquet can't be read as Parquet"):
        read_columns(tmp_path / "x.parquet")
