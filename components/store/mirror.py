"""A folder that holds what a store does. What changed since it was listed is refused, and keys that lead elsewhere."""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from components.errors import DataError
from components.sources.archive import places
from components.store.contract import Done, Object, Store

AT_ONCE = 8


def mirror(store: Store, objects: Mapping[str, Object], folder: Path, done: Done) -> None:
    """Make a folder hold these objects of a store and nothing else; what is there unchanged is not read again.

    Args:
        store: The store.
        objects: What its listing says.
        folder: The folder; a file beside it remembers the tags of what it holds.
        done: Told the size of each object that has come, in this thread.

    Raises:
        DataError: A key would not lie below the folder, or an object changed since the listing.
        StoreError: The store can't be read.
    """
    paths, journal = places(objects, folder), folder.with_name(f"{folder.name}.jsonl")
    known, kept = _known(journal), set(paths.values())
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
        elif not path.is_dir() and path not in kept:
            path.unlink()

    def read(key: str) -> str:
        paths[key].parent.mkdir(parents=True, exist_ok=True)
        store.get(key, paths[key])
        if paths[key].stat().st_size != objects[key].size:
            raise DataError(f"{store.uri}/{key} is not as large as it was listed; run again when nothing writes to it")
        return key

    same = {key for key, path in paths.items() if path.is_file() and path.stat().st_size == objects[key].size}
    wanted = [key for key in paths if key not in same or known.get(key) != objects[key].tag]
    with ThreadPoolExecutor(AT_ONCE) as pool, journal.open("a") as log:
        for key in pool.map(read, wanted):
            log.write(json.dumps([key, objects[key].tag]) + "\n")
            log.flush()
            done(objects[key].size)


def _known(journal: Path) -> dict[str, str]:
    """Return the tags of what was read before."""
    known: dict[str, str] = {}
    for line in journal.read_text().splitlines() if journal.exists() else ():
        with suppress(ValueError):  # the last line of a process that was killed
            key, known[key] = json.loads(line)
    return known
