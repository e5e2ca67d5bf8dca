"""Pieces of a file: where they lie, their MD5, and reading one without the file ever being in memory.

MD5 is what every S3 server checks and tells; it guards against damage here, never against malice.
"""

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from components.errors import StoreError
from components.store.contract import Done

MIB = 1 << 20
#: S3 takes parts of at least 5 MiB, and at most this many.
PART_BYTES, MOST_PARTS = 16 * MIB, 10_000
CHUNK_BYTES = 256 << 10
#: A transfer that is slower than this, beyond a first minute, counts as one that hangs.
GRACE_SECONDS, LEAST_RATE = 60.0, 50_000
AT_ONCE = 4

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True)
class Part:
    """A piece of an open file.

    Attributes:
        file: The file's descriptor; read by offset, so several threads may share it.
        number: Counted from 1.
        offset: Where it begins, in bytes.
        size: In bytes.
    """

    file: int
    number: int
    offset: int
    size: int

    @cached_property
    def md5(self) -> bytes:
        """The MD5 of its content, 16 bytes."""
        digest = hashlib.md5(usedforsecurity=False)
        for chunk in chunks(self):
            digest.update(chunk)
        return digest.digest()


def chunks(part: Part) -> Iterator[bytes]:
    """Yield a part's content in chunks.

    Raises:
        StoreError: The file became shorter.
        TimeoutError: Whoever takes it takes too long.
    """
    deadline, position = Deadline(part.size), 0
    while position < part.size:
        deadline.check()
        chunk = os.pread(part.file, min(CHUNK_BYTES, part.size - position), part.offset + position)
        if not chunk:
            raise StoreError("the file became shorter while it was sent; run again when nothing writes to it")
        position += len(chunk)
        yield chunk


class Deadline:
    """When a transfer counts as one that hangs, though a byte comes now and then.

    Args:
        size: How many bytes are to go.
    """

    def __init__(self, size: int) -> None:
        self._end = time.monotonic() + GRACE_SECONDS + size / LEAST_RATE

    def check(self) -> None:
        """Raise a TimeoutError when it is over."""
        if time.monotonic() > self._end:
            raise TimeoutError(f"slower than {LEAST_RATE} bytes a second")


class Progress:
    """Tells how many bytes more are where they belong; a transfer that starts again is not counted twice."""

    def __init__(self, done: Done) -> None:
        self._done = done
        self._told = self._now = 0

    def restart(self) -> None:
        """Count from the beginning."""
        self._now = 0

    def add(self, size: int) -> None:
        """Count some bytes."""
        self._now += size
        if self._now > self._told:
            self._done(self._now - self._told)
            self._told = self._now


def cut(file: int, size: int) -> list[Part]:
    """Return the parts of a file: equal ones, and a last one. The same for every file of this size."""
    step = max(PART_BYTES, -(-size // (MOST_PARTS * MIB)) * MIB)
    return [
        Part(file, number, offset, min(step, size - offset))
        for number, offset in enumerate(range(0, max(size, 1), step), start=1)
    ]


def each(action: Callable[[T], U], items: Sequence[T]) -> Iterator[tuple[T, U]]:
    """Apply an action to items in threads, several at once; yield both as they are done. The first error ends it."""
    pool = ThreadPoolExecutor(AT_ONCE)
    try:
        futures = {pool.submit(action, item): item for item in items}
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
