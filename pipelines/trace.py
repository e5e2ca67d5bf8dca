"""Where a model came from: its version, run, code, settings, data and files, read from what each place keeps of it.

Refused: a model that is not registered, and a request that the log does not have. For ``pipelines/cli_models.py``.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from components.destination import Destination
from components.errors import StoreError
from components.fetch import fetch
from components.record import NOTE, Note
from components.store import Store, open_store
from components.tracking.registry import Version
from components.versions import versions
from pipelines.errors import RunError

SHORT = 12
FEWEST_DIGITS = 8
MOST_FILES = 10


def find(registered: Iterable[Version], what: str) -> Version:
    """Return the version that is meant.

    Args:
        registered: The newest first.
        what: ``NAME@ALIAS``, ``NAME@VERSION``, or a digest with at least 8 digits.

    Raises:
        RunError: There is none.
    """
    name, _, which = what.partition("@")
    digest = what.removeprefix("sha256-").removeprefix("sha256:")
    for version in registered:
        if which and version.name == name and which in (*version.aliases, version.version):
            return version
        if not which and len(digest) >= FEWEST_DIGITS and version.digest.startswith(digest):
            return version
    raise RunError(f"{what} is no registered model; slipway models shows them as NAME, VERSION, ALIAS and DIGEST")


def answered_by(request: str, log: Path | None) -> str:
    """Return the beginning of the digest of the package that answered a request.

    Args:
        request: The id that the answer carries.
        log: The predictor's log; standard input by default.

    Raises:
        RunError: The log has no such request.
    """
    with log.open(encoding="utf-8") if log else sys.stdin as lines:
        for line in lines:
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict) and event.get("id") == request and event.get("digest"):
                return str(event["digest"])
    place = log or "standard input"
    raise RunError(f"no answer to request {request} is in {place}; --log names the log of the predictor that gave it")


def trace(version: Version, destination: Destination) -> Iterator[tuple[str, str]]:
    """Yield what is known, as (name, text); an empty name goes on with the one before.

    Raises:
        PackageError: The package is gone or damaged.
        StoreError: The store can't be reached.
    """
    with TemporaryDirectory() as scratch:
        lineage = fetch(version.uri, Path(scratch)).descriptor.lineage
    store = open_store(destination.store)
    note = _note(store, version)
    aliases = f" ({', '.join(version.aliases)})" if version.aliases else ""
    yield "package", f"sha256:{version.digest}, whole and unchanged"
    yield "", version.uri
    yield "version", f"{version.name} {version.version}{aliases}"
    yield (
        "run",
        f"{note.run}, {note.finished}" if note else f"{version.tags.get('run', '?')}, of which no record is left",
    )
    yield "", f"in MLflow {version.run_id}"
    yield "code", f"sha256:{lineage.code}"
    yield "", ", ".join(f"{name} {number}" for name, number in lineage.software.items())
    if note:
        yield "image", note.image or f"none, it ran on {note.host}"
        for number, (name, value) in enumerate(note.parameters.items()):
            yield "" if number else "settings", f"{name}={value}"
    yield "data", f"sha256:{lineage.data}"
    yield from _files(store, lineage.data)


def _note(store: Store, version: Version) -> Note | None:
    """Return what the store knows of the run; nothing where that is gone."""
    with TemporaryDirectory() as scratch:
        path = Path(scratch) / NOTE
        try:
            store.get(f"{version.name}/runs/{version.tags.get('run', '')}/{NOTE}", path)
        except StoreError:
            return None
        return Note.model_validate_json(path.read_bytes())


def _files(store: Store, digest: str) -> Iterator[tuple[str, str]]:
    """Yield the files of the data, if a named version has them."""
    same = [version.manifest for version in versions(store) if version.manifest.digest == digest]
    if not same:
        yield "files", "unknown, as no version of the data was pushed; slipway data push keeps one"
        return
    files = same[0].files
    yield "files", f"{len(files)}: slipway data pull {same[0].ref}"
    for entry in files[:MOST_FILES]:
        yield "", f"{entry.sha256[:SHORT]}  {entry.path}"
    if len(files) > MOST_FILES:
        yield "", f"and {len(files) - MOST_FILES} more"
