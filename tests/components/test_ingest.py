"""Ingest brings a source here, tells what it is, and reads it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.config import Data
from components.errors import ConfigError, DataError
from components.ingest import guess, ingest


def test_a_built_in_data_set_needs_no_place(tmp_path):
    assert len(ingest(Data(source="builtin://iris"), tmp_path / "scratch", tmp_path / "cache")) == 150
    assert not list(tmp_path.iterdir())


def test_a_path_and_its_url_are_the_same_data(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("x,y\n1,a\n2,b\n")
    versions = {
        ingest(Data(source=source, label="y"), tmp_path / "scratch", tmp_path / "cache").digest()
        for source in (str(path), path.as_uri())
    }
    assert len(versions) == 1


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True)
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(path)


def test_the_format_is_told_from_what_is_there(tmp_path):
    (tmp_path / "some.csv").touch()
    (tmp_path / "some.PARQUET").touch()
    picture(tmp_path / "photos" / "cat" / "1.png")
    (tmp_path / "digits" / "raw").mkdir(parents=True)
    (tmp_path / "digits" / "raw" / "train-images-idx3-ubyte.gz").touch()
    told = {name: guess(tmp_path / name) for name in ("some.csv", "some.PARQUET", "photos", "digits")}
    assert told == {"some.csv": "csv", "some.PARQUET": "parquet", "photos": "pictures", "digits": "idx"}


def test_a_readme_beside_pictures_makes_them_no_table(tmp_path):
    picture(tmp_path / "photos" / "cat" / "1.png")
    (tmp_path / "photos" / "README.txt").write_text("my photos")
    assert guess(tmp_path / "photos") == "pictures"


def test_what_can_not_be_told_is_named_with_what_can(tmp_path):
    (tmp_path / "notes.doc").touch()
    for place in (tmp_path / "notes.doc", tmp_path):
        with pytest.raises(DataError, match="can't tell what .* is; give a CSV or Parquet file"):
            guess(place)


@pytest.mark.parametrize(
    ("source", "told"),
    [("builtin://nothing", "is not known; choose builtin://digits"), ("ftp://host/file.csv", "ftp://host/file.csv")],
)
def test_an_unknown_source_is_named(tmp_path, source, told):
    with pytest.raises(ConfigError, match=told):
        ingest(Data(source=source, label="y"), tmp_path / "scratch", tmp_path / "cache")


def test_a_place_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match="none.csv"):
        ingest(Data(source=str(tmp_path / "none.csv"), label="y"), tmp_path / "scratch", tmp_path / "cache")
