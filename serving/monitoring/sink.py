"""Where recorded predictions go: a bucket of an S3 server, or a folder.

Whole objects only, and each call ends within seconds: a store that is away costs an error and never a wait. Credentials
are given, never looked up, and are in no message. May be imported by ``serving.monitoring`` and whoever starts it.
"""

import secrets
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

import urllib3
from minio import Minio
from minio.error import MinioException, S3Error

from serving.errors import PredictorError, SettingsError

#: The store is near, and the next try comes soon.
CONNECT_SECONDS, READ_SECONDS = 2.0, 10.0


class SinkError(PredictorError):
    """The store did not take an object; the message says why and holds no secret."""


@dataclass(frozen=True, kw_only=True)
class S3:
    """How to reach an S3 server.

    Attributes:
        endpoint: URL of the server, ``http://host:port`` or ``https://host``.
        access_key: Name of the credential.
        secret_key: The credential; never printed.
        region: Region, for the signature.
    """

    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)
    region: str = "us-east-1"


class Sink(Protocol):
    """Takes objects."""

    def put(self, name: str, content: bytes) -> None:
        """Store an object under a name with slashes, over one that is there.

        Raises:
            SinkError: It is not stored.
        """


class FolderSink:
    """A folder, made when the first object comes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, name: str, content: bytes) -> None:
        """Store an object; a reader never sees half of it."""
        path = self._folder / name
        half = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                half.write_bytes(content)
                half.replace(path)
            finally:
                half.unlink(missing_ok=True)
        except OSError as error:
            raise SinkError(f"can't write {path}: {error.strerror}; check the folder's rights and room") from None


class BucketSink:
    """A bucket of an S3 server, or what lies below a prefix in it.

    Args:
        server: How to reach the server.
        bucket: Its name; it must exist.
        prefix: Begins every key; may be empty.
    """

    def __init__(self, server: S3, bucket: str, prefix: str) -> None:
        address, secure = _address(server.endpoint)
        timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
        self._client = Minio(
            endpoint=address,
            access_key=server.access_key,
            secret_key=server.secret_key,
            secure=secure,
            region=server.region,
            http_client=urllib3.PoolManager(timeout=timeout, retries=urllib3.Retry(0)),
        )
        self._bucket, self._prefix = bucket, f"{prefix}/" if prefix else ""
        self._where = f"s3://{bucket}/{prefix}".rstrip("/") + f" on {address}"

    def put(self, name: str, content: bytes) -> None:
        """Store an object."""
        try:
            done = self._client.put_object(
                bucket_name=self._bucket,
                object_name=self._prefix + name,
                data=BytesIO(content),
                length=len(content),
                content_type="application/gzip",
            )
        except S3Error as error:
            raise SinkError(f"{self._where}: {error.code}: {error.message}") from None
        except (MinioException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise SinkError(f"can't reach {self._where}: {type(error).__name__}; check AWS_ENDPOINT_URL") from None
        if not done.etag:
            raise SinkError(f"{self._where} answers like no S3 server; check AWS_ENDPOINT_URL")


def open_sink(uri: str, server: S3 | None = None) -> Sink:
    """Open a sink by its URI.

    Args:
        uri: ``file:///absolute/path`` or ``s3://bucket/prefix``.
        server: Needed by the latter.

    Raises:
        SettingsError: The URI names no sink, or the server is missing or none.
    """
    try:
        parts = urlsplit(uri)
    except ValueError:  # brackets that are none
        parts = urlsplit("")
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path.startswith("/"):
        return FolderSink(Path(unquote(parts.path)))
    if parts.scheme != "s3" or not parts.netloc:
        raise SettingsError(f"{uri!r} is no place for predictions; use file:///absolute/path or s3://bucket/prefix")
    if server is None:
        raise SettingsError(
            f"{uri} needs an S3 server; set AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    return BucketSink(server, parts.netloc, parts.path.strip("/"))


def _address(endpoint: str) -> tuple[str, bool]:
    """Return host and port of an S3 server, and whether it is reached by TLS."""
    try:
        parts = urlsplit(endpoint)
        known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and "@" not in parts.netloc
        if known and parts.path in ("", "/") and not parts.query:
            return parts.netloc, parts.scheme == "https"
    except ValueError:  # a port that is no number
        pass
    # The value stays out: it may hold a password.
    raise SettingsError("AWS_ENDPOINT_URL names no S3 server; give it as http://host:port or https://host")
