"""Data comes from wherever it is, whole, checked and within its limit."""

import hashlib
import shutil
import zipfile
from pathlib import Path

import pytest

from components.errors import ConfigError, DataError
from components.sources.remote import bring
from components.store import open_store

CONTENT = bytes(range(256)) * 4000
MEGABYTE = 10**6 + len(CONTENT)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# What is here already.


@pytest.mark.parametrize("name", ["data.csv", "a folder"])
def test_a_path_and_its_file_uri_are_the_place_itself(tmp_path, name):
    place = tmp_path / name
    place.mkdir() if name == "a folder" else place.write_text("x")
    for uri in (str(place), place.as_uri()):
        assert bring(uri, tmp_path / "kept", max_bytes=1) == place
    assert not (tmp_path / "kept").exists()


def test_a_local_file_is_held_against_its_checksum_and_kept(tmp_path):
    place = tmp_path / "data.csv"
    place.write_bytes(b"x")
    assert bring(str(place), tmp_path, checksum=sha256(b"x"), max_bytes=1) == place
    with pytest.raises(DataError, match=f"{sha256(b'x')}, data.checksum says {sha256(b'y')}"):
        bring(str(place), tmp_path, checksum=sha256(b"y"), max_bytes=1)
    assert place.exists()
    with pytest.raises(DataError, match="is a folder, and a checksum is of one file"):
        bring(str(tmp_path), tmp_path, checksum=sha256(b"x"), max_bytes=1)


def test_a_local_archive_is_unpacked_below_the_folder_and_once(tmp_path):
    with zipfile.ZipFile(tmp_path / "pets.zip", "w") as archive:
        archive.writestr("pets/cat/1.png", b"x")
    place = bring(str(tmp_path / "pets.zip"), tmp_path / "kept", max_bytes=10)
    assert place.name == "pets"
    assert place.is_relative_to(tmp_path / "kept")
    assert (place / "cat" / "1.png").read_bytes() == b"x"
    assert bring(str(tmp_path / "pets.zip"), tmp_path / "kept", max_bytes=10) == place


def test_a_path_that_does_not_exist_is_named(tmp_path):
    for uri in (str(tmp_path / "none"), (tmp_path / "none").as_uri()):
        with pytest.raises(DataError, match="none does not exist; give a path"):
            bring(uri, tmp_path, max_bytes=1)


@pytest.mark.parametrize(
    "uri",
    [
        "gs://bucket/a",
        "ftp://host/a",
        "file://host/a",
        "https:///a",
        "s3:///a",
        "https://host:99999/a",
        "https://[x/a",
        f"https://{70 * 'x'}.org/a",
    ],
)
def test_what_names_no_place_is_refused_with_what_does(tmp_path, uri):
    with pytest.raises(ConfigError, match="use a path, file:///path, s3://bucket/prefix/ or https://host/file"):
        bring(uri, tmp_path, max_bytes=1)


# What an object store has.


@pytest.fixture
def objects(bucket: str, tmp_path: Path) -> str:
    """The URI of a prefix with three objects."""
    store = open_store(f"{bucket}/pets")
    for key in ("cat/1.png", "cat/2.png", "dog/3.png"):
        (tmp_path / "object").write_text(key)
        store.put(key, tmp_path / "object")
    return f"{bucket}/pets/"


def content(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_every_object_below_a_prefix_comes(objects, tmp_path):
    expected = {key: key for key in ("cat/1.png", "cat/2.png", "dog/3.png")}
    assert content(bring(objects, tmp_path / "kept", max_bytes=27)) == expected
    assert content(bring(objects.rstrip("/"), tmp_path / "kept", max_bytes=27)) == expected


def test_one_object_comes_alone(objects, tmp_path):
    place = bring(f"{objects}cat/1.png", tmp_path / "kept", checksum=sha256(b"cat/1.png"), max_bytes=9)
    assert place.name == "1.png"
    assert content(place.parent) == {"1.png": "cat/1.png"}
    with pytest.raises(DataError, match="data.checksum says"):
        bring(f"{objects}cat/2.png", tmp_path / "kept", checksum=sha256(b"other"), max_bytes=9)
    assert not list((tmp_path / "kept").rglob("2.png"))


def test_objects_larger_than_allowed_are_refused_before_one_comes(objects, tmp_path):
    with pytest.raises(DataError, match="has 27 bytes, data.max_gb allows 26"):
        bring(objects, tmp_path / "kept", max_bytes=26)
    assert not [path for path in (tmp_path / "kept").rglob("*") if path.is_file() and path.name != "lock"]


def test_a_prefix_with_nothing_below_it_is_named(objects, tmp_path):
    with pytest.raises(DataError, match="pets/none/ holds nothing"):
        bring(f"{objects}none/", tmp_path, max_bytes=1)


def test_a_prefix_has_no_checksum(objects, tmp_path):
    with pytest.raises(DataError, match="is a folder, and a checksum is of one file"):
        bring(objects, tmp_path / "kept", checksum=sha256(b""), max_bytes=100)


def test_a_bucket_of_archives_gives_what_is_in_the_one_that_is_named(bucket, tmp_path):
    shutil.make_archive(str(tmp_path / "pets"), "gztar", Path(__file__).parents[1], "models")
    open_store(bucket).put("pets.tar.gz", tmp_path / "pets.tar.gz")
    place = bring(f"{bucket}/pets.tar.gz", tmp_path / "kept", max_bytes=MEGABYTE)
    assert place.name == "models"
    assert place.is_dir()
