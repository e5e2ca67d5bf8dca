"""Publish: a sealed package into the object store, its lineage into MLflow, the alias last."""

import json
import os
import platform
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import modelpackage
from components.config import Config
from components.console import say
from components.destination import Destination
from components.errors import StoreError
from components.evaluate import Evaluation
from components.store import Store, open_store
from components.tracking import Recorded, Tracking
from components.train import TRAINING
from modelpackage import DESCRIPTOR, PARTS, SEAL, Package, canonical_json


@dataclass(frozen=True, kw_only=True)
class Published:
    """Where a model is now.

    Attributes:
        uri: The package's folder in the store; ends in a slash, so that a prefix never matches a neighbour.
        digest: The package's identity.
        version: Version of the registered model in MLflow.
        run: MLflow's id of the run.
        url: Where a person can look at the run.
    """

    uri: str
    digest: str
    version: str
    run: str
    url: str


def publish(
    config: Config, run: str, package: Path, evaluation: Path, model: Path, destination: Destination
) -> Published:
    """Publish a package that passed the gate. Safe to repeat: a second call with the same package changes nothing.

    Args:
        config: The run's configuration.
        run: The pipeline run's id.
        package: The sealed package.
        evaluation: What evaluation wrote.
        model: What training wrote.
        destination: Store and MLflow.

    Raises:
        StoreError: The store refused or can't be reached; nothing that looks like a package was left behind.
        TrackingError: MLflow refused or can't be reached; the package itself is published.
    """
    sealed = modelpackage.load(package)
    store = open_store(destination.store)
    uri = upload(store, sealed)
    say(f"package is at {uri}")
    tags = {
        "gate": "passed",
        "digest": sealed.digest,
        "storage_uri": uri,
        "data": sealed.descriptor.lineage.data,
    }
    recorded = record(config, run, evaluation, model, destination, tags)
    tracking = Tracking(destination.tracking)
    version = tracking.register(config.name, digest=sealed.digest, uri=uri, run_id=recorded.run_id, tags=tags)
    _note_run(store, sealed, run, {"mlflow_run": recorded.run_id, "version": version})
    tracking.promote(config.name, version)
    say(f"{config.name} version {version} is champion in MLflow")
    return Published(uri=uri, digest=sealed.digest, version=version, run=recorded.run_id, url=recorded.url)


def upload(store: Store, package: Package) -> str:
    """Write a package under its digest: data first, the descriptor last and only if nobody else did.

    What is there already is written again: under a digest there is only one content, so a damaged copy is repaired.

    Returns:
        The URI of its folder.

    Raises:
        StoreError: The folder holds something that is not part of the package.
    """
    folder = f"{package.descriptor.name}/sha256-{package.digest}/"
    strangers = set(store.keys(folder)) - {folder + name for name in (*PARTS, SEAL, DESCRIPTOR)}
    if strangers:
        raise StoreError(f"{store.uri} holds {min(strangers)}, which is no part of the package; remove it")
    for name in (*PARTS, SEAL):
        store.put(folder + name, package.path / name)
    if not store.create(folder + DESCRIPTOR, package.path / DESCRIPTOR):
        store.put(folder + DESCRIPTOR, package.path / DESCRIPTOR)
    return f"{store.uri}/{folder}"


def record(
    config: Config, run: str, evaluation: Path, model: Path, destination: Destination, tags: Mapping[str, str]
) -> Recorded:
    """Write the run into MLflow: settings, metrics, the learning curve, figures and the report."""
    measured = Evaluation.open(evaluation)
    history = json.loads((model / TRAINING).read_bytes())["history"]
    tracking = Tracking(destination.tracking)
    recorded = tracking.record(
        config.name,
        run,
        parameters=config.flat(),
        metrics=measured.metrics,
        history=history,
        tags=tags,
        files=evaluation,
    )
    say(f"run is in MLflow: {recorded.url}")
    return recorded


def _note_run(store: Store, package: Package, run: str, ids: Mapping[str, str]) -> None:
    """Write ``runs/RUN.json`` beside the packages: everything that differs between runs with equal results."""
    note = {
        "run": run,
        "package": package.digest,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "host": platform.node(),
        "image": os.environ.get("SLIPWAY_IMAGE", ""),
        **ids,
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.json"
        path.write_bytes(canonical_json(note))
        store.put(f"{package.descriptor.name}/runs/{run}.json", path)
