"""The S3 store: what a conditional write comes to where the server can't decide or its answer is lost."""

import threading
from pathlib import Path

import pytest

from components.errors import StoreError
from components.store import open_store
from components.store.bucket import Bucket, RefusedError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    return path


def test_a_write_whose_answer_was_lost_took_place_and_no_two_think_that_they_won(store, middleman, file: Path):
    middleman.spoil = lambda number, method, _: "lost" if method == "PUT" and number % 2 else None
    won = [store.create("a", file) for _ in range(4)]
    assert won.count(True) <= 1
    assert store.exists("a")


@pytest.mark.parametrize(("size", "methods"), [(7, ["PUT"]), (1 << 20, ["HEAD"]), (12 << 20, ["HEAD"])])
def test_a_taken_key_costs_no_large_upload(store, middleman, file: Path, size, methods):
    store.put("a", file)
    middleman.seen.clear()
    file.write_bytes(bytes(size))
    assert not store.create("a", file)
    assert [method for method, _ in middleman.seen] == methods


@pytest.mark.parametrize("size", [300_000, (1 << 20) - 1, 7 << 20])
def test_a_refusal_that_comes_before_all_was_sent_is_heard(server, file: Path, monkeypatch, size):
    monkeypatch.setattr("components.store.s3.MIB", 1 << 30)
    store = open_store(server[0])
    store.put("a", file)
    file.write_bytes(bytes(size))
    for _ in range(5):
        assert not store.create("a", file)


@pytest.mark.parametrize("conflicts", [1, 3, 100])
def test_a_conflict_is_no_answer_yet(store, file: Path, monkeypatch, conflicts: int):
    """Some servers answer 409 while another request to the key is under way."""
    left = [conflicts]
    write = Bucket.write

    def conflicting(self, *arguments, **more):
        if left[0]:
            left[0] -= 1
            raise RefusedError("409", "ConditionalRequestConflict")
        return write(self, *arguments, **more)

    monkeypatch.setattr(Bucket, "write", conflicting)
    if conflicts == 100:
        with pytest.raises(StoreError, match="written and removed by others all the time"):
            store.create("a", file)
    else:
        assert store.create("a", file)


@pytest.mark.parametrize("size", [7, 12 << 20])
def test_of_many_creators_behind_a_bad_network_one_wins(store, middleman, tmp_path: Path, size: int):
    middleman.spoil = lambda number, *_: "reset" if number in (3, 6, 9, 12) else None
    won: list[int] = []

    def create(number: int) -> None:
        path = tmp_path / f"creator-{number}"
        path.write_bytes(bytes([number]) * size)
        if store.create("race", path):
            won.append(number)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    store.get("race", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == bytes([won[0]]) * size
