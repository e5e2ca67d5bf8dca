"""Requests to one bucket of an S3 server: signed, repeated where that may help, and with errors that people understand.

The client of the server makers signs and lists. It has no calls for conditional writes and none in public for uploads
in parts, so those are presigned URLs. A presigned URL must never be logged: it is a right to write.
"""

import time
import xml.etree.ElementTree as ET
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

import urllib3
from minio import Minio
from minio.credentials.credentials import Credentials
from minio.error import MinioException, S3Error
from minio.signer import presign_v4

from components.destination import S3
from components.errors import StoreError
from components.store.contract import Object
from components.store.part import CHUNK_BYTES, Part, chunks

#: While a request is sent, the first is also how long the server may take nothing.
CONNECT_SECONDS, READ_SECONDS = 10.0, 60.0
#: What a repetition may cure: answers of servers that are busy, and content that was damaged or cut on its way.
TRANSIENT = (429, 500, 502, 503, 504)
PASSING = ("BadDigest", "IncompleteBody", "RequestTimeout", "InternalError", "SlowDown")
PAUSES = (0.5, 1.0, 2.0, 4.0)
#: Kept open: as many as threads of ours that fetch or upload at once.
CONNECTIONS = 32
VALID = timedelta(hours=1)
ADVICE = {
    "NoSuchKey": "check the name",
    "InvalidAccessKeyId": "check AWS_ACCESS_KEY_ID",
    "XAdminUserNotFound": "check AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "check AWS_SECRET_ACCESS_KEY",
    "AccessDenied": "give this key the right to it",
    "RequestTimeTooSkewed": "set this machine's clock",
    "BadDigest": "it changed while it was sent, or the network damages what passes; run again",
    "PreconditionFailed": "it changed meanwhile; run again when nothing writes to it",
}
#: What an answer without a body means.
CODES = {403: "AccessDenied", 404: "NoSuchKey", 412: "PreconditionFailed"}

NOTHING: Mapping[str, str] = {}
Answer = urllib3.BaseHTTPResponse
T = TypeVar("T")


class RefusedError(StoreError):
    """The server refused.

    Attributes:
        code: S3's word for why, like ``NoSuchUpload``.
        passing: Whether the same request may succeed later.
    """

    def __init__(self, message: str, code: str, *, passing: bool = False) -> None:
        super().__init__(message)
        self.code, self.passing = code, passing


class Bucket:
    """A bucket, or what lies below a prefix in it.

    Args:
        server: How to reach the server.
        name: The bucket.
        prefix: Begins every key; empty, or without a slash at its end.
    """

    def __init__(self, server: S3, name: str, prefix: str) -> None:
        endpoint = urlsplit(server.endpoint)
        self._http = urllib3.PoolManager(
            maxsize=CONNECTIONS,
            blocksize=CHUNK_BYTES,
            timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
            retries=urllib3.Retry(
                total=len(PAUSES), backoff_factor=PAUSES[0], status_forcelist=TRANSIENT, allowed_methods=None
            ),
        )
        self._client = Minio(
            endpoint=endpoint.netloc,
            access_key=server.access_key,
            secret_key=server.secret_key,
            secure=endpoint.scheme == "https",
            region=server.region,
            http_client=self._http,
        )
        self._server = server
        self._name = name
        self._prefix = f"{prefix}/" if prefix else ""
        self.uri = f"s3://{name}/{prefix}".rstrip("/")

    def send(
        self,
        method: str,
        key: str,
        read: Callable[[Answer], T],
        *,
        query: Mapping[str, str] = NOTHING,
        headers: Mapping[str, str] = NOTHING,
        body: Part | bytes | None = None,
        seconds: float = 0.0,
    ) -> T:
        """Send a request and read its answer, again where that may help.

        Args:
            method: HTTP's.
            key: The object.
            read: Takes the answer to its end; called again when that broke off.
            query: Added to the URL.
            headers: Added to the request; no ``x-amz-*``, which servers want signed.
            body: What to send.
            seconds: How long the server may be silent, where that is longer than usual.

        Raises:
            RefusedError: The server refused.
            StoreError: It can't be reached.
        """
        pauses = iter(PAUSES)
        timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=max(seconds, READ_SECONDS))
        while True:
            content = chunks(body) if isinstance(body, Part) else body
            try:
                with self._answer(method, self._signed(method, key, query), content, headers, timeout) as answer:
                    return read(answer)
            except (RefusedError, urllib3.exceptions.HTTPError, ET.ParseError, TimeoutError) as error:
                pause = next(pauses, None)
                if pause is None or (isinstance(error, RefusedError) and not error.passing):
                    raise self._explained(error) from None
            time.sleep(pause)

    def write(
        self, key: str, part: Part, *, query: Mapping[str, str] = NOTHING, headers: Mapping[str, str] = NOTHING
    ) -> str:
        """Send a part with its checksum, by which the server refuses what was damaged; return the ETag.

        Raises:
            RefusedError: The server refused.
            StoreError: It can't be reached.
        """
        sums = {"Content-MD5": b64encode(part.md5).decode(), "Content-Length": str(part.size)}
        return self.send("PUT", key, tag, query=query, headers={**headers, **sums}, body=part)

    def tag(self, key: str) -> str | None:
        """Return the ETag of an object, None where there is none."""
        try:
            return self.send("HEAD", key, tag)
        except RefusedError as error:
            if error.code in ("NoSuchKey", "NoSuchObject"):
                return None
            raise

    def objects(self, prefix: str) -> dict[str, Object]:
        """List what lies below a prefix, keys ascending."""
        try:
            listed = list(
                self._client.list_objects(bucket_name=self._name, prefix=self._prefix + prefix, recursive=True)
            )
        except (MinioException, urllib3.exceptions.HTTPError, ET.ParseError) as error:
            raise self._explained(error) from None
        found = {
            str(item.object_name).removeprefix(self._prefix): Object(
                int(item.size or 0), str(item.etag), item.last_modified.timestamp() if item.last_modified else 0.0
            )
            for item in listed
        }
        return dict(sorted(found.items()))

    def uploads(self, key: str) -> dict[str, float]:
        """Return the unfinished uploads of an object by their ids, with when they began, in seconds since the epoch."""
        name = self._prefix + key
        # One page is enough: the object itself comes before all that begins like it.
        root = self.send("GET", "", parsed, query={"uploads": "", "prefix": name})
        return {
            text(upload, "UploadId"): epoch(text(upload, "Initiated"))
            for upload in root.iterfind("{*}Upload")
            if text(upload, "Key") == name
        }

    def whole(self, answer: Answer) -> None:
        """Read an answer that may be a refusal although it began as a success: the server was not done by then.

        Raises:
            RefusedError: It is one.
        """
        root = parsed(answer)
        if root.tag.rpartition("}")[2] == "Error":
            code = text(root, "Code")
            raise self._refused(code, text(root, "Message"), passing=code in PASSING)

    def _signed(self, method: str, key: str, query: Mapping[str, str]) -> str:
        """Return a presigned URL of an object; without a key, of the bucket."""
        if key:
            return self._client.get_presigned_url(
                method=method,
                bucket_name=self._name,
                object_name=self._prefix + key,
                expires=VALID,
                extra_query_params=dict(query),
            )
        # The client presigns objects only. Its URL of one tells how it addresses the bucket.
        base = urlsplit(self._client.get_presigned_url(method=method, bucket_name=self._name, object_name="x"))
        signed = presign_v4(
            method=method,
            url=base._replace(path=base.path.removesuffix("x"), query=urlencode(query, quote_via=quote)),
            region=self._server.region,
            credentials=Credentials(self._server.access_key, self._server.secret_key),
            date=datetime.now(UTC),
            expires=int(VALID.total_seconds()),
        )
        return urlunsplit(signed)

    @contextmanager
    def _answer(
        self,
        method: str,
        url: str,
        body: Iterator[bytes] | bytes | None,
        headers: Mapping[str, str],
        timeout: urllib3.Timeout,
    ) -> Iterator[Answer]:
        """Lend an answer that is no refusal; its connection is kept only where it was read to its end."""
        answer = self._http.request(
            method, url, body=body, headers=headers, timeout=timeout, retries=False, preload_content=False
        )
        try:
            self._check(answer)
            yield answer
        except BaseException:
            answer.close()
            raise
        finally:
            answer.release_conn()

    def _check(self, answer: Answer) -> None:
        if answer.status < 300:  # noqa: PLR2004 (HTTP: a success)
            return
        code, message = CODES.get(answer.status, str(answer.status)), answer.reason or "no reason given"
        with suppress(ET.ParseError):
            root = parsed(answer)
            code, message = root.findtext("{*}Code") or code, root.findtext("{*}Message") or message
        raise self._refused(code, message, passing=answer.status in TRANSIENT or code in PASSING)

    def _refused(self, code: str, message: str, *, passing: bool = False) -> RefusedError:
        advice = {"NoSuchBucket": f"create bucket {self._name!r}", **ADVICE}.get(code, "see the server's log")
        return RefusedError(
            f"{self.uri} on {self._server.endpoint}: {code}: {message}; {advice}", code, passing=passing
        )

    def _explained(self, error: Exception) -> StoreError:
        if isinstance(error, StoreError):
            return error
        if isinstance(error, S3Error):
            return self._refused(error.code or "", error.message or "")
        return StoreError(
            f"can't reach {self._server.endpoint} for {self.uri}; check AWS_ENDPOINT_URL and that the server runs"
        )


def drain(answer: Answer) -> None:
    """Read an answer that says nothing to its end."""
    answer.read()


def tag(answer: Answer) -> str:
    """Read an answer to its end, and return its ETag without quotes."""
    answer.read()
    return (answer.headers.get("ETag") or "").strip('"')


def parsed(answer: Answer) -> ET.Element:
    """Read an answer to its end as XML.

    Raises:
        ParseError: It is none, which is what a cut answer is.
    """
    return ET.fromstring(answer.read())  # noqa: S314 (expat itself refuses what grows without bounds)


def text(element: ET.Element, name: str) -> str:
    """Return the text of a child, whatever its name space; empty where there is none."""
    return element.findtext(f"{{*}}{name}") or ""


def epoch(time: str) -> float:
    """Return seconds since the epoch of a time as S3 writes it, like ``2026-01-31T12:00:00.000Z``."""
    return datetime.fromisoformat(time).timestamp()
