"""A package from wherever it is: a folder, ``file://`` or ``s3://`` in; a verified local package out."""

import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

import modelpackage
from components.errors import StoreError
from components.store import open_store
from modelpackage import Package, PackageError, PackageMissingError, PublicKey

ADDRESSED = "sha256-"


def fetch(place: str, folder: Path, keys: Sequence[PublicKey] | None = None) -> Package:
    """Return the verified package at a place.

    Where the place is named by a digest (``.../sha256-DIGEST/``), the package must have that digest.

    Args:
        place: A path, ``file:///path`` or ``s3://bucket/name/sha256-...``.
        folder: Where a package from ``s3://`` is put, under its own name; a copy that is there already is used.
        keys: Those of which one must have signed it; without, nobody need have.

    Raises:
        PackageError: It is missing, incomplete or changed, or not signed where it must be.
        StoreError: The store can't be reached.
    """
    address = urlsplit(place)
    name = Path(unquote(address.path)).name
    digest = name.removeprefix(ADDRESSED) if name.startswith(ADDRESSED) else None
    if address.scheme not in ("", "file", "s3"):
        raise StoreError(f"{place} is no place for a package; use a path, file:///path or s3://bucket/name/sha256-...")
    if address.scheme == "file" and address.netloc not in ("", "localhost"):
        raise StoreError(
            f"{place} names the host {address.netloc}; a path on this machine has three slashes, file:///path"
        )
    if address.scheme != "s3":
        return modelpackage.load(unquote(address.path) if address.scheme == "file" else place, digest=digest, keys=keys)
    target = folder / name
    # A copy that is not whole is fetched again, and one that was fetched before it was signed.
    with suppress(PackageError):
        if digest:
            return modelpackage.load(target, digest=digest, keys=keys)
    _download(place, target)
    return modelpackage.load(target, digest=digest, keys=keys)


def _download(uri: str, target: Path) -> None:
    """Download beside the target and rename, so that a killed download is never taken for a package."""
    store = open_store(uri.rstrip("/"))
    # A package has no folders; whatever lies deeper is not its own.
    keys = [key for key in store.keys("") if "/" not in key]
    if not keys:
        raise PackageMissingError(f"{uri} holds no model package: the store has nothing below it")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent))
    try:
        for key in keys:
            store.get(key, partial / key)
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
