"""A store in a folder: what goes wrong leaves nothing half-written."""

import os
import threading
from pathlib import Path

import pytest

from components.errors import StoreError
from components.store import FolderStore


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    return path


def test_a_failed_copy_leaves_nothing_behind(tmp_path: Path, file: Path):
    store = FolderStore(tmp_path / "store")
    store.put("a", file)

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(StoreError, match="can't write a to file:///.*: No space left on device"):
        store.put("a", file, fail)
    with pytest.raises(OSError, match="No space left"):
        store.get("a", tmp_path / "back", fail)
    assert [path.name for path in (tmp_path / "store").iterdir()] == ["a"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "store"]


def test_a_folder_that_is_a_file_is_named(file: Path):
    with pytest.raises(StoreError, match="can't write a to file:///.*: (Not a directory|File exists)"):
        FolderStore(file).put("a", file)


def test_what_is_no_object_can_not_be_removed(tmp_path: Path, file: Path):
    store = FolderStore(tmp_path / "store")
    store.put("a/b", file)
    with pytest.raises(StoreError, match="can't remove a from"):
        store.remove("a")


def test_a_listing_bears_that_objects_go_meanwhile(tmp_path: Path, file: Path):
    store = FolderStore(tmp_path / "store")
    for number in range(200):
        store.put(str(number), file)
    remover = threading.Thread(target=lambda: [store.remove(str(number)) for number in range(200)])
    remover.start()
    while remover.is_alive():
        store.objects("")
    assert store.keys("") == []


def test_the_time_is_the_files(tmp_path: Path, file: Path):
    store = FolderStore(tmp_path / "store")
    store.put("a", file)
    os.utime(tmp_path / "store" / "a", (1_000_000_000.5, 1_000_000_000.5))
    assert store.objects("")["a"].modified == 1_000_000_000.5
