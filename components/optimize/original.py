"""What a package was made from: its configuration, and its data dealt into the same rows once more.

Refuses a package that is a variant already, and data that is not the package's own. For ``components.optimize`` and
the command line.
"""

import tempfile
from pathlib import Path

from components.config import Config
from components.dataset import Splits
from components.errors import OptimizeError
from components.ingest import ingest
from components.preprocess import preprocess
from components.record import NOTE, Note, runs
from components.store import Store
from components.versions import versions
from modelpackage import Package

OPTIMIZE = "optimize"
SHORT = 12


def find_source(package: Package, store: Store) -> str:
    """Return where the data of a package is: what its run's record says, else a pushed version of the same data.

    Raises:
        OptimizeError: The store knows neither.
    """
    lineage = package.descriptor.lineage
    for name, run in runs(store, package.descriptor.name):
        note = _note(store, name, run)
        if note.package == package.digest:
            return note.parameters["data.source"]
    for version in versions(store):
        if version.manifest.digest == lineage.data:
            return f"data://{version.manifest.name}@{version.manifest.digest}"
    raise OptimizeError(
        f"{store.uri} does not know where the data sha256:{lineage.data[:SHORT]} of this package is; name it: "
        "--data SOURCE, as data.source of the run had it"
    )


def configuration(package: Package, source: str) -> Config:
    """Return the configuration that a package was made with.

    Args:
        package: A package; where its data lay is not part of it.
        source: Where its data is.

    Raises:
        OptimizeError: The package is a variant already.
        ConfigError: The configuration is none for this version of Slipway.
    """
    parameters = dict(package.descriptor.lineage.parameters)
    if OPTIMIZE in parameters:
        raise OptimizeError(f"sha256:{package.digest[:SHORT]} is an optimised package already; name the original")
    data = parameters.get("data")
    return Config.build({**parameters, "data": {**(data if isinstance(data, dict) else {}), "source": source}})


def rebuild(package: Package, source: str, scratch: Path, cache: Path) -> tuple[Config, Splits]:
    """Read the data of a package again and deal it out as its run did.

    Args:
        package: A verified package.
        source: Where its data is.
        scratch: An empty folder; the splits are kept there.
        cache: A folder for downloads.

    Raises:
        OptimizeError: It is other data, or other rows are held out than those that the package was judged on.
    """
    config, lineage = configuration(package, source), package.descriptor.lineage
    snapshot = ingest(config.data, scratch / "snapshot", cache)
    if (found := snapshot.digest()) != lineage.data:
        raise OptimizeError(
            f"{source} is data sha256:{found[:SHORT]}, the package was made from sha256:{lineage.data[:SHORT]}; "
            "name that data with --data, or train on this data first"
        )
    preprocess(config, snapshot, scratch / "splits")
    splits = Splits(scratch / "splits")
    # Fitted on training rows alone: whoever deals out other rows gets other numbers.
    if splits.preprocessing.model_dump(mode="json") not in package.descriptor.preprocessing.values():
        raise OptimizeError(
            "this version of Slipway holds out other rows than those that the package was judged on; train it again, "
            "or use the version that made it"
        )
    return config, splits


def _note(store: Store, name: str, run: str) -> Note:
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / NOTE
        store.get(f"{name}/runs/{run}/{NOTE}", path)
        return Note.model_validate_json(path.read_bytes())
