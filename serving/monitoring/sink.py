"""Where recorded predictions go: a bucket of an S3 server, or a folder.

Whole objects only, and each call ends within seconds: a store that is away costs an error and never a wait. Credentials
are given, never looked up, and are in no message. May be imported by ``serving.monitoring`` and whoever starts it.
"""

import secrets
from io import BytesIO
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

import urllib3
from minio.error import MinioException, S3Error

from serving.errors import PredictorError, SettingsError
from serving.s3 import S3


class SinkError(PredictorError):
    """The store did not take an object; the message says why and holds no secret."""


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
        self._client = server.client()
        self._bucket, self._prefix = bucket, f"{prefix}/" if prefix else ""
        self._where = f"s3://{bucket}/{prefix}".rstrip("/") + f" on {server.address()[0]}"

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
