"""A folder of pictures: a class per folder, a split where there is one, and what can't be decoded set aside."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.config import Data
from components.errors import DataError
from components.snapshot import FREE
from components.sources.pictures import read

DATA = Data(source="x", format="pictures", size=8, set_aside=0.2)


def draw(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 11, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def folder(tmp_path):
    for number in range(6):
        draw(tmp_path / "in" / ("cat", "dog")[number % 2] / f"{number}.png", number)
    return tmp_path / "in"


def test_a_folder_without_pictures_is_mentioned(folder, tmp_path):
    (folder / "bird").mkdir()
    (finding,) = read(folder, DATA, tmp_path).found
    assert (finding.severity, finding.examples) == ("warning", ("bird",))
    assert "1 folders hold no pictures and are no classes" in finding.text


def test_every_picture_is_a_row_of_its_folders_class(folder, tmp_path):
    snapshot = read(folder, DATA, tmp_path)
    assert snapshot.arrays["x"].shape == (6, 8, 8, 3)
    assert (snapshot.rows.labels, np.bincount(snapshot.y).tolist()) == (("cat", "dog"), [3, 3])
    assert (snapshot.home == FREE).all()
    assert snapshot.rows.tensors()[0].datatype == "UINT8"


def test_other_names_and_another_place_are_the_same_version(folder, tmp_path):
    other = tmp_path / "elsewhere"
    for path in folder.rglob("*.png"):
        target = other / path.parent.name / "deep" / f"x{9 - int(path.stem)}.PNG"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one, two = read(folder, DATA, tmp_path / "one"), read(other, DATA, tmp_path / "two")
    assert one.digest() == two.digest()
    np.testing.assert_array_equal(one.arrays["x"][one.order()], two.arrays["x"][two.order()])


def test_what_can_not_be_decoded_is_set_aside_and_listed(folder, tmp_path):
    (folder / "cat" / "3 broken.jpg").write_bytes(b"not a picture")
    snapshot = read(folder, DATA, tmp_path)
    assert (len(snapshot), snapshot.read) == (6, 7)
    assert "1 of 7 pictures can't be decoded and were set aside" in snapshot.found[0].text
    assert snapshot.found[0].examples[0].startswith("cat/3 broken.jpg: ")
    assert (snapshot.arrays["x"].reshape(6, -1).max(axis=1) > 0).all()


def test_too_many_broken_pictures_are_an_error(folder, tmp_path):
    for number in range(3):
        (folder / "dog" / f"broken{number}.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"3 of 9 pictures in .* can't be decoded, data.set_aside=0.2 allows 1"):
        read(folder, DATA, tmp_path)


def test_folders_of_a_split_are_the_split(folder, tmp_path):
    root = tmp_path / "split"
    for number in range(12):
        draw(root / ("train", "val", "test")[number % 3] / ("cat", "dog")[number // 3 % 2] / f"{number}.png", number)
    assert np.bincount(read(root, DATA, tmp_path).home).tolist() == [4, 4, 4]


def test_without_a_validation_folder_validation_rows_are_dealt_from_the_training_rows(tmp_path):
    root = tmp_path / "split"
    for number in range(8):
        draw(root / ("train", "test")[number % 2] / ("cat", "dog")[number // 2 % 2] / f"{number}.png", number)
    assert sorted(read(root, DATA, tmp_path).home.tolist()) == [FREE] * 4 + [2] * 4


def test_other_files_are_left_out_and_counted(folder, tmp_path):
    (folder / "cat" / "notes.txt").write_text("hello")
    (folder / "cat" / ".hidden.png").write_bytes(b"")
    draw(folder / "loose.png", 99)
    found = read(folder, DATA, tmp_path).found
    assert [finding.text for finding in found] == [
        "1 files are no pictures by their names and were left out",
        "1 files lie outside the class folders and were left out",
    ]


def test_one_folder_is_no_classes(tmp_path):
    draw(tmp_path / "in" / "cat" / "1.png", 1)
    with pytest.raises(DataError, match="has pictures in 1 class folders"):
        read(tmp_path / "in", DATA, tmp_path)
