"""Uploads in parts: resumed by whoever sends the same file, swept where they don't fit."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from components.errors import StoreError
from components.store import multipart
from components.store.part import Part

MIB = 1 << 20


@pytest.fixture
def file(tmp_path: Path, content) -> Path:
    path = tmp_path / "file"
    path.write_bytes(content(1))
    return path


class InterruptedUploadError(Exception):
    """Ends an upload in the middle."""


def interrupt(store, key: str, path: Path, after: int) -> None:
    """Put a file, and stop after some bytes."""
    come: list[int] = []

    def done(size: int) -> None:
        come.append(size)
        if sum(come) >= after:
            raise InterruptedUploadError

    with pytest.raises(InterruptedUploadError):
        store.put(key, path, done)


def sent(middleman) -> list[str]:
    return [path for method, path in middleman.seen if method == "PUT"]


def test_a_later_upload_of_the_same_file_sends_only_what_is_missing(store, middleman, file, tmp_path, monkeypatch):
    monkeypatch.setattr("components.store.part.AT_ONCE", 1)
    interrupt(store, "a", file, 5 * MIB)
    before = len(sent(middleman))
    assert before in (1, 2)  # the next one may be on its way already
    assert not store.exists("a")
    told: list[int] = []
    store.put("a", file, told.append)
    assert len(sent(middleman)) == 3
    assert sum(told) == file.stat().st_size
    store.get("a", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == file.read_bytes()
    assert store._bucket.uploads("a") == {}


KILLED = """
import os, sys
from pathlib import Path
from components.store import open_store, part, s3
part.PART_BYTES, s3.LARGE_BYTES, part.AT_ONCE = 5 << 20, 8 << 20, 1
open_store(sys.argv[1]).put("a", Path(sys.argv[2]), lambda size: os._exit(9))
"""


def test_an_upload_whose_process_was_killed_goes_on_in_another(store, middleman, server, file: Path, tmp_path: Path):
    killed = subprocess.run([sys.executable, "-c", KILLED, f"{server[0]}/prefix", file], check=False)
    assert killed.returncode == 9
    before = len(sent(middleman))
    assert before in (1, 2)
    store.put("a", file)
    assert len(sent(middleman)) - before < 3
    store.get("a", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == file.read_bytes()


def test_parts_of_another_content_are_aborted(store, middleman, file: Path, tmp_path: Path, content):
    interrupt(store, "a", file, 12 * MIB)
    assert len(store._bucket.uploads("a")) == 1
    middleman.seen.clear()
    file.write_bytes(content(2))
    store.put("a", file)
    assert len(sent(middleman)) == 3
    store.get("a", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content(2)
    assert store._bucket.uploads("a") == {}


@pytest.mark.parametrize("size", [8 * MIB, 15 * MIB])
def test_parts_of_another_size_are_aborted(store, middleman, file: Path, tmp_path: Path, content, size):
    file.write_bytes(content(1)[: 12 * MIB])
    interrupt(store, "a", file, 12 * MIB)
    file.write_bytes((content(1) * 2)[:size])
    store.put("a", file)
    store.get("a", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == (content(1) * 2)[:size]
    assert store._bucket.uploads("a") == {}


def test_an_unfinished_upload_of_a_neighbour_stays(store, middleman, file: Path):
    interrupt(store, "a/bc", file, 5 * MIB)
    interrupt(store, "a/b", file, 5 * MIB)
    store.put("a/b", file)
    assert len(store._bucket.uploads("a/bc")) == 1
    assert store._bucket.uploads("a/b") == {}


def test_several_processes_may_put_the_same_file_at_once(store, file: Path, tmp_path: Path):
    failed: list[Exception] = []

    def put() -> None:
        try:
            store.put("a", file)
        except StoreError as error:
            failed.append(error)

    threads = [threading.Thread(target=put) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    store.get("a", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == file.read_bytes()
    store.put("a", file)
    assert store._bucket.uploads("a") == {}


def test_a_create_leaves_what_others_send_alone_while_it_may_be_alive(store, middleman, file: Path, monkeypatch):
    interrupt(store, "a", file, 5 * MIB)
    assert store.create("a", file)
    assert len(store._bucket.uploads("a")) == 1
    store.remove("a")
    monkeypatch.setattr(multipart, "IDLE_SECONDS", -60)
    assert store.create("a", file)
    assert store._bucket.uploads("a") == {}


def test_a_create_that_fails_or_comes_late_leaves_nothing(store, middleman, file: Path):
    middleman.spoil = lambda _, method, path: "503" if method == "PUT" and "partNumber=3" in path else None
    with pytest.raises(StoreError, match="503"):
        store.create("a", file)
    assert store._bucket.uploads("a") == {}
    middleman.spoil = lambda *_: None
    store.put("a", file)
    with file.open("rb") as opened:
        assert not multipart.create(store._bucket, "a", opened.fileno(), file.stat().st_size, lambda _: None)
    assert store._bucket.uploads("a") == {}


def test_a_put_that_fails_keeps_what_came(store, middleman, file: Path):
    middleman.spoil = lambda _, method, path: "503" if method == "PUT" and "partNumber=3" in path else None
    with pytest.raises(StoreError, match="503"):
        store.put("a", file)
    assert not store.exists("a")
    middleman.spoil = lambda *_: None
    middleman.seen.clear()
    store.put("a", file)
    assert len(sent(middleman)) == 1


def test_an_upload_that_others_end_is_begun_again_and_not_for_ever(store, middleman, file: Path):
    class Ending:
        def __init__(self, times: int) -> None:
            self.left = times

        def __call__(self, _: int, method: str, path: str) -> None:
            if method == "POST" and "uploadId" in path and self.left:
                self.left -= 1
                for upload in other._bucket.uploads("a"):
                    multipart._abort(other._bucket, "a", upload)

    other = store
    middleman.spoil = Ending(2)
    store.put("a", file)
    assert store.exists("a")
    store.remove("a")
    middleman.spoil = Ending(10)
    with pytest.raises(StoreError, match="/a is written by others at the same time; run again"):
        store.put("a", file)


def test_a_file_that_shrinks_while_it_is_sent_is_refused(store, file: Path):
    with file.open("rb") as opened, pytest.raises(StoreError, match="became shorter"):
        multipart.put(store._bucket, "a", opened.fileno(), file.stat().st_size + 1, lambda _: None)
    assert not store.exists("a")


def test_the_listing_of_parts_is_read_page_by_page(store, middleman, file: Path, monkeypatch):
    interrupt(store, "a", file, 12 * MIB)
    (upload,) = store._bucket.uploads("a")
    whole = multipart._listed(store._bucket, "a", upload)
    send = store._bucket.send

    def small_pages(method, key, read, **more):
        return send(method, key, read, **{**more, "query": {**more["query"], "max-parts": "1"}})

    monkeypatch.setattr(store._bucket, "send", small_pages)
    assert multipart._listed(store._bucket, "a", upload) == whole
    assert len(whole) >= 2


def test_the_tag_of_parts_is_the_servers(store, file: Path):
    store.put("a", file)
    with file.open("rb") as opened:
        parts = [
            Part(opened.fileno(), number, offset, min(5 * MIB, file.stat().st_size - offset))
            for number, offset in enumerate(range(0, file.stat().st_size, 5 * MIB), 1)
        ]
        assert multipart.combined([part.md5 for part in parts]) == store.objects("")["a"].tag


PUT = """
import resource, sys
from pathlib import Path
from components.store import open_store
store = open_store(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
store.put("a", Path(sys.argv[2]))
store.get("a", Path(sys.argv[2] + ".back"))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_memory_stays_flat(server, tmp_path: Path):
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.truncate(192 * MIB)
    done = subprocess.run(
        [sys.executable, "-c", PUT, server[0], path], check=True, capture_output=True, text=True, env=os.environ
    )
    assert int(done.stdout) < 32
    assert path.with_name("file.back").stat().st_size == 192 * MIB
