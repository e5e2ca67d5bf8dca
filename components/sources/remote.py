"""A data URI in, a local file or folder out: nothing copied that is here, everything else fetched once and checked.

Refused: what is larger than allowed or has another checksum, plain http without one, and a redirect that leads to an
address that is not public. For ``components/ingest.py``.
"""

import fcntl
import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import SplitResult, quote, unquote

from components.errors import ConfigError, DataError
from components.sources.archive import is_archive, opened
from components.sources.limits import allow, check, progress
from components.sources.web import PLACES, PORTS, download, shown, split
from components.store import mirror, open_store

NO_FILE = "is a folder, and a checksum is of one file; leave data.checksum out"


def bring(uri: str, folder: Path, *, checksum: str | None = None, max_bytes: int, members: Sequence[str] = ()) -> Path:
    """Return a local file or folder that holds what a URI names; an archive is unpacked.

    Args:
        uri: A path, ``file:///path``, ``s3://bucket/prefix/`` or ``https://host/file``.
        folder: Where fetched things are kept; a later call goes on with them.
        checksum: SHA-256 that a single file must have, 64 hexadecimal digits.
        max_bytes: The most that is fetched or unpacked.
        members: Names of the files to fetch below a URL that ends with a slash, which can't be listed.

    Raises:
        ConfigError: The URI names nothing that can be fetched.
        DataError: What it names is missing, unsafe, too large, or has another checksum.
        StoreError: The object store can't be reached.
    """
    parts = split(uri if "://" in uri else "")
    place = _here(uri, parts, checksum)
    if place and not is_archive(place):
        return place
    kept = folder / hashlib.sha256(uri.encode()).hexdigest()[:16]
    with _alone(kept):
        if place is None and parts.scheme == "s3":
            place = _from_store(uri, kept, checksum, max_bytes)
        elif place is None:
            place = _from_web(uri, kept / "files", checksum, max_bytes, members)
        return opened(place, kept, max_bytes) if is_archive(place) else place


def _here(uri: str, parts: SplitResult, checksum: str | None) -> Path | None:
    """Return what a URI names on this machine, None if it names another place."""
    if "://" in uri and not (parts.scheme == "file" and parts.netloc in ("", "localhost")):
        if parts.scheme in ("s3", *PORTS) and parts.hostname:
            return None
        raise ConfigError(f"{shown(uri)} is no place that data can come from; use {PLACES}")
    path = Path(unquote(parts.path) if "://" in uri else uri)
    if not path.exists():
        raise DataError(f"{path} does not exist; give {PLACES}")
    if checksum and not path.is_file():
        raise DataError(f"{path} {NO_FILE}")
    check(path, checksum)
    return path


@contextmanager
def _alone(kept: Path) -> Iterator[None]:
    """Let one process at a time fetch a source: two would write to the same half-fetched file."""
    try:
        kept.mkdir(parents=True, exist_ok=True)
        with (kept / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise DataError(f"can't keep data in {kept}: {error.strerror}; make it writable, with room enough") from None


def _from_store(uri: str, kept: Path, checksum: str | None, max_bytes: int) -> Path:
    """Fetch an object, or every object below a prefix."""
    above, _, name = uri.rpartition("/")
    single = name if above.count("/") > 1 and name and open_store(above).exists(name) else ""
    store, files = open_store(above if single else uri.rstrip("/")), kept / "files"
    listed = {key: found for key, found in store.objects(single).items() if single in ("", key)}
    # An empty name, or one that ends with a slash, is what consoles make for a folder.
    objects = {key: found for key, found in listed.items() if key and not key.endswith("/")}
    if checksum and not single:
        raise DataError(f"{uri} {NO_FILE}")
    if not objects:
        raise DataError(f"{uri} holds nothing; check the bucket and the prefix")
    allow(uri, sum(found.size for found in objects.values()), max_bytes)
    mirror(store, objects, files, progress(f"objects below {uri}"))
    check(files / single, checksum, fetched=True)
    return files / single


def _from_web(url: str, files: Path, checksum: str | None, max_bytes: int, members: Sequence[str]) -> Path:
    parts = split(url)
    if "@" in parts.netloc:
        raise ConfigError(f"the URL of {parts.hostname} has a user or password, which logs would show; leave it out")
    if parts.scheme == "http" and not checksum:
        raise ConfigError(f"{shown(url)} can be changed on its way by anyone; use https, or give data.checksum")
    if not parts.path.endswith("/"):
        name = re.sub(r"[^\w.+-]", "_", unquote(parts.path).rpartition("/")[2])[-100:]
        return download(url, files / (name if name.strip(".") else "download"), checksum, max_bytes)
    if not members or checksum:
        raise ConfigError(f"{shown(url)} is a folder, with no list and no checksum; name a file or an archive")
    left = max_bytes
    for name in members:
        member = parts._replace(path=parts.path + quote(name)).geturl()
        left -= download(member, files / name, None, left).stat().st_size
    return files
