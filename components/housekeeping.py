"""Housekeeping: what of the store was not entered into MLflow yet, and what nothing refers to or goes on from any more.

Nothing is removed that could still be wanted: young things, records that MLflow does not have yet, and everything as
long as MLflow can't be asked.
"""

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from components.destination import Destination
from components.errors import ConfigError
from components.publish import Published, enter
from components.record import Record, runs
from components.store import Object, Store
from components.tracking import Tracking
from components.tracking.registry import Registry
from components.tracking.runs import entered
from modelpackage import DESCRIPTOR

PACKAGE = re.compile(r"(?P<name>[^/]+)/sha256-(?P<digest>[0-9a-f]{64})/")
TRAINING = re.compile(r"[^/]+/[0-9a-f]{64}/")
NAMED = re.compile(rb"sha256-([0-9a-f]{64})")
#: Looking through a whole registry and store takes longer than what a run may wait.
PATIENCE_SECONDS = 600.0


@dataclass(frozen=True, kw_only=True)
class Stray:
    """A package that nothing refers to, or the checkpoints of a training that was given up.

    Attributes:
        folder: Its key prefix, ending in a slash.
        size: Of all its files, in bytes.
        age: Seconds since something was last written to it.
        whole: Whether readers can see it; else a publish ended half way.
    """

    folder: str
    size: int
    age: float
    whole: bool


def register(store: Store, destination: Destination, name: str | None = None) -> list[tuple[str, Published]]:
    """Enter every record of the store that MLflow does not have yet, the oldest first.

    Args:
        store: The store.
        destination: Names the MLflow.
        name: One model instead of all.

    Returns:
        The run and what became of it.

    Raises:
        ConfigError: No MLflow is named.
        TrackingError: MLflow refused or can't be reached.
    """
    known = entered(_tracking(destination))
    with TemporaryDirectory() as scratch:
        missing = [pair for pair in runs(store, name) if pair not in known]
        records = [Record.bring(store, *pair, Path(scratch) / pair[0] / pair[1]) for pair in missing]
        records.sort(key=lambda record: record.note.finished)
        return [(record.note.run, enter(record, store, destination)) for record in records]


def strays(store: Store, destination: Destination, overlays: Iterable[Path], older_than: float) -> list[Stray]:
    """Return the packages that no version, no alias, no file of the overlays and no unfinished run refers to.

    Args:
        store: The store.
        destination: Names the MLflow.
        overlays: Files and folders whose text may name packages by their digest.
        older_than: Seconds: younger packages may be on their way.

    Raises:
        ConfigError: No MLflow is named, or an overlay does not exist.
        TrackingError: MLflow refused or can't be reached.
    """
    tracking = _tracking(destination)
    wanted = {version.digest for version in Registry(tracking).versions()} | _named(overlays)
    known, waiting = entered(tracking), set()
    with TemporaryDirectory() as scratch:
        for pair in runs(store):
            if pair not in known:
                waiting.add(Record.bring(store, *pair, Path(scratch) / pair[0] / pair[1]).note.package)
    folders: dict[str, dict[str, Object]] = {}
    for key, found in store.objects("").items():
        if (match := PACKAGE.match(key)) and match["digest"] not in wanted | waiting:
            folders.setdefault(match[0], {})[key] = found
    all_found = [_stray(folder, files) for folder, files in folders.items()]
    return [stray for stray in all_found if stray.age >= older_than]


def given_up(checkpoints: Store, older_than: float) -> list[Stray]:
    """Return what trainings left that nobody started again: checkpoints, and what machines hand to each other.

    Args:
        checkpoints: The store of ``SLIPWAY_CHECKPOINTS``.
        older_than: Seconds since something was last written there.
    """
    folders: dict[str, dict[str, Object]] = {}
    for key, found in checkpoints.objects("").items():
        if match := TRAINING.match(key):
            folders.setdefault(match[0], {})[key] = found
    found_there = [replace(_stray(folder, files), whole=True) for folder, files in folders.items()]
    return [stray for stray in found_there if stray.age >= older_than]


def remove(store: Store, stray: Stray) -> None:
    """Remove a package, its descriptor first, so that no reader ever sees a part of it."""
    for key in sorted(store.keys(stray.folder), key=lambda key: not key.endswith(f"/{DESCRIPTOR}")):
        store.remove(key)


def _tracking(destination: Destination) -> Tracking:
    if destination.tracking is None:
        raise ConfigError("MLFLOW_TRACKING_URI=none names no MLflow; name the one that the models are registered in")
    return Tracking(destination.tracking, PATIENCE_SECONDS)


def _named(overlays: Iterable[Path]) -> set[str]:
    """Return the digests that stand in the text of files."""
    found: set[str] = set()
    for place in overlays:
        if not place.exists():
            raise ConfigError(f"--overlays {place} does not exist; name the files that say what is served")
        for path in [place] if place.is_file() else place.rglob("*"):
            if path.is_file():
                found |= {digest.decode() for digest in NAMED.findall(path.read_bytes())}
    return found


def _stray(folder: str, files: dict[str, Object]) -> Stray:
    return Stray(
        folder=folder,
        size=sum(found.size for found in files.values()),
        age=time.time() - max(found.modified for found in files.values()),
        whole=folder + DESCRIPTOR in files,
    )
