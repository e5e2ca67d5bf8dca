"""One contract for every store: a folder, and a real MinIO server."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from components.errors import ConfigError, DataError, StoreError
from components.store import Object, Store, mirror, open_store


@pytest.fixture(params=["folder", "s3"])
def store(request, tmp_path: Path) -> Store:
    if request.param == "folder":
        return open_store((tmp_path / "store").as_uri())
    return open_store(f"{request.getfixturevalue('bucket')}/some/prefix")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    return path


def test_what_is_put_comes_back(store: Store, file: Path, tmp_path: Path):
    store.put("model/a.bin", file)
    store.get("model/a.bin", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"content"
    assert store.exists("model/a.bin")
    assert not store.exists("model/b.bin")


def test_keys_are_listed_by_prefix_in_order(store: Store, file: Path):
    for key in ("a/2", "a/1", "ab/1", "b/1"):
        store.put(key, file)
    assert store.keys("a/") == ["a/1", "a/2"]
    assert store.keys("") == ["a/1", "a/2", "ab/1", "b/1"]


def test_create_writes_once_and_never_over_another(store: Store, file: Path, tmp_path: Path):
    other = tmp_path / "other"
    other.write_bytes(b"other")
    assert store.create("one", file)
    assert not store.create("one", other)
    store.get("one", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"content"


def test_of_many_creators_at_once_one_wins_and_its_content_stays(store: Store, tmp_path: Path):
    won = []

    def create(number: int) -> None:
        path = tmp_path / f"creator-{number}"
        path.write_text(str(number))
        if store.create("race", path):
            won.append(number)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    store.get("race", tmp_path / "back")
    assert (tmp_path / "back").read_text() == str(won[0])


def test_a_missing_object_is_named(store: Store, tmp_path: Path):
    with pytest.raises(StoreError, match="nothing|NoSuchKey"):
        store.get("nothing", tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_a_failed_copy_leaves_nothing_behind(tmp_path: Path):
    store = open_store((tmp_path / "store").as_uri())
    with pytest.raises(FileNotFoundError):
        store.put("a", tmp_path / "no such file")
    assert list((tmp_path / "store").iterdir()) == []


@pytest.mark.parametrize("uri", ["gs://bucket", "models", "file:models", "file://host/models", "s3://", "http://x/y"])
def test_what_is_no_store_is_refused_with_what_is(uri):
    with pytest.raises(StoreError, match="use file:///absolute/path or s3://bucket/prefix"):
        open_store(uri)


def test_a_bucket_that_does_not_exist_is_named(bucket: str, file: Path):
    store = open_store(f"{bucket}-missing")
    with pytest.raises(StoreError, match="create bucket"):
        store.put("a", file)
    with pytest.raises(StoreError, match="was not written"):
        store.create("a", file)


def test_a_wrong_secret_is_named_by_its_variable(bucket: str, file: Path, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(StoreError, match="check AWS_SECRET_ACCESS_KEY"):
        open_store(bucket).put("a", file)


def test_a_server_that_is_down_is_named(file: Path, monkeypatch):
    monkeypatch.setattr("components.store.RETRIES", 1)
    for name, value in (
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
        ("AWS_ACCESS_KEY_ID", "k"),
        ("AWS_SECRET_ACCESS_KEY", "s"),
    ):
        monkeypatch.setenv(name, value)
    store = open_store("s3://models")
    for action in (lambda: store.put("a", file), lambda: store.create("a", file), lambda: store.exists("a")):
        with pytest.raises(StoreError, match="can't reach http://127.0.0.1:9"):
            action()


def test_s3_without_credentials_names_the_variable(monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with pytest.raises(ConfigError, match="AWS_ENDPOINT_URL is not set"):
        open_store("s3://models")


def test_a_listing_tells_sizes_and_a_tag_that_changes_with_the_content(store: Store, file: Path):
    store.put("a/1", file)
    before = store.objects("a/")
    assert {key: found.size for key, found in before.items()} == {"a/1": 7}
    assert store.objects("a/") == before
    file.write_bytes(b"tnetnoc")
    store.put("a/1", file)
    assert store.objects("a/")["a/1"].size == 7
    assert store.objects("a/")["a/1"].tag != before["a/1"].tag


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
        mirror(store, {key: Object(1, "tag")}, tmp_path / "mirror", [].append)


def test_an_object_that_is_not_as_large_as_listed_is_refused(store: Store, file: Path, tmp_path: Path):
    store.put("a", file)
    with pytest.raises(DataError, match="/a is not as large as it was listed"):
        mirror(store, {"a": Object(6, "tag")}, tmp_path / "mirror", [].append)
    came: list[int] = []
    mirror(store, store.objects(""), tmp_path / "mirror", came.append)
    assert came == [7]


class Stumbling(BaseHTTPRequestHandler):
    """An S3 server that answers each key's first requests with a fault that passes."""

    faults: ClassVar[list[int]] = []

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        status = self.faults.pop(0) if self.faults else 200
        self.send_response(status)
        self.send_header("ETag", '"0"')
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture
def stumbling(monkeypatch) -> Iterator[Store]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Stumbling) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        yield open_store("s3://models")
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("faults", [[503], [500, 429], [502, 503]])
def test_faults_that_pass_are_sat_out_inside_the_step(stumbling: Store, file: Path, monkeypatch, faults):
    for action in (lambda: stumbling.put("a", file), lambda: stumbling.create("a", file)):
        monkeypatch.setattr(Stumbling, "faults", list(faults))
        action()
        assert Stumbling.faults == []


def test_a_fault_that_does_not_pass_ends_in_one_line(stumbling: Store, file: Path, monkeypatch):
    monkeypatch.setattr(Stumbling, "faults", [503] * 100)
    with pytest.raises(StoreError, match="can't reach"):
        stumbling.put("a", file)
