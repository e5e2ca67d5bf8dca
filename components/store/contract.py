"""What every store does, whatever lies behind it; imported by all of this package, and importing none of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

#: Told how many bytes more are where they belong, in the caller's thread; in the end they add up to the size.
Done = Callable[[int], None]


def quiet(_: int) -> None:
    """Take no notice of progress."""


@dataclass(frozen=True)
class Object:
    """What a listing tells about an object.

    Attributes:
        size: In bytes.
        tag: Changes whenever the content does; S3 calls it ETag.
        modified: When it was written, in seconds since the epoch, by the store's clock.
    """

    size: int
    tag: str
    modified: float


class Store(Protocol):
    """A flat space of objects below one URI; keys are relative and use ``/``.

    Every method raises a StoreError where the store refuses or can't be reached.
    """

    uri: str

    def put(self, key: str, path: Path, done: Done = quiet) -> None:
        """Write an object, whole or not at all; an existing one is replaced.

        A large one that was interrupted goes on where it stopped when the same file is put again.
        """

    def create(self, key: str, path: Path, done: Done = quiet) -> bool:
        """Write an object unless the key is taken; tells whether this call wrote it.

        Of several calls at once at most one is told so. Where the answer of a write that took place was lost, its
        caller may be told that the key is taken.
        """

    def exists(self, key: str) -> bool:
        """Tell whether the key is taken."""

    def get(self, key: str, path: Path, done: Done = quiet) -> None:
        """Read an object into a file, whole or not at all, held against the checksum that the store tells."""

    def remove(self, key: str) -> None:
        """Remove an object; one that is not there is removed already."""

    def keys(self, prefix: str) -> list[str]:
        """Return every key that starts with the prefix, ascending."""

    def objects(self, prefix: str) -> dict[str, Object]:
        """Return every object whose key starts with the prefix, keys ascending."""
