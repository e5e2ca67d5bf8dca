"""One contract for every store: a folder, and two S3 servers of different make."""

import threading
import time
from pathlib import Path

import pytest

from components.errors import StoreError
from components.store import Store, open_store


@pytest.fixture(params=["folder", "minio", "versitygw"])
def store(request, tmp_path: Path, small_parts) -> Store:
    if request.param == "folder":
        return open_store((tmp_path / "store").as_uri())
    bucket = request.getfixturevalue("bucket" if request.param == "minio" else "versitygw_bucket")
    return open_store(f"{bucket}/some/prefix")


@pytest.fixture(params=["small", "large"])
def file(request, tmp_path: Path, content) -> Path:
    """A file of one piece, or of three parts."""
    path = tmp_path / "file"
    path.write_bytes(b"content" if request.param == "small" else content(1))
    return path


def test_what_is_put_comes_back(store: Store, file: Path, tmp_path: Path):
    store.put("model/a.bin", file)
    store.get("model/a.bin", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == file.read_bytes()
    assert store.exists("model/a.bin")
    assert not store.exists("model/b.bin")


def test_an_object_may_be_empty(store: Store, tmp_path: Path):
    (tmp_path / "empty").touch()
    store.put("empty", tmp_path / "empty")
    assert not store.create("empty", tmp_path / "empty")
    assert store.create("empty, too", tmp_path / "empty")
    store.get("empty, too", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b""


@pytest.mark.parametrize("key", ["a b", "plus+and&?#=%25", "Grüße/日本", "a'(b)!*~"])
def test_a_key_may_have_any_letter(store: Store, file: Path, tmp_path: Path, key: str):
    store.put(key, file)
    assert store.keys("") == [key]
    store.get(key, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == file.read_bytes()
    store.remove(key)
    assert store.keys("") == []


def test_a_put_replaces(store: Store, file: Path, tmp_path: Path, content):
    store.put("a", file)
    before = store.objects("")["a"]
    file.write_bytes(content(2))
    store.put("a", file)
    assert store.objects("")["a"].tag != before.tag
    store.get("a", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content(2)


def test_keys_are_listed_by_prefix_in_order(store: Store, tmp_path: Path):
    (tmp_path / "file").write_bytes(b"content")
    for key in ("a/2", "a/1", "ab/1", "b/1"):
        store.put(key, tmp_path / "file")
    assert store.keys("a/") == ["a/1", "a/2"]
    assert store.keys("") == ["a/1", "a/2", "ab/1", "b/1"]


def test_a_listing_tells_sizes_times_and_a_tag_that_stays(store: Store, file: Path):
    start = time.time()
    store.put("a/1", file)
    found = store.objects("a/")
    assert [entry.size for entry in found.values()] == [file.stat().st_size]
    assert start - 2 < found["a/1"].modified < time.time() + 2
    assert store.objects("a/") == found


def test_create_writes_once_and_never_over_another(store: Store, file: Path, tmp_path: Path):
    other = tmp_path / "other"
    other.write_bytes(file.read_bytes()[::-1])
    assert store.create("one", file)
    assert not store.create("one", other)
    store.get("one", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == file.read_bytes()


@pytest.mark.parametrize(("creators", "size"), [(20, 7), (20, 300_000), (4, 12 << 20)])
def test_of_many_creators_at_once_one_wins_and_its_content_stays(store: Store, tmp_path: Path, creators, size):
    won, failed = [], []
    start = threading.Barrier(creators)

    def create(number: int) -> None:
        path = tmp_path / f"creator-{number}"
        path.write_bytes(bytes([number]) * size)
        start.wait()
        try:
            if store.create("race", path):
                won.append(number)
        except StoreError as error:
            failed.append(error)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(creators)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(won) == 1
    store.get("race", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == bytes([won[0]]) * size


def test_progress_adds_up_to_the_size(store: Store, file: Path, tmp_path: Path):
    here = threading.get_ident()
    told: list[int] = []

    def done(size: int) -> None:
        assert threading.get_ident() == here
        told.append(size)

    size = file.stat().st_size
    for action in (
        lambda: store.put("a", file, done),
        lambda: store.create("b", file, done),
        lambda: store.get("a", tmp_path / "back", done),
    ):
        told.clear()
        action()
        assert sum(told) == size
        assert len(told) > 1 or size < 1 << 20


def test_a_removed_object_is_gone_and_may_be_removed_again(store: Store, file: Path, tmp_path: Path):
    store.put("a/b", file)
    store.put("a/c", file)
    store.remove("a/b")
    store.remove("a/b")
    store.remove("never")
    assert store.keys("") == ["a/c"]
    assert not store.exists("a/b")
    with pytest.raises(StoreError):
        store.get("a/b", tmp_path / "back")
    assert store.create("a/b", file)


def test_a_missing_object_is_named_and_nothing_is_left(store: Store, tmp_path: Path):
    (tmp_path / "here").mkdir()
    with pytest.raises(StoreError, match="nothing|NoSuchKey"):
        store.get("nothing", tmp_path / "here" / "back")
    assert list((tmp_path / "here").iterdir()) == []


def test_a_file_that_is_missing_writes_nothing(store: Store, tmp_path: Path):
    for action in (store.put, store.create):
        with pytest.raises(FileNotFoundError):
            action("a", tmp_path / "no such file")
    assert store.keys("") == []
