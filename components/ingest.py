"""Ingest: a source in, a snapshot of its rows out."""

from collections.abc import Callable
from pathlib import Path

from components.config import Data
from components.errors import DataError
from components.snapshot import Snapshot
from components.sources.columns import format_of
from components.sources.remote import bring

Reader = Callable[[Path, Data, Path], Snapshot]
IDX = "*-images-idx3-ubyte*"
GIGABYTE = 10**9
VERSION = "data://"


def ingest(data: Data, scratch: Path, cache: Path) -> Snapshot:
    """Read every row of a source.

    Args:
        data: The source.
        scratch: A folder for arrays that are too large for memory; the snapshot refers to it.
        cache: A folder for downloads, which a later call goes on with.

    Raises:
        ConfigError: There is no such source.
        DataError: The source can't be used.
        StoreError: The object store can't be reached.
    """
    if data.source.startswith("builtin://"):
        from components.sources import builtin

        return builtin.read(data)
    place = locate(data, cache)
    chosen = data.format or guess(place)
    scratch.mkdir(parents=True, exist_ok=True)
    return READERS[chosen](place, data, scratch)


def locate(data: Data, cache: Path) -> Path:
    """Return the local file or folder that holds a source, fetched if it is elsewhere."""
    from components.sources.idx import MEMBERS

    members = MEMBERS if data.format == "idx" else ()
    limit = int(data.max_gb * GIGABYTE)
    if data.source.startswith(VERSION):
        from components.destination import Destination
        from components.store import open_store
        from components.versions import open_version

        return open_version(open_store(Destination.from_environment().store), data.source, cache)
    return bring(data.source, cache, checksum=data.checksum, max_bytes=limit, members=members)


def guess(place: Path) -> str:
    """Tell the format from what is there.

    Raises:
        DataError: It can't be told.
    """
    if place.is_dir() and next(place.rglob(IDX), None):
        return "idx"
    from components.sources.pictures import pictures_of

    # Pictures before tables: a README.txt beside them is no table, while no table has pictures beside it.
    folders = [path for path in place.iterdir() if path.is_dir()] if place.is_dir() else []
    if any(pictures_of(folder) for folder in folders):
        return "pictures"
    table = format_of(place)
    if table:
        return table
    if folders:
        return "pictures"
    raise DataError(
        f"can't tell what {place} is; give a CSV or Parquet file, a folder with a folder of pictures per class, or the "
        "folder of the idx files, or set data.format"
    )


def _table(place: Path, data: Data, _: Path) -> Snapshot:
    from components.sources import table

    return table.read(place, data)


def _idx(place: Path, _: Data, __: Path) -> Snapshot:
    from components.sources import idx

    return idx.read(place)


def _pictures(place: Path, data: Data, scratch: Path) -> Snapshot:
    from components.sources import pictures

    return pictures.read(place, data, scratch)


READERS: dict[str, Reader] = {"csv": _table, "parquet": _table, "idx": _idx, "pictures": _pictures}
