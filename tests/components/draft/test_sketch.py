"""What is decided about data follows from what lies there."""

import struct
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
from PIL import Image

from components.draft.sketch import Sketch, sketch
from components.errors import ConfigError, DataError

ROWS = 120


def table(path: Path, rows: int = ROWS, **columns: list) -> Path:
    """Write a CSV file with a label of two even classes and a number beside the columns."""
    values = {"age": [20.5 + row % 31 for row in range(rows)], **columns, "label": ["no", "yes"] * (rows // 2)}
    lines = [",".join(values), *(",".join(map(str, row)) for row in zip(*values.values(), strict=True))]
    path.write_text("\n".join(lines))
    return path


def pictures(folder: Path, size=(80, 100), mode="RGB", count=3, classes=("cat", "dog")) -> Path:
    for label in classes:
        (folder / label).mkdir(parents=True)
        for number in range(count):
            Image.new(mode, size).save(folder / label / f"{number}.png")
    return folder


def idx(folder: Path, rows: int, side: int) -> Path:
    folder.mkdir()
    for part in ("train", "t10k"):
        head = struct.pack(">HBB3I", 0, 8, 3, rows, side, side)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(head + bytes(rows * side * side))
        labels = bytes(number % 10 for number in range(rows))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">HBBI", 0, 8, 1, rows) + labels)
    return folder


def decided(found: Sketch) -> dict:
    return {setting.name: setting.value for setting in (*found.data, *found.train)}


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ([f"C{row:04}" for row in range(ROWS)], "looks like an identifier: 120 values, all different"),
        ([7 * row + 1000 for row in range(ROWS)], "looks like an identifier: 120 values, all different"),
        (["CH"] * ROWS, "one single value in 120 rows"),
        ([""] * ROWS, "no value in 120 rows"),
        ([f"day {row // 2 if row < 100 else row}" for row in range(ROWS)], "hardly a value twice: 70 different ones"),
        ([f"{'she said so ' * 8}{row}" for row in range(ROWS)], "free text: 98 characters on average, 120 different"),
    ],
)
def test_columns_that_teach_nothing_are_left_out_with_the_reason(tmp_path, values, why):
    dropped = decided(sketch(table(tmp_path / "t.csv", seen=values), "label"))["drop"]
    assert list(dropped) == ["seen"]
    assert dropped["seen"].startswith(why)


@pytest.mark.parametrize(
    "values",
    [
        [row + 0.25 for row in range(ROWS)],
        [row % 100 for row in range(ROWS)],
        [f"town {row % 40}" for row in range(ROWS)],
        ["", "x"] * (ROWS // 2),
    ],
    ids=["different fractions", "whole numbers", "categories", "one value and gaps"],
)
def test_columns_that_may_teach_something_are_kept(tmp_path, values):
    found = sketch(table(tmp_path / "t.csv", seen=values), "label")
    assert "drop" not in decided(found)
    assert [column.name for column in found.columns] == ["age", "seen"]


def test_different_whole_numbers_of_few_rows_are_no_identifier(tmp_path):
    assert "drop" not in decided(sketch(table(tmp_path / "t.csv", rows=40, seen=list(range(40))), "label"))


def test_parquet_is_looked_at_like_csv(tmp_path):
    path = tmp_path / "t.parquet"
    columns = {"id": [f"C{row}" for row in range(60)], "age": [float(row % 7) for row in range(60)], "y": [0, 1] * 30}
    pyarrow.parquet.write_table(pa.table(columns), path)
    found = sketch(path, "y")
    assert decided(found) | {"drop": None} == {"label": "y", "drop": None, "model": "random_forest"}
    assert found.classes == {"0": 30, "1": 30}


@pytest.mark.parametrize(("rows", "model"), [(998, "random_forest"), (1000, "gradient_boosting")])
def test_a_table_is_boosted_from_a_thousand_rows_on(tmp_path, rows, model):
    assert decided(sketch(table(tmp_path / "t.csv", rows=rows), "label"))["model"] == model


def test_without_a_label_the_likely_columns_are_offered_usual_names_first(tmp_path):
    path = tmp_path / "t.csv"
    lines = [f"{row},{row / 7},{row % 3},{row % 2},{row % 4}" for row in range(ROWS)]
    path.write_text("\n".join(["id,price,Target,member,grade", *lines]))
    with pytest.raises(DataError) as error:
        sketch(path, None)
    assert str(error.value) == (
        "which column of t.csv is learned? say so with --label; likely: Target, grade, member"
    )  # fmt: skip


def test_a_label_that_is_no_column_is_answered_with_the_closest(tmp_path):
    with pytest.raises(DataError, match=r"--label lable is no column of t.csv; did you mean label\?"):
        sketch(table(tmp_path / "t.csv"), "lable")


@pytest.mark.parametrize("values", [["one"] * ROWS, [row / 7 for row in range(ROWS)]], ids=["one class", "a number"])
def test_a_label_without_classes_is_refused(tmp_path, values):
    with pytest.raises(DataError, match="bin the values, or choose another --label"):
        sketch(table(tmp_path / "t.csv", price=values), "price")


def test_a_table_with_nothing_to_learn_from_is_refused(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["id,label", *(f"C{row},{row % 2}" for row in range(ROWS))]))
    with pytest.raises(DataError, match=r"no column to learn label from \(id: looks like an identifier"):
        sketch(path, "label")


def test_rows_without_a_label_are_set_aside_as_many_as_there_are(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["age,label", *(f"{row % 9},{'' if row % 10 == 0 else row % 2}" for row in range(ROWS))]))
    assert decided(sketch(path, "label"))["set_aside"] == 0.1


@pytest.mark.parametrize(
    ("size", "side", "model"),
    [
        ((20, 20), 28, "mnist_cnn"),
        ((40, 32), 32, "mnist_cnn"),
        ((100, 80), 64, "simple_cnn"),
        ((640, 480), 224, "simple_cnn"),
    ],
)
def test_pictures_are_never_brought_to_more_than_they_have(tmp_path, size, side, model):
    found = decided(sketch(pictures(tmp_path / "photos", size), None))
    assert found == {"size": side, "colour": "rgb", "model": model}


@pytest.mark.parametrize(("mode", "colour"), [("L", "grey"), ("1", "grey"), ("RGB", "rgb"), ("RGBA", "rgb")])
def test_pictures_are_grey_where_all_of_them_are(tmp_path, mode, colour):
    assert decided(sketch(pictures(tmp_path / "photos", mode=mode), None))["colour"] == colour


def test_the_classes_of_a_given_split_are_counted_over_all_its_parts(tmp_path):
    for part in ("train", "test"):
        pictures(tmp_path / "photos" / part)
    assert sketch(tmp_path / "photos", None).classes == {"cat": 6, "dog": 6}


def test_a_picture_that_cannot_be_read_is_counted(tmp_path):
    folder = pictures(tmp_path / "photos")
    (folder / "cat" / "broken.png").write_bytes(b"no picture")
    assert sketch(folder, None).found == "7 pictures, 2 classes; 1 of 7 that were looked at can't be read"


def test_pictures_of_which_none_can_be_read_are_refused(tmp_path):
    folder = pictures(tmp_path / "photos")
    for path in folder.rglob("*.png"):
        path.write_bytes(b"no picture")
    with pytest.raises(DataError, match="none can be read; check that they are whole"):
        sketch(folder, None)


def test_pictures_of_one_class_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"1 class folders, at least 2 are needed: .*photos/cat/1\.jpg"):
        sketch(pictures(tmp_path / "photos", classes=("cat",)), None)


def test_of_many_pictures_a_bounded_number_is_opened(tmp_path):
    folder = pictures(tmp_path / "photos", (4, 4), count=201)
    (folder / "cat" / "1.png").write_bytes(b"no picture, and not among those that are looked at")
    assert "can't be read" not in sketch(folder, None).found


@pytest.mark.parametrize(
    ("rows", "side", "chosen"),
    [
        (100, 28, {"model": "mnist_cnn"}),
        (30_000, 28, {"model": "mnist_cnn", "epochs": 5}),
        (2000, 40, {"model": "simple_cnn"}),
        (2600, 40, {"model": "resnet18"}),
        (7500, 33, {"model": "resnet18", "epochs": 20}),
    ],
)
def test_more_pictures_mean_a_deeper_network_and_fewer_epochs(tmp_path, rows, side, chosen):
    assert decided(sketch(idx(tmp_path / "idx", rows, side), None)) == {"format": "idx", **chosen}


def test_a_label_for_pictures_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"--label cat is for tables, .* leave it out"):
        sketch(pictures(tmp_path / "photos"), "cat")
