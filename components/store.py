"""The object store: S3 through the minio client, or a folder, behind one small interface.

Nothing here depends on more than S3: plain puts, gets, listings, and the conditional put (``If-None-Match: *``).
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Protocol, TypeVar
from urllib.parse import unquote, urlsplit

import urllib3
from minio import Minio
from minio.error import MinioException, S3Error

from components.destination import S3
from components.errors import DataError, StoreError
from components.sources.archive import places

CONNECT_SECONDS, READ_SECONDS = 5.0, 60.0
#: What a retry may cure: the transport retries a refused or broken connection and these answers, 0.5 s to 4 s apart.
TRANSIENT = (429, 500, 502, 503, 504)
RETRIES = 4
#: Kept open: as many as threads of ours that fetch or upload at once.
CONNECTIONS = 16

T = TypeVar("T")


@dataclass(frozen=True)
class Object:
    """What a listing tells about an object.

    Attributes:
        size: In bytes.
        tag: Changes whenever the content does; S3 calls it ETag.
    """

    size: int
    tag: str


class Store(Protocol):
    """A flat space of objects below one URI; keys are relative and use ``/``."""

    uri: str

    def put(self, key: str, path: Path) -> None:
        """Write an object, whole or not at all; an existing one is replaced."""

    def create(self, key: str, path: Path) -> bool:
        """Write an object unless the key is taken; tells whether this call wrote it."""

    def exists(self, key: str) -> bool:
        """Tell whether the key is taken."""

    def get(self, key: str, path: Path) -> None:
        """Read an object into a file, whole or not at all."""

    def keys(self, prefix: str) -> list[str]:
        """Return every key that starts with the prefix, ascending."""

    def objects(self, prefix: str) -> dict[str, Object]:
        """Return every object whose key starts with the prefix, keys ascending."""


def open_store(uri: str) -> Store:
    """Open a store by its URI.

    Args:
        uri: ``file:///absolute/path`` or ``s3://bucket/prefix`` (credentials from the environment).

    Raises:
        StoreError: The URI names no store.
        ConfigError: The environment lacks what S3 needs.
    """
    parts = urlsplit(uri)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path.startswith("/"):
        return FolderStore(Path(unquote(parts.path)))
    if parts.scheme == "s3" and parts.netloc:
        return S3Store(S3.from_environment(), parts.netloc, parts.path.strip("/"))
    raise StoreError(f"{uri!r} is not a store; use file:///absolute/path or s3://bucket/prefix")


def mirror(store: Store, objects: Mapping[str, Object], folder: Path, done: Callable[[int], None]) -> None:
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
    with ThreadPoolExecutor(CONNECTIONS // 2) as pool, journal.open("a") as log:
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


class FolderStore:
    """A store in a folder: the laptop's."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.uri = root.absolute().as_uri()

    def put(self, key: str, path: Path) -> None:
        """Copy beside the target, then rename."""
        with self._copied(key, path) as copy:
            copy.replace(self.root / key)

    def create(self, key: str, path: Path) -> bool:
        """Copy beside the target, then link, which fails where a name exists."""
        with self._copied(key, path) as copy:
            try:
                os.link(copy, self.root / key)
            except FileExistsError:
                return False
        return True

    def exists(self, key: str) -> bool:
        """Tell whether the file exists."""
        return (self.root / key).is_file()

    def get(self, key: str, path: Path) -> None:
        """Copy the file."""
        try:
            shutil.copyfile(self.root / key, path)
        except FileNotFoundError:
            raise StoreError(f"there is no {key} in {self.uri}") from None

    def keys(self, prefix: str) -> list[str]:
        """List files, half-written ones left out."""
        return list(self.objects(prefix))

    def objects(self, prefix: str) -> dict[str, Object]:
        """List files with their sizes and times, half-written ones left out."""
        found: dict[str, Object] = {}
        for path in self.root.rglob("*"):
            key = path.relative_to(self.root).as_posix()
            if path.is_file() and key.startswith(prefix) and not key.endswith(".partial"):
                state = path.stat()
                found[key] = Object(state.st_size, str(state.st_mtime_ns))
        return dict(sorted(found.items()))

    @contextmanager
    def _copied(self, key: str, path: Path) -> Iterator[Path]:
        target = self.root / key
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent)
        except OSError as error:
            raise StoreError(f"can't write to {self.uri}: {error.strerror}") from None
        copy = Path(name)
        try:
            with os.fdopen(handle, "wb") as file, path.open("rb") as source:
                shutil.copyfileobj(source, file)
                file.flush()
                os.fsync(file.fileno())
            copy.chmod(0o644)
            yield copy
        finally:
            copy.unlink(missing_ok=True)


class S3Store:
    """A store in a bucket of any S3 server."""

    def __init__(self, server: S3, bucket: str, prefix: str) -> None:
        endpoint = urlsplit(server.endpoint)
        self._http = urllib3.PoolManager(
            maxsize=CONNECTIONS,
            timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
            retries=urllib3.Retry(total=RETRIES, backoff_factor=0.5, status_forcelist=TRANSIENT, allowed_methods=None),
        )
        self._client = Minio(
            endpoint=endpoint.netloc,
            access_key=server.access_key,
            secret_key=server.secret_key,
            secure=endpoint.scheme == "https",
            region=server.region,
            http_client=self._http,
        )
        self._where = server.endpoint
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self.uri = f"s3://{bucket}/{prefix}".rstrip("/")

    def put(self, key: str, path: Path) -> None:
        """Upload; an S3 object appears whole or not at all."""
        self._call(lambda: self._client.fput_object(
            bucket_name=self._bucket, object_name=self._prefix + key, file_path=str(path)
        ))  # fmt: skip

    def create(self, key: str, path: Path) -> bool:
        """Upload by a conditional put: of several at once, one wins.

        The client has no call for it, so a presigned URL is used with the condition as a header.
        """
        url = self._call(lambda: self._client.get_presigned_url(
            method="PUT", bucket_name=self._bucket, object_name=self._prefix + key, expires=timedelta(minutes=10)
        ))  # fmt: skip
        answer = self._call(lambda: self._http.request(
            "PUT", url, body=path.read_bytes(), headers={"If-None-Match": "*"}
        ))  # fmt: skip
        if answer.status in (409, 412):
            return False
        if answer.status != 200:  # noqa: PLR2004 (HTTP's OK)
            raise StoreError(f"{self.uri}/{key} was not written: the server answered {answer.status}")
        return True

    def exists(self, key: str) -> bool:
        """Ask for the object's metadata."""
        try:
            self._client.stat_object(bucket_name=self._bucket, object_name=self._prefix + key)
        except S3Error as error:
            if error.code in ("NoSuchKey", "NoSuchObject"):
                return False
            raise self._explained(error) from None
        except (MinioException, urllib3.exceptions.HTTPError) as error:
            raise self._explained(error) from None
        return True

    def get(self, key: str, path: Path) -> None:
        """Download; the client writes beside the target and renames."""
        self._call(lambda: self._client.fget_object(
            bucket_name=self._bucket, object_name=self._prefix + key, file_path=str(path)
        ))  # fmt: skip

    def keys(self, prefix: str) -> list[str]:
        """List the bucket below the prefix."""
        return list(self.objects(prefix))

    def objects(self, prefix: str) -> dict[str, Object]:
        """List the bucket below the prefix with sizes and ETags."""
        listed = self._call(lambda: list(self._client.list_objects(
            bucket_name=self._bucket, prefix=self._prefix + prefix, recursive=True
        )))  # fmt: skip
        found = {
            str(item.object_name).removeprefix(self._prefix): Object(int(item.size or 0), str(item.etag))
            for item in listed
        }
        return dict(sorted(found.items()))

    def _call(self, action: Callable[[], T]) -> T:
        try:
            return action()
        except (MinioException, urllib3.exceptions.HTTPError) as error:
            raise self._explained(error) from None

    def _explained(self, error: Exception) -> StoreError:
        if isinstance(error, S3Error):
            advice = {
                "NoSuchBucket": f"create bucket {self._bucket!r}",
                "InvalidAccessKeyId": "check AWS_ACCESS_KEY_ID",
                "SignatureDoesNotMatch": "check AWS_SECRET_ACCESS_KEY",
                "AccessDenied": "give this key the right to it",
            }.get(error.code or "", "see the server's log")
            return StoreError(f"{self.uri} on {self._where}: {error.code}: {error.message}; {advice}")
        return StoreError(f"can't reach {self._where} for {self.uri}; check AWS_ENDPOINT_URL and that the server runs")
