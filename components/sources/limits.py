"""What every fetch keeps to: a most of bytes, a checksum, and a word every few seconds. Refuses what breaks them."""

import time
from collections.abc import Callable
from pathlib import Path

from components.console import say
from components.errors import DataError
from components.versions.transfer import readable
from modelpackage import file_digest

TELL_SECONDS = 5.0


def check(path: Path, checksum: str | None, *, fetched: bool = False) -> None:
    """Hold a file against its checksum; one that was fetched for nothing is removed."""
    if checksum and (found := file_digest(path)) != checksum:
        if fetched:
            path.unlink()
        raise DataError(f"{path.name} has the SHA-256 {found}, data.checksum says {checksum}; one of them is wrong")


def allow(what: str, size: int | None, max_bytes: int) -> None:
    """Refuse what is larger than allowed; an unknown size is allowed."""
    if size is not None and size > max_bytes:
        raise DataError(f"{what} has {size} bytes, data.max_gb allows {max_bytes}; raise it")


def progress(name: str, done: str = "more have come") -> Callable[[int], None]:
    """Return what is to be told the size of all that comes, and says every few seconds how much that was."""
    got, told = 0, time.monotonic()

    def add(size: int) -> None:
        nonlocal got, told
        got += size
        if time.monotonic() - told > TELL_SECONDS:
            told = time.monotonic()
            say(f"{name}: {readable(got)} {done}")

    return add
