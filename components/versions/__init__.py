"""Versions of data sets in the object store: named, immutable, and with every distinct content stored once.

Below ``datasets/NAME/``: ``files/SHA256`` are contents, ``versions/DIGEST.json`` is what a version consists of, written
last and never over another, ``pushed/DIGEST.json`` is when. A file that is not what was pushed is
refused. Rows are not looked at here: whoever pushes says what reading them gave.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from components import console
from components.errors import DataError
from components.store import Store
from components.versions.manifest import (
    Entry,
    Manifest,
    Push,
    Summary,
    check_name,
    content_key,
    known,
    manifest_key,
    push_key,
    read,
    read_manifest,
    resolve,
    write,
)
from components.versions.transfer import Progress, Say, bring, describe, each, get, scan, upload


@dataclass(frozen=True)
class Pushed:
    """What a push came to.

    Attributes:
        manifest: The version as it is in the store.
        uploaded: How many contents the store did not have.
        new: Whether this push made the version.
    """

    manifest: Manifest
    uploaded: int
    new: bool


@dataclass(frozen=True)
class Version:
    """A version and when it was pushed first."""

    manifest: Manifest
    pushed: datetime


@dataclass(frozen=True, kw_only=True)
class Diff:
    """What differs between two versions.

    Attributes:
        added: Paths that only the second has.
        removed: Paths that only the first has.
        changed: Paths with another content.
        labels: Rows of each class whose count differs, in the first and in the second.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    labels: Mapping[str, tuple[int, int]]

    def folders(self) -> dict[str, tuple[int, int, int]]:
        """Return how many files were added, removed and changed, by the folder that they are in."""
        counts: dict[str, list[int]] = {}
        for column, paths in enumerate((self.added, self.removed, self.changed)):
            for path in paths:
                counts.setdefault(PurePosixPath(path).parent.as_posix(), [0, 0, 0])[column] += 1
        return {folder: (row[0], row[1], row[2]) for folder, row in sorted(counts.items())}


def push(
    store: Store,
    name: str,
    place: Path,
    *,
    digest: str,
    summary: Summary,
    seen: Sequence[Entry] | None = None,
    say: Say = console.say,
) -> Pushed:
    """Store a version of a data set. Safe to repeat: what is in the store already is not sent again.

    Args:
        store: The store.
        name: The data set: a DNS label.
        place: A file, or a folder of which every file belongs to the version.
        digest: The version: what ``Snapshot.digest`` says of these files.
        summary: What reading them gave.
        seen: The files as they were before the digest was computed, by
            :func:`components.versions.transfer.describe`; a file that is another by now is refused.
        say: Takes progress, line by line.

    Raises:
        DataError: A file can't be read, or changed meanwhile.
        StoreError: The store refused or can't be reached; nothing that looks like a version was left behind.
    """
    check_name(name)
    paths = scan(place)
    entries = describe(paths)
    _refuse_change(place, entries if seen is None else seen, entries)
    manifest = Manifest(name=name, digest=digest, files=entries, **summary.model_dump())
    if store.exists(manifest_key(name, digest)):
        standing = read_manifest(store, name, digest)
        if standing.files != manifest.files:
            say(f"{standing.ref} is there already: the same rows, from other files; it stays as it is")
            return Pushed(standing, uploaded=0, new=False)
    stored = set(store.keys(content_key(name, "")))
    absent = {entry.sha256: entry for entry in entries if content_key(name, entry.sha256) not in stored}
    progress = Progress("uploaded", list(absent.values()), say)
    each(
        lambda entry: upload(store, content_key(name, entry.sha256), paths[entry.path], entry),
        list(absent.values()),
        progress,
    )
    write(store, push_key(name, digest), Push(pushed=datetime.now(UTC)))
    new = write(store, manifest_key(name, digest), manifest)
    return Pushed(manifest, uploaded=len(absent), new=new)


def _refuse_change(place: Path, seen: Sequence[Entry], entries: Sequence[Entry]) -> None:
    changed = sorted({entry.path for entry in {*seen} ^ {*entries}})
    if changed:
        raise DataError(f"{changed[0]} of {place} changed while it was pushed; push again when nothing writes to it")


def versions(store: Store, name: str | None = None) -> list[Version]:
    """Return the versions of a data set, or of all; by name, the newest last.

    Raises:
        StoreError: The store can't be reached, or holds a manifest that no push wrote.
    """

    def load(found: tuple[str, str]) -> Version:
        return Version(read_manifest(store, *found), read(store, Push, push_key(*found)).pushed)

    if name is not None:
        check_name(name)
    return sorted(each(load, known(store, name)), key=lambda version: (version.manifest.name, version.pushed))


def pull(store: Store, ref: str, folder: Path, say: Say = console.say) -> Path:
    """Bring a version into a folder, which appears whole; a pull that was killed goes on where it stopped.

    Args:
        store: The store.
        ref: As :func:`resolve` takes it.
        folder: New, empty, or with this version in it already.
        say: Takes progress, line by line.

    Returns:
        The folder.

    Raises:
        DataError: The folder holds something else.
        StoreError: There is no such version, or a file of it is missing or changed in the store.
    """
    return bring(store, resolve(store, ref), folder, say, replace=False)


def open_version(store: Store, ref: str, cache: Path, say: Say = console.say) -> Path:
    """Return a version's folder in a cache; what is there is verified, and brought again if it is damaged.

    Raises:
        StoreError: There is no such version, or a file of it is missing or changed in the store.
    """
    manifest = resolve(store, ref)
    return bring(store, manifest, cache / f"{manifest.name}-{manifest.digest[:12]}", say, replace=True)


def verify(store: Store, ref: str, say: Say = console.say) -> list[str]:
    """Read every file of a version out of the store, and return what is wrong, a line for each file."""
    manifest = resolve(store, ref)
    stored = set(store.keys(content_key(manifest.name, "")))

    def check(entry: Entry) -> str | None:
        key = content_key(manifest.name, entry.sha256)
        if key not in stored:
            return f"missing: {entry.path} ({key}); push it again"
        with tempfile.TemporaryDirectory(prefix="slipway-") as scratch:
            fault = get(store, key, entry, Path(scratch) / "file")
        return f"changed: {entry.path}: {fault}" if fault else None

    return [problem for problem in each(check, manifest.files, Progress("verified", manifest.files, say)) if problem]


def diff(store: Store, ref: str, other: str) -> Diff:
    """Compare two versions, of one data set or of two."""
    old, new = resolve(store, ref), resolve(store, other)
    before, after = ({entry.path: entry.sha256 for entry in manifest.files} for manifest in (old, new))
    return Diff(
        added=tuple(path for path in after if path not in before),
        removed=tuple(path for path in before if path not in after),
        changed=tuple(path for path in before if after.get(path, before[path]) != before[path]),
        labels={
            label: (old.labels.get(label, 0), new.labels.get(label, 0))
            for label in sorted(old.labels | new.labels)
            if old.labels.get(label) != new.labels.get(label)
        },
    )
