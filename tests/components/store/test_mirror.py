"""Mirrors of stores: they hold what was listed, and go on where they stopped."""

from pathlib import Path

import pytest

from components.errors import DataError
from components.store import Object, Store, mirror, open_store


@pytest.fixture(params=["folder", "minio"])
def store(request, tmp_path: Path) -> Store:
    if request.param == "folder":
        return open_store((tmp_path / "store").as_uri())
    return open_store(f"{request.getfixturevalue('bucket')}/some/prefix")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    return path


def test_a_mirror_holds_what_the_store_does_and_reads_only_what_is_new(store: Store, file: Path, tmp_path: Path):
    for key in ("a/1", "a/2", "b"):
        store.put(key, file)
    came: list[int] = []
    folder = tmp_path / "mirror"
    mirror(store, store.objects(""), folder, came.append)
    assert came == [7, 7, 7]
    file.write_bytes(b"tnetnoc")
    store.put("a/1", file)
    store.put("c/3", file)
    (folder / "a" / "2").write_bytes(b"cut")
    (folder / "old").mkdir()
    (folder / "old" / "file").touch()
    mirror(store, {key: found for key, found in store.objects("").items() if key != "b"}, folder, came.append)
    assert came == [7] * 6
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert found == {"a/1": b"tnetnoc", "a/2": b"content", "c/3": b"tnetnoc"}
    assert not (folder / "old").exists()
    mirror(store, store.objects("a/"), folder, came.append)
    assert came == [7] * 6


def test_a_mirror_may_turn_a_file_into_a_folder(store: Store, file: Path, tmp_path: Path):
    store.put("a/b", file)
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "a").touch()
    mirror(store, store.objects(""), tmp_path / "mirror", [].append)
    assert (tmp_path / "mirror" / "a" / "b").read_bytes() == b"content"


def test_a_mirror_that_was_killed_goes_on(store: Store, file: Path, tmp_path: Path):
    for key in ("a", "b"):
        store.put(key, file)
    mirror(store, store.objects("a"), tmp_path / "mirror", [].append)
    with (tmp_path / "mirror.jsonl").open("a") as journal:
        journal.write('["b", "cut in the mid')
    came: list[int] = []
    mirror(store, store.objects(""), tmp_path / "mirror", came.append)
    assert came == [7]


@pytest.mark.parametrize("key", ["../out", "/out", "a\\b", "a\0b"])
def test_a_key_that_leads_out_of_the_mirror_is_refused(store: Store, tmp_path: Path, key: str):
    with pytest.raises(DataError, match="would not lie below its folder"):
        mirror(store, {key: Object(1, "tag", 0)}, tmp_path / "mirror", [].append)


def test_an_object_that_is_not_as_large_as_listed_is_refused(store: Store, file: Path, tmp_path: Path):
    store.put("a", file)
    with pytest.raises(DataError, match="/a is not as large as it was listed"):
        mirror(store, {"a": Object(6, "tag", 0)}, tmp_path / "mirror", [].append)
    came: list[int] = []
    mirror(store, store.objects(""), tmp_path / "mirror", came.append)
    assert came == [7]
