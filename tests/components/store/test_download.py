"""Downloads: what comes is what the server says, or nothing is left."""

import hashlib
from pathlib import Path

import pytest

from components.errors import StoreError
from components.store import download, open_store
from components.store.bucket import Bucket


@pytest.fixture
def large(tmp_path: Path, content) -> Path:
    path = tmp_path / "large"
    path.write_bytes(content(1))
    return path


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small"
    path.write_bytes(b"content")
    return path


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "here").mkdir()
    return tmp_path / "here" / "file"


@pytest.fixture(params=["small", "large"])
def file(request) -> Path:
    return request.getfixturevalue(request.param)


def is_content(method: str, path: str) -> bool:
    return method == "GET" and "uploads" not in path and "uploadId" not in path


def test_a_bit_that_flips_on_its_way_is_noticed_and_read_again(store, middleman, file: Path, here: Path):
    store.put("a", file)
    flipped: list[str] = []

    def spoil(_: int, method: str, path: str) -> str | None:
        # The first answer of a large object is not read.
        if flipped or not is_content(method, path) or (file.name == "large" and "partNumber" not in path):
            return None
        flipped.append(path)
        return "flip read"

    middleman.spoil = spoil
    told: list[int] = []
    store.get("a", here, told.append)
    assert flipped
    assert here.read_bytes() == file.read_bytes()
    assert sum(told) == file.stat().st_size


def test_content_that_is_always_damaged_is_refused_and_the_old_file_stays(store, middleman, file: Path, here: Path):
    store.put("a", file)
    here.write_bytes(b"old")
    middleman.spoil = lambda _, method, path: "flip read" if is_content(method, path) else None
    with pytest.raises(StoreError, match="/a has the ETag [0-9a-f-]*, and what comes has [0-9a-f-]*; write it again"):
        store.get("a", here)
    assert here.read_bytes() == b"old"
    assert [path.name for path in here.parent.iterdir()] == ["file"]


def test_an_object_that_changes_while_it_is_read_is_no_mixture(store, middleman, large: Path, here: Path, content):
    store.put("a", large)
    direct = open_store(store.uri)

    def spoil(_: int, method: str, path: str) -> None:
        if method == "GET" and "partNumber=2" in path and not changed:
            changed.append(path)
            large.write_bytes(content(2))
            direct.put("a", large)

    changed: list[str] = []
    middleman.spoil = spoil
    with pytest.raises(StoreError, match="PreconditionFailed: .*; it changed meanwhile; run again"):
        store.get("a", here)
    assert list(here.parent.iterdir()) == []
    store.get("a", here)
    assert here.read_bytes() == content(2)


def test_objects_of_other_clients_are_verified_too(store, middleman, large: Path, here: Path, monkeypatch):
    """One in parts of another size, and a large one in one piece."""
    client = store._bucket._client
    client.fput_object(
        bucket_name=store._bucket._name, object_name="prefix/parts", file_path=str(large), part_size=6 << 20
    )
    monkeypatch.setattr("components.store.s3.LARGE_BYTES", 1 << 30)
    store.put("whole", large)
    for key, tag in (("parts", None), ("whole", hashlib.md5(large.read_bytes(), usedforsecurity=False).hexdigest())):
        middleman.spoil = lambda *_: None
        assert tag in (None, store.objects("")[key].tag)
        store.get(key, here)
        assert here.read_bytes() == large.read_bytes()
        middleman.spoil = lambda _, method, path: "flip read" if is_content(method, path) else None
        with pytest.raises(StoreError, match="has the ETag"):
            store.get(key, here)
        # However large an object is that counts as large: what came in parts is verified by its parts.
        monkeypatch.setattr(download, "LARGE_BYTES", 1 << 30)
        with pytest.raises(StoreError, match="has the ETag"):
            store.get(key, here)


def test_a_server_that_knows_no_part_numbers_is_asked_for_ranges(
    store, middleman, large: Path, here: Path, monkeypatch
):
    store.put("a", large)
    send = Bucket.send

    def without_numbers(self, method, key, read, **more):
        query = {name: value for name, value in more.pop("query", {}).items() if name != "partNumber"}
        return send(self, method, key, read, query=query, **more)

    monkeypatch.setattr(Bucket, "send", without_numbers)
    told: list[int] = []
    store.get("a", here, told.append)
    assert here.read_bytes() == large.read_bytes()
    assert sum(told) == large.stat().st_size
    assert sum("partNumber" in path for method, path in middleman.seen if method == "GET") == 0


def test_a_server_that_knows_neither_is_refused(store, large: Path, here: Path, monkeypatch):
    store.put("a", large)
    send = Bucket.send

    def plain(self, method, key, read, **_):
        return send(self, method, key, read)

    monkeypatch.setattr(Bucket, "send", plain)
    with pytest.raises(StoreError, match="does not answer with ranges of a; use another S3 server"):
        store.get("a", here)
    assert list(here.parent.iterdir()) == []


@pytest.mark.parametrize("header", ["aws:kms", "aws:kms:dsse"])
def test_a_tag_that_is_no_md5_is_not_held_against_the_content(store, small: Path, here: Path, monkeypatch, header):
    store.put("a", small)
    first = download._first

    def encrypted(answer, file):
        answer.headers["x-amz-server-side-encryption"] = header
        answer.headers["ETag"] = '"' + "0" * 32 + '"'
        return first(answer, file)

    monkeypatch.setattr(download, "_first", encrypted)
    store.get("a", here)
    assert here.read_bytes() == small.read_bytes()


def test_a_folder_that_can_not_be_written_is_an_error_of_this_machine(store, small: Path, tmp_path: Path):
    store.put("a", small)
    with pytest.raises(OSError, match="No such file or directory"):
        store.get("a", tmp_path / "missing" / "file")


def test_a_file_that_came_may_be_read_by_others(store, small: Path, here: Path):
    store.put("a", small)
    store.get("a", here)
    assert here.stat().st_mode & 0o777 == 0o644
