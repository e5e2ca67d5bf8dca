"""Publish: a sealed package and the record of its run into the object store, then both into MLflow, the alias last.

The store comes first and has everything, so an MLflow that is down costs nothing that can't be written later.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import modelpackage
from components.config import Config
from components.console import say
from components.destination import Destination
from components.errors import StoreError, TrackingError
from components.record import Record
from components.sources.limits import progress
from components.store import Store, open_store
from modelpackage import DESCRIPTOR, PARTS, SEAL, SIGNATURES, DescriptorError, Package, PrivateKey


@dataclass(frozen=True, kw_only=True)
class Published:
    """Where a model is now.

    Attributes:
        uri: The package's folder in the store; ends in a slash, so that a prefix never matches a neighbour.
        digest: The package's identity.
        version: Version of the registered model in MLflow; empty without an MLflow.
        aliases: Those that point to the version now.
        run: MLflow's id of the run.
        url: Where a person can look at the run.
    """

    uri: str
    digest: str
    version: str = ""
    aliases: tuple[str, ...] = ()
    run: str = ""
    url: str = ""


def publish(
    config: Config, run: str, package: Path, evaluation: Path, model: Path, destination: Destination
) -> Published:
    """Publish a package that passed the gate. Safe to repeat: a second call with the same package changes nothing.

    Args:
        config: The run's configuration.
        run: The pipeline run's name.
        package: The sealed package.
        evaluation: What evaluation wrote.
        model: What training wrote.
        destination: Store and MLflow.

    Raises:
        KeyFileError: The destination names a key that can't sign; nothing was written.
        StoreError: The store refused or can't be reached; nothing that looks like a package was left behind.
        TrackingError: MLflow refused or can't be reached; package and record are in the store.
    """
    sealed = modelpackage.load(package)
    key = modelpackage.read_private_key(destination.signing_key) if destination.signing_key else None
    store = open_store(destination.store)
    uri = upload(store, sealed, key)
    say(f"package is at {uri}" + (f", signed by the key {key.public.id}" if key else ""))
    with tempfile.TemporaryDirectory() as folder:
        record = Record.gather(config, run, sealed, uri, evaluation, model, Path(folder))
        record.keep(store)
        return enter(record, store, destination)


def refuse(config: Config, run: str, evaluation: Path, model: Path, destination: Destination) -> None:
    """Keep the record of a run that the gate refused.

    Args:
        config: The run's configuration.
        run: The pipeline run's name.
        evaluation: What evaluation wrote.
        model: What training wrote.
        destination: Store and MLflow.

    Raises:
        StoreError: The store refused or can't be reached.
        TrackingError: MLflow refused or can't be reached; the record is in the store.
    """
    store = open_store(destination.store)
    with tempfile.TemporaryDirectory() as folder:
        record = Record.gather(config, run, None, None, evaluation, model, Path(folder))
        record.keep(store)
        enter(record, store, destination)


def upload(store: Store, package: Package, key: PrivateKey | None = None) -> str:
    """Write a package under its digest: data first, the descriptor last and only if nobody else did.

    What is there already is written again: under a digest there is only one content, so a damaged copy is repaired.
    Signatures come before the descriptor, so that whoever sees the package sees that it is signed.

    Args:
        store: Where to.
        package: With the signatures that lie beside it.
        key: Signs it, too.

    Returns:
        The URI of its folder.

    Raises:
        StoreError: The folder holds something that is not part of the package.
    """
    folder = f"{package.descriptor.name}/sha256-{package.digest}/"
    strangers = set(store.keys(folder)) - {folder + name for name in (*PARTS, SEAL, SIGNATURES, DESCRIPTOR)}
    if strangers:
        raise StoreError(f"{store.uri} holds {min(strangers)}, which is no part of the package; remove it")
    for name in (*PARTS, SEAL):
        store.put(folder + name, package.path / name, progress(name, "more are uploaded"))
    if signatures := modelpackage.read_signatures(package.path) | (package.sign(key) if key else {}):
        add_signatures(store, folder, signatures)
    if not store.create(folder + DESCRIPTOR, package.path / DESCRIPTOR):
        store.put(folder + DESCRIPTOR, package.path / DESCRIPTOR)
    return f"{store.uri}/{folder}"


def add_signatures(store: Store, folder: str, signatures: Mapping[str, bytes]) -> None:
    """Write signatures beside a package; those of other keys that are there stay, unless they are damaged.

    Args:
        store: The store.
        folder: The package's key prefix, ending in a slash; or empty.
        signatures: 64 bytes by the id of the key.

    Raises:
        PackageError: With those that are there, there are too many.
    """
    key = folder + SIGNATURES
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / SIGNATURES
        file.write_bytes(modelpackage.render_signatures(signatures))
        # Of two keys that sign at once the first creates; the other one finds its signature and keeps it.
        if store.create(key, file):
            return
        store.get(key, file)
        try:
            there = modelpackage.read_signatures(Path(scratch))
        except DescriptorError:
            there = {}
        if there != {**there, **signatures}:
            file.write_bytes(modelpackage.render_signatures({**there, **signatures}))
            store.put(key, file)


def enter(record: Record, store: Store, destination: Destination) -> Published:
    """Write a record into MLflow and register its package. Safe to repeat.

    Args:
        record: As the store has it.
        store: Decides between several processes that register one package at once.
        destination: Names the MLflow.

    Raises:
        TrackingError: MLflow refused or can't be reached; the message says how to go on.
    """
    note = record.note
    published = Published(uri=note.uri or "", digest=note.package or "")
    if destination.tracking is None:
        say("there is no MLflow: the record of the run is in the store alone")
        return published
    from components.tracking import Tracking
    from components.tracking.registry import Registry
    from components.tracking.runs import mark_entered, write_run

    tracking = Tracking(destination.tracking)
    try:
        recorded = write_run(tracking, record, adopt=destination.adopt)
        say(f"run is in MLflow: {recorded.url}")
        if note.gate == "refused":
            mark_entered(tracking, record, recorded.run_id)
            return published
        registry = Registry(tracking)
        version = registry.register(note, recorded.run_id, store)
        aliases = registry.crown(version, note)
        mark_entered(tracking, record, recorded.run_id)
    except TrackingError as error:
        again = f"slipway register {note.name}" + (f" --profile {destination.profile}" if destination.profile else "")
        raise TrackingError(f"{error}; nothing is lost, the store has it all; later: {again}") from None
    say(f"{note.name} version {version.version} is {' and '.join(aliases)} in MLflow")
    return Published(
        uri=published.uri,
        digest=published.digest,
        version=version.version,
        aliases=aliases,
        run=recorded.run_id,
        url=recorded.url,
    )
