"""A store in a folder: the laptop's. Half-written files are never seen under a key, nor in a folder below the root."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from components.errors import StoreError
from components.store.contract import Done, Object, quiet
from components.store.partial import SUFFIX, beside

CHUNK_BYTES = 1 << 20


class FolderStore:
    """A store in a folder; an object is a file.

    Args:
        root: The folder; made with the first write.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.uri = root.absolute().as_uri()

    def put(self, key: str, path: Path, done: Done = quiet) -> None:
        """Copy into the root under another name, then rename."""
        with self._copied(key, path, done) as copy:
            copy.replace(self.root / key)

    def create(self, key: str, path: Path, done: Done = quiet) -> bool:
        """Copy into the root under another name, then link, which fails where a name exists."""
        with self._copied(key, path, done) as copy:
            try:
                os.link(copy, self.root / key)
            except FileExistsError:
                return False
        return True

    def exists(self, key: str) -> bool:
        """Tell whether the file exists."""
        return (self.root / key).is_file()

    def get(self, key: str, path: Path, done: Done = quiet) -> None:
        """Copy the file."""
        try:
            source = (self.root / key).open("rb")
        except FileNotFoundError:
            raise StoreError(f"there is no {key} in {self.uri}") from None
        with source, beside(path) as partial:
            with partial.open("wb") as target:
                _copy(source, target, done)
            partial.replace(path)

    def remove(self, key: str) -> None:
        """Remove the file."""
        try:
            (self.root / key).unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"can't remove {key} from {self.uri}: {error.strerror}") from None

    def keys(self, prefix: str) -> list[str]:
        """List files, half-written ones left out."""
        return list(self.objects(prefix))

    def objects(self, prefix: str) -> dict[str, Object]:
        """List files with their sizes and times, half-written ones left out."""
        found: dict[str, Object] = {}
        for path in self.root.rglob("*"):
            key = path.relative_to(self.root).as_posix()
            if path.is_file() and key.startswith(prefix) and not key.endswith(SUFFIX):
                with suppress(FileNotFoundError):  # removed meanwhile
                    state = path.stat()
                    found[key] = Object(state.st_size, str(state.st_mtime_ns), state.st_mtime)
        return dict(sorted(found.items()))

    @contextmanager
    def _copied(self, key: str, path: Path, done: Done) -> Iterator[Path]:
        target = self.root / key
        # Not beside the target: whoever reads a package while its signature is written must find no file more in it.
        aside = self.root / target.name
        with path.open("rb") as source:
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                with beside(aside) as partial:
                    with partial.open("wb") as copy:
                        _copy(source, copy, done)
                        copy.flush()
                        os.fsync(copy.fileno())
                    yield partial
            except OSError as error:
                raise StoreError(f"can't write {key} to {self.uri}: {error.strerror}") from None


def _copy(source: IO[bytes], target: IO[bytes], done: Done) -> None:
    while chunk := source.read(CHUNK_BYTES):
        target.write(chunk)
        done(len(chunk))
