"""Files go to the store and come back, whole or not at all."""

import hashlib
import os
import threading
import time
from pathlib import Path

import pytest

from components.errors import DataError, StoreError
from components.store import Store, open_store
from components.versions.manifest import Entry, Manifest, content_key
from components.versions.transfer import Progress, bring, describe, each, get, readable, scan, upload


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store((tmp_path / "store").as_uri())


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for name, content in (("cat/1", b"one"), ("cat/2", b"two"), ("dog/3", b"three"), ("dog/empty", b"")):
        path = tmp_path / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "source"


@pytest.fixture
def stored(store: Store, source: Path) -> Manifest:
    paths = scan(source)
    entries = describe(paths)
    for entry in entries:
        upload(store, content_key("pets", entry.sha256), paths[entry.path], entry)
    return Manifest(
        name="pets", digest="0" * 64, files=entries, format="pictures", kind="image", rows=0, labels={}
    )  # fmt: skip


def silent(_: str) -> None:
    """Say nothing."""


class Counting:
    """A store that counts what is read, and can be out of order after so many reads."""

    def __init__(self, store: Store, healthy: int = 1000) -> None:
        self._store, self.uri = store, store.uri
        self.put, self.create, self.exists, self.keys = store.put, store.create, store.exists, store.keys
        self.reads, self._healthy = 0, healthy
        self._lock = threading.Lock()

    def get(self, key: str, path: Path) -> None:
        with self._lock:
            self.reads += 1
            if self.reads > self._healthy:
                raise StoreError("the line is cut")
        self._store.get(key, path)


def content(folder: Path) -> dict[str, bytes]:
    return {path: file.read_bytes() for path, file in scan(folder).items()}


def test_every_file_is_found_ascending_hidden_and_empty_ones_too(source):
    (source / "cat" / ".hidden").touch()
    assert list(scan(source)) == ["cat/.hidden", "cat/1", "cat/2", "dog/3", "dog/empty"]
    assert scan(source / "cat" / "1") == {"1": source / "cat" / "1"}


def test_what_can_not_be_stored_is_refused(source, tmp_path):
    with pytest.raises(DataError, match="holds no files"):
        scan(tmp_path / "nothing")
    (source / "loop").symlink_to(source)
    with pytest.raises(DataError, match="loop is a link to a folder"):
        scan(source)
    (source / "loop").unlink()
    (source / "gone").symlink_to("nowhere")
    with pytest.raises(DataError, match="gone is neither a file nor a folder"):
        scan(source)
    (source / "gone").unlink()
    (Path(os.fsdecode(os.fsencode(source) + b"/\xff"))).touch()
    with pytest.raises(DataError, match="is not UTF-8"):
        scan(source)


def test_a_file_that_changes_before_it_is_sent_is_noticed_and_not_stored(store, source):
    entry = describe({"cat/1": source / "cat" / "1"})[0]
    (source / "cat" / "1").write_bytes(b"ONE")
    with pytest.raises(DataError, match="1 changed while it was pushed; push again"):
        upload(store, "key", source / "cat" / "1", entry)
    (source / "cat" / "1").unlink()
    with pytest.raises(DataError, match="can't read .* any more"):
        upload(store, "key", source / "cat" / "1", entry)
    assert store.keys("") == []


def test_a_file_that_is_not_there_can_not_be_described(tmp_path):
    with pytest.raises(DataError, match="can't read .*nothing: No such file"):
        describe({"nothing": tmp_path / "nothing"})


def test_content_is_held_against_its_size_and_its_digest(store, source, tmp_path):
    entry = describe({"cat/1": source / "cat" / "1"})[0]
    store.put("key", source / "cat" / "1")
    assert get(store, "key", entry, tmp_path / "x") is None
    store.put("key", source / "dog" / "3")
    assert "key holds 5 bytes, 3 were pushed" in get(store, "key", entry, tmp_path / "x")
    store.put("key", source / "cat" / "2")
    assert hashlib.sha256(b"two").hexdigest() in get(store, "key", entry, tmp_path / "x")


def test_results_come_in_the_order_of_the_items_and_an_error_ends_it():
    assert each(lambda number: number**2, range(100)) == [number**2 for number in range(100)]
    seen = []

    def fail(number: int) -> None:
        seen.append(number)
        time.sleep(0.01)
        raise ValueError(number)

    with pytest.raises(ValueError):  # noqa: PT011 (which one of the first is chance)
        each(fail, range(1000))
    assert len(seen) < 1000


def test_progress_is_told_now_and_then_with_what_is_left(monkeypatch):
    clock = iter([0.0, 1.0, 6.0, 6.0, 7.0])
    monkeypatch.setattr("components.versions.transfer.time.monotonic", lambda: next(clock))
    lines = []
    entries = [Entry(path=str(number), sha256="0" * 64, size=2_000_000) for number in range(3)]
    progress = Progress("uploaded", entries, lines.append)
    for index in range(3):
        progress(index)
    assert lines == ["uploaded 2 of 3 files, 4.0 MB of 6.0 MB"]


def test_what_is_brought_is_what_was_stored_and_is_brought_once(store, stored, source, tmp_path):
    counting = Counting(store)
    assert content(bring(counting, stored, tmp_path / "a" / "b", silent, replace=False)) == content(source)
    bring(counting, stored, tmp_path / "a" / "b", silent, replace=False)
    assert counting.reads == len(stored.files)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]


def test_a_cut_line_leaves_no_folder_and_the_next_time_only_the_rest_is_read(store, stored, source, tmp_path):
    with pytest.raises(StoreError, match="the line is cut"):
        bring(Counting(store, healthy=3), stored, tmp_path / "pets", silent, replace=False)
    assert not (tmp_path / "pets").exists()
    counting = Counting(store)
    bring(counting, stored, tmp_path / "pets", silent, replace=False)
    assert counting.reads == 1
    assert content(tmp_path / "pets") == content(source)


def test_leftovers_of_a_killed_pull_are_not_trusted_and_links_are_not_followed(store, stored, source, tmp_path):
    partial, outside = tmp_path / f".pets.{'0' * 12}.partial", tmp_path / "outside"
    outside.mkdir()
    (partial / "cat" / "1").mkdir(parents=True)
    (partial / "cat" / "2").write_bytes(b"tw")
    (partial / "dog").symlink_to(outside)
    (partial / "stranger").touch()
    bring(store, stored, tmp_path / "pets", silent, replace=False)
    assert content(tmp_path / "pets") == content(source)
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda folder: (folder / "notes").touch(), "notes does not belong to it"),
        (lambda folder: (folder / "cat" / "1").write_bytes(b"ONE"), "cat/1 is another"),
        (lambda folder: (folder / "cat" / "1").unlink(), "cat/1 is missing"),
    ],
)
def test_a_folder_with_something_else_is_refused_untouched_or_replaced_where_that_is_asked(
    store, stored, source, tmp_path, spoil, told
):
    folder = bring(store, stored, tmp_path / "pets", silent, replace=False)
    spoil(folder)
    spoilt = content(folder)
    with pytest.raises(DataError, match=f"{told}; name a new or an empty folder"):
        bring(store, stored, folder, silent, replace=False)
    assert content(folder) == spoilt
    bring(store, stored, folder, silent, replace=True)
    assert content(folder) == content(source)


def test_an_empty_folder_is_filled_and_a_file_or_the_working_directory_is_refused(
    store, stored, source, tmp_path, monkeypatch
):
    (tmp_path / "empty").mkdir()
    assert content(bring(store, stored, tmp_path / "empty", silent, replace=False)) == content(source)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="is a file or a link"):
        bring(store, stored, tmp_path / "file", silent, replace=True)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(DataError, match="is the working directory"):
        bring(store, stored, Path(), silent, replace=False)


def test_a_damaged_content_is_refused_by_name_and_no_folder_appears(store, stored, source, tmp_path):
    store.put(content_key("pets", describe({"x": source / "cat" / "1"})[0].sha256), source / "cat" / "2")
    with pytest.raises(StoreError, match="cat/1 of pets@000000000000 in file:.* is damaged: .* push again"):
        bring(store, stored, tmp_path / "pets", silent, replace=False)
    assert not (tmp_path / "pets").exists()


def test_of_many_at_once_one_brings_and_all_find_it_whole(store, stored, source, tmp_path):
    counting, faults = Counting(store), []

    def run() -> None:
        try:
            assert content(bring(counting, stored, tmp_path / "pets", silent, replace=True)) == content(source)
        except BaseException as fault:  # noqa: BLE001 (a thread's fault is shown below)
            faults.append(fault)

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert faults == []
    assert counting.reads == len(stored.files)
    assert not list(tmp_path.glob(".pets*"))


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (2_560_000, "2.6 MB"), (7 * 10**9, "7.0 GB")]
)
def test_sizes_are_told_in_the_unit_that_fits(size, text):
    assert readable(size) == text
