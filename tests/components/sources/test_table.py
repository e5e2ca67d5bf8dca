"""Tables are read by what their columns hold, and what does not fit is named with its row."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from components.config import Data
from components.errors import DataError
from components.sources.table import read

ROWS = """\
id,age,town,zip,plan,churned
a1,30,Bern,01234,gold,yes
a2,,Basel,02345,silver,no
a3,41.5,,03456,gold,no
a4,NA,Bern,04567,"gold, new",yes
"""


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "churn.csv"
    path.write_text(ROWS)
    return path


def data(**changes) -> Data:
    return Data(**({"source": "churn.csv", "label": "churned"} | changes))


def test_a_column_with_one_word_among_numbers_is_mentioned_unless_somebody_said_so(tmp_path):
    path = tmp_path / "x.csv"
    lines = [f"{row or 'unknown'},{'ab'[row % 2]}" for row in range(40)]
    path.write_text("\n".join(["age,label", *lines]) + "\n")
    (finding,) = read(path, Data(source=str(path), label="label")).found
    assert "39 of 40 values of 'age' are numbers, another is 'unknown'; it was taken for a category" in finding.text
    assert read(path, Data(source=str(path), label="label", columns={"age": "category"})).found == ()


def test_columns_are_numbers_or_categories_by_what_they_hold(table):
    rows = read(table, data()).rows
    assert rows.numbers == ("age",)
    assert rows.categories == ("id", "town", "zip", "plan")
    assert rows.labels == ("no", "yes")
    assert set(rows.gaps) == {"age", "town"}


def test_values_arrive_as_they_stand_and_gaps_as_gaps(table):
    snapshot = read(table, data(drop=("id", "zip")))
    numbers = snapshot.arrays["numbers"]
    np.testing.assert_array_equal(numbers[:, 0], np.array([30, np.nan, 41.5, np.nan], np.float32))
    town, plan = ([snapshot.values[column][code] for code in snapshot.arrays["codes"][:, column]] for column in (0, 1))
    assert town == ["Bern", "Basel", "", "Bern"]
    assert plan == ["gold", "silver", "gold", "gold, new"]
    assert snapshot.y.tolist() == [1, 0, 0, 1]


def test_a_column_can_be_said_to_be_a_category(table):
    assert "age" in read(table, data(columns={"age": "category"})).rows.categories


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_delimiters_and_a_byte_order_mark_are_understood(tmp_path, table, delimiter):
    other = tmp_path / "other.csv"
    other.write_text(ROWS.replace('"gold, new"', "gold").replace(",", delimiter), encoding="utf-8-sig")
    table.write_text(ROWS.replace('"gold, new"', "gold"))
    assert read(other, data()).digest() == read(table, data()).digest()


def test_another_order_of_rows_columns_and_files_is_the_same_version(tmp_path, table):
    head, *lines = ROWS.splitlines()
    folder = tmp_path / "parts"
    folder.mkdir()
    (folder / "two.csv").write_text("\n".join([head, *lines[:1]]) + "\n")
    (folder / "one.csv").write_text("\n".join([head, *lines[:0:-1]]) + "\n")
    assert read(folder, data()).digest() == read(table, data()).digest()


def test_parquet_holds_the_same(tmp_path):
    content = {"size": [1, 2, None], "note": ["x", None, "y"], "ok": [True, False, True], "label": ["a", "b", "a"]}
    path = tmp_path / "some.parquet"
    pa.parquet.write_table(pa.table(content), path)
    snapshot = read(path, Data(source="x", label="label"))
    assert snapshot.rows.numbers == ("size",)
    assert snapshot.rows.categories == ("note", "ok")
    assert np.isnan(snapshot.arrays["numbers"][2, 0])


def test_labels_that_are_numbers_are_in_their_order(tmp_path):
    path = tmp_path / "n.csv"
    path.write_text("x,y\n" + "".join(f"{value},{value % 12}\n" for value in range(48)))
    assert read(path, Data(source="n", label="y")).rows.labels == tuple(map(str, range(12)))


def test_slices_are_values_or_quarters(table):
    slices = read(table, data(slices=("town", "age"), drop=("town",))).slices
    assert list(slices["town"]) == ["Bern", "Basel", "(missing)", "Bern"]
    assert list(slices["age"])[1] == "(missing)"
    assert slices["age"][0] != slices["age"][2]


def test_rows_without_a_label_are_set_aside_and_listed_up_to_a_share(tmp_path):
    path = tmp_path / "gaps.csv"
    path.write_text("x,y\n" + "".join(f"{value},{'' if value == 7 else value % 2}\n" for value in range(100)))
    snapshot = read(path, Data(source="x", label="y"))
    assert (len(snapshot), snapshot.read) == (99, 100)
    assert "1 of 100 rows have no 'y' and were set aside" in snapshot.found[0].text
    assert snapshot.found[0].examples == ("row 8",)
    with pytest.raises(DataError, match=r"1 of 100 rows have no 'y', data.set_aside=0.001 allows 0"):
        read(path, Data(source="x", label="y", set_aside=0.001))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"label": None}, "which column of churn.csv is learned"),
        ({"label": "Churned"}, "data.label names 'Churned', churn.csv has id, age"),
        ({"drop": ("idd",)}, "data.drop names 'idd'"),
        ({"slices": ("sex",)}, "data.slices names 'sex'"),
        ({"drop": ("churned",)}, "data.drop names the label"),
        ({"drop": ("id", "age", "town", "zip", "plan")}, "has no column to learn from"),
        ({"columns": {"town": "number"}}, "column 'town' is to hold numbers, row 1 holds 'Bern'"),
    ],
)
def test_what_does_not_fit_is_named(table, changes, told):
    with pytest.raises(DataError, match=told):
        read(table, data(**changes))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "needs a first line that names every column"),
        (b"a,b\n", "has columns and no rows"),
        (b"a,a\n1,2\n", "has two columns 'a'"),
        (b"a,b\n1,2\n1,2,3\n", "can't be read as CSV"),
        (b"a,\xff\n1,2\n", "is not UTF-8 text"),
        (b"a,b\n1,\xff\n", "can't be read as CSV|is not UTF-8"),
        (b"a,,b\n1,2,3\n", "needs a first line that names every column"),
    ],
)
def test_a_file_that_is_no_table_is_named(tmp_path, content, told):
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=told):
        read(path, Data(source="x", label="b"))


def test_files_of_other_columns_are_not_mixed(tmp_path):
    (tmp_path / "one.csv").write_text("a,b\n1,2\n")
    (tmp_path / "two.csv").write_text("a,c\n1,2\n")
    with pytest.raises(DataError, match=r"two.csv and one.csv differ in the columns b, c"):
        read(tmp_path, Data(source="x", label="b"))


def test_a_number_to_predict_is_no_class(tmp_path):
    path = tmp_path / "prices.csv"
    path.write_text("x,price\n" + "".join(f"1,{value / 7}\n" for value in range(100)))
    with pytest.raises(DataError, match="'price' has 100 different values in 100 rows"):
        read(path, Data(source="x", label="price"))


def test_dates_are_refused_with_a_way_out(tmp_path):
    path = tmp_path / "d.parquet"
    pa.parquet.write_table(pa.table({"day": pa.array([1, 2], pa.date32()), "y": ["a", "b"]}), path)
    with pytest.raises(DataError, match="column 'day' holds date32"):
        read(path, Data(source="x", label="y"))


def test_infinite_numbers_count_as_missing(tmp_path):
    path = tmp_path / "inf.csv"
    path.write_text("x,y\ninf,a\n1e300,b\n3,a\n")
    assert np.isnan(read(path, Data(source="x", label="y")).arrays["numbers"][:, 0]).tolist() == [True, True, False]
