"""Parts: they cover a file, and a transfer of one is bounded in time."""

import hashlib
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import StoreError
from components.store import part
from components.store.part import MIB, Deadline, Part, Progress, chunks, cut, each


@given(st.integers(0, 5 << 40))
def test_parts_cover_a_file_and_keep_the_rules_of_s3(size: int):
    parts = cut(0, size)
    assert [found.number for found in parts] == list(range(1, len(parts) + 1))
    assert len(parts) <= 10_000
    assert [found.offset for found in parts[1:]] == [found.offset + found.size for found in parts[:-1]]
    assert parts[-1].offset + parts[-1].size == size
    assert {found.size for found in parts[:-1]} <= {parts[0].size}
    assert all(found.size >= 16 * MIB for found in parts[:-1])


def test_a_part_is_read_by_its_offset(tmp_path: Path):
    (tmp_path / "file").write_bytes(bytes(range(256)) * 4096)
    with (tmp_path / "file").open("rb") as file:
        piece = Part(file.fileno(), 2, 100, 700_000)
        content = (bytes(range(256)) * 4096)[100:700_100]
        assert b"".join(chunks(piece)) == content
        assert max(map(len, chunks(piece))) <= 256 << 10
        assert piece.md5 == hashlib.md5(content, usedforsecurity=False).digest()
        with pytest.raises(StoreError, match="the file became shorter while it was sent"):
            list(chunks(Part(file.fileno(), 1, 1 << 20, 1)))


def test_a_transfer_that_hangs_is_noticed(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(part, "GRACE_SECONDS", 0.05)
    deadline = Deadline(1)
    deadline.check()
    time.sleep(0.06)
    with pytest.raises(TimeoutError, match="slower than 50000 bytes a second"):
        deadline.check()
    Deadline(50_000).check()


def test_progress_that_starts_again_tells_nothing_twice():
    told: list[int] = []
    progress = Progress(told.append)
    progress.add(3)
    progress.add(0)
    progress.restart()
    progress.add(2)
    progress.add(4)
    assert told == [3, 3]


def test_the_first_error_ends_all():
    ran: list[int] = []

    def act(number: int) -> int:
        ran.append(number)
        if number == 1:
            raise ValueError(number)
        time.sleep(0.01)
        return -number

    assert dict(each(act, [2, 3])) == {2: -2, 3: -3}
    with pytest.raises(ValueError, match="1"):
        dict(each(act, [1, *range(2, 1000)]))
    assert len(ran) < 500
