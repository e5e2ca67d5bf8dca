"""Files between a folder and the object store: several at a time, each held against its SHA-256, and resumable.

A folder that is brought appears whole. A link to a folder, a file that changes while it is read and content that is not
what its digest says are refused.
"""

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from components.errors import DataError, StoreError
from components.store import Store
from components.versions.manifest import Entry, Manifest, content_key
from modelpackage import file_digest
from modelpackage.digest import CHUNK_BYTES

AT_ONCE = 8
TELL_SECONDS = 5.0

Say = Callable[[str], None]
T = TypeVar("T")
U = TypeVar("U")


class Progress:
    """Says every few seconds how far it is.

    Args:
        done: What happens to a file, like ``uploaded``.
        entries: All the files.
        say: Takes the lines.
    """

    def __init__(self, done: str, entries: Sequence[Entry], say: Say) -> None:
        self._done, self._say = done, say
        self._entries = entries
        self._bytes = sum(entry.size for entry in entries)
        self._files = self._sent = 0
        self._told = time.monotonic()

    def __call__(self, index: int) -> None:
        """Count one file as done."""
        self._files += 1
        self._sent += self._entries[index].size
        if time.monotonic() - self._told > TELL_SECONDS:
            self._told = time.monotonic()
            size = f"{readable(self._sent)} of {readable(self._bytes)}"
            self._say(f"{self._done} {self._files:,} of {len(self._entries):,} files, {size}")


def readable(size: int) -> str:
    """Return a number of bytes as people read it, like ``3.2 MB``."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} B"


def each(action: Callable[[T], U], items: Sequence[T], done: Callable[[int], None] | None = None) -> list[U]:
    """Apply an action to every item, several at a time; the first error ends it.

    Args:
        action: Called in threads.
        items: The items.
        done: Told the index of each item that is done, in this thread.

    Returns:
        The results in the order of the items.
    """
    with ThreadPoolExecutor(AT_ONCE) as pool:
        futures = {pool.submit(action, item): index for index, item in enumerate(items)}
        try:
            for future in as_completed(futures):
                future.result()
                if done:
                    done(futures[future])
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return [future.result() for future in futures]


def scan(place: Path) -> dict[str, Path]:
    """Return every file by its path below a folder, ascending; a file alone is a folder of one.

    Raises:
        DataError: There is none, or something can't be stored.
    """
    if place.is_file():
        return {_storable(place.name): place}
    found: dict[str, Path] = {}
    for path in place.rglob("*"):
        if path.is_symlink() and path.is_dir():
            raise DataError(f"{path} is a link to a folder, which is not followed; put the folder itself there")
        if path.is_file():
            found[_storable(path.relative_to(place).as_posix())] = path
        elif not path.is_dir():
            raise DataError(f"{path} is neither a file nor a folder; remove it")
    if not found:
        raise DataError(f"{place} holds no files; give a file, or a folder with files")
    return dict(sorted(found.items()))


def _storable(path: str) -> str:
    try:
        path.encode()
    except UnicodeEncodeError:
        raise DataError(f"the name {path!r} is not UTF-8; rename the file") from None
    return path


def describe(paths: Mapping[str, Path]) -> tuple[Entry, ...]:
    """Return the entries of files.

    Args:
        paths: As :func:`scan` returns them.

    Raises:
        DataError: One can't be read.
    """
    return tuple(each(lambda path: _entry(path, paths[path]), list(paths)))


def _entry(path: str, file: Path) -> Entry:
    try:
        return Entry(path=path, sha256=file_digest(file), size=file.stat().st_size)
    except OSError as error:
        raise DataError(f"can't read {file}: {error.strerror}; make it readable, or remove it") from None


def upload(store: Store, key: str, file: Path, entry: Entry) -> None:
    """Store a file's content: a copy whose digest is right, as the file itself might change while it is sent.

    Raises:
        DataError: It is not what it was when it was described.
    """
    with tempfile.TemporaryDirectory(prefix="slipway-") as scratch:
        copy = Path(scratch) / "content"
        if _copy(file, copy) != entry.sha256:
            raise DataError(f"{file} changed while it was pushed; push again when nothing writes to it")
        store.put(key, copy)


def _copy(file: Path, copy: Path) -> str:
    """Copy a file and return the SHA-256 of what was written."""
    digest = hashlib.sha256()
    try:
        source = file.open("rb")
    except OSError as error:
        raise DataError(f"can't read {file} any more: {error.strerror}; push again when nothing writes to it") from None
    with source, copy.open("wb") as target:
        while chunk := source.read(CHUNK_BYTES):
            digest.update(chunk)
            target.write(chunk)
    return digest.hexdigest()


def get(store: Store, key: str, entry: Entry, path: Path) -> str | None:
    """Read a content into a file, and return what is wrong with it."""
    store.get(key, path)
    size = path.stat().st_size
    if size != entry.size:
        return f"{key} holds {size} bytes, {entry.size} were pushed; remove it from the store and push again"
    digest = file_digest(path)
    if digest != entry.sha256:
        return f"{key} has the SHA-256 {digest}; remove it from the store and push again"
    return None


def bring(store: Store, manifest: Manifest, folder: Path, say: Say, *, replace: bool) -> Path:
    """Bring a version into a folder, which appears whole.

    Args:
        store: The store.
        manifest: The version.
        folder: Where it shall be.
        say: Takes progress, line by line.
        replace: Whether a folder that holds something else is replaced; else it is refused.

    Returns:
        The folder.

    Raises:
        DataError: The folder holds something else.
        StoreError: A file is missing or changed in the store.
    """
    folder = folder.absolute()
    if folder == Path.cwd():
        raise DataError(f"{folder} is the working directory, which can't be replaced; name a folder in it")
    with _partial(folder, manifest.digest) as partial:
        if folder.is_symlink() or folder.is_file():
            raise DataError(f"{folder} is a file or a link; name a new folder")
        if folder.exists() and any(folder.iterdir()):
            strange = _strange(folder, manifest)
            if strange is None:
                return folder
            if not replace:
                raise DataError(f"{folder} is not {manifest.ref}: {strange}; name a new or an empty folder")
            say(f"{folder} is not {manifest.ref} any more: {strange}; it is brought again")
            shutil.rmtree(folder)
        _fill(store, manifest, partial, say)
        partial.rename(folder)
    return folder


def _fill(store: Store, manifest: Manifest, partial: Path, say: Say) -> None:
    """Bring what is not in a folder yet, and remove what does not belong there."""
    _sweep(partial, {entry.path for entry in manifest.files})
    whole = each(lambda entry: _is(partial / entry.path, entry), manifest.files)
    entries = [entry for entry, there in zip(manifest.files, whole, strict=True) if not there]

    def fetch(entry: Entry) -> None:
        handle, name = tempfile.mkstemp(prefix=".", dir=partial)
        os.close(handle)
        key = content_key(manifest.name, entry.sha256)
        if fault := get(store, key, entry, Path(name)):
            raise StoreError(f"{entry.path} of {manifest.ref} in {store.uri} is damaged: {fault}")
        target = partial / entry.path
        target.parent.mkdir(parents=True, exist_ok=True)
        Path(name).chmod(0o644)
        Path(name).replace(target)

    each(fetch, entries, Progress("pulled", entries, say))


def _is(path: Path, entry: Entry) -> bool:
    return path.is_file() and path.stat().st_size == entry.size and file_digest(path) == entry.sha256


def _strange(folder: Path, manifest: Manifest) -> str | None:
    """Return the first thing in which a folder is not a version."""
    wanted = {entry.path for entry in manifest.files}
    there = {
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()
    }
    if there - wanted:
        return f"{min(there - wanted)} does not belong to it"
    whole = each(lambda entry: _is(folder / entry.path, entry), manifest.files)
    wrong = [entry.path for entry, good in zip(manifest.files, whole, strict=True) if not good]
    return f"{wrong[0]} is {'another' if wrong[0] in there else 'missing'}" if wrong else None


def _sweep(folder: Path, wanted: set[str]) -> None:
    """Remove everything but the wanted files, links above all: nothing may be written through one."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_symlink() or (path.is_file() and path.relative_to(folder).as_posix() not in wanted):
            path.unlink()
        elif path.is_dir() and not any(path.iterdir()):
            path.rmdir()


@contextmanager
def _partial(folder: Path, digest: str) -> Iterator[Path]:
    """Hold the folder beside the target that a version is brought into; whoever comes second waits for the first."""
    partial = folder.parent / f".{folder.name}.{digest[:12]}.partial"
    handle = _locked(partial)
    try:
        yield partial
    finally:
        with suppress(OSError):
            partial.rmdir()  # where nothing was brought
        os.close(handle)


def _locked(partial: Path) -> int:
    while True:
        partial.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(partial, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        fcntl.flock(handle, fcntl.LOCK_EX)
        # The one before us may have finished, and its folder has another name by now.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), partial.stat()):
                return handle
        os.close(handle)
