"""Uploads in parts: several at once, checked one by one, and taken up again by whoever sends the same file later.

What the server keeps of an unfinished upload counts only where size and MD5 of every part are the file's; anything else
is aborted. The object appears with the last request, whole or not at all.
"""

import hashlib
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement, tostring

from components.errors import StoreError
from components.store.bucket import NOTHING, Bucket, RefusedError, drain, epoch, parsed, text
from components.store.contract import Done
from components.store.part import Part, Progress, cut, each

#: A server may copy the parts together before it answers.
FINISH_SECONDS = 900.0
#: Nobody writes to an upload any more that got nothing for so long. Our clock serves: a server refuses requests whose
#: time is more than a quarter of an hour from its own.
IDLE_SECONDS = 3600.0
#: How often an upload that someone else ended is begun again.
ATTEMPTS = 3


@dataclass(frozen=True)
class Listed:
    """What the server keeps of a part.

    Attributes:
        size: In bytes.
        tag: Its ETag: its MD5 in hexadecimal digits, but where the server encrypts.
        modified: When it came, in seconds since the epoch.
    """

    size: int
    tag: str
    modified: float


def put(bucket: Bucket, key: str, file: int, size: int, done: Done) -> None:
    """Write a large object in parts, going on with an unfinished upload of the same file.

    Args:
        bucket: Where to.
        key: The object.
        file: Descriptor of the open file.
        size: Of the file, in bytes.
        done: Told about every part that is there.

    Raises:
        StoreError: The server refused or can't be reached; what came is kept for the next call.
    """
    parts, progress = cut(file, size), Progress(done)
    for _ in range(ATTEMPTS):
        upload, there = _resume(bucket, key, parts) or (_begin(bucket, key), {})
        progress.restart()
        try:
            _finish(bucket, key, upload, _send(bucket, key, upload, parts, there, progress))
        except RefusedError as error:
            if error.code not in ("NoSuchUpload", "InvalidPart"):
                raise
            # Another process that sends the same file finished this upload, or the answer that we did was lost.
            if bucket.tag(key) != combined([part.md5 for part in parts]):
                continue
            progress.restart()
            progress.add(size)
        return
    raise StoreError(f"{bucket.uri}/{key} is written by others at the same time; run again when they are done")


def create(bucket: Bucket, key: str, file: int, size: int, done: Done) -> bool:
    """Write a large object in parts unless the key is taken; tells whether this call wrote it.

    Unfinished uploads of others are left alone while they may be alive: whoever comes first shall win.

    Raises:
        StoreError: The server refused or can't be reached; nothing is kept.
    """
    _sweep(bucket, key)
    upload = _begin(bucket, key)
    try:
        tags = _send(bucket, key, upload, cut(file, size), {}, Progress(done))
        _finish(bucket, key, upload, tags, {"If-None-Match": "*"})
    except BaseException as error:
        with suppress(StoreError):
            _abort(bucket, key, upload)
        if isinstance(error, RefusedError) and error.code == "PreconditionFailed":
            return False
        raise
    return True


def combined(sums: Sequence[bytes]) -> str:
    """Return the ETag that S3 gives to an object of parts with these MD5s."""
    return f"{hashlib.md5(b''.join(sums), usedforsecurity=False).hexdigest()}-{len(sums)}"


def _begin(bucket: Bucket, key: str) -> str:
    return text(bucket.send("POST", key, parsed, query={"uploads": ""}), "UploadId")


def _resume(bucket: Bucket, key: str, parts: Sequence[Part]) -> tuple[str, dict[int, str]] | None:
    """Return the unfinished upload of these parts that has most of them; abort every other."""
    found: dict[str, dict[int, str]] = {}
    for upload in bucket.uploads(key):
        there = _fitting(bucket, key, upload, parts)
        if there is not None:
            found[upload] = there
    best = max(found, key=lambda upload: len(found[upload]), default=None)
    for upload in bucket.uploads(key):
        if upload != best:
            _abort(bucket, key, upload)
    return (best, found[best]) if best else None


def _fitting(bucket: Bucket, key: str, upload: str, parts: Sequence[Part]) -> dict[int, str] | None:
    """Return the ETags of what an upload has of these parts, None where it has something else."""
    listed = _listed(bucket, key, upload)
    wanted = [part for part in parts if part.number in listed]
    if len(wanted) < len(listed) or any(listed[part.number].size != part.size for part in wanted):
        return None
    if any(listed[part.number].tag != md5.hex() for part, md5 in each(lambda part: part.md5, wanted)):
        return None
    return {number: found.tag for number, found in listed.items()}


def _listed(bucket: Bucket, key: str, upload: str) -> dict[int, Listed]:
    """Return what an upload has by the numbers of the parts; nothing where it is over."""
    found: dict[int, Listed] = {}
    marker = "0"
    while marker:
        try:
            page = bucket.send("GET", key, parsed, query={"uploadId": upload, "part-number-marker": marker})
        except RefusedError as error:
            if error.code == "NoSuchUpload":
                return {}
            raise
        for part in page.iterfind("{*}Part"):
            found[int(text(part, "PartNumber"))] = Listed(
                int(text(part, "Size")), text(part, "ETag").strip('"'), epoch(text(part, "LastModified"))
            )
        marker = text(page, "NextPartNumberMarker") if text(page, "IsTruncated") == "true" else ""
    return found


def _sweep(bucket: Bucket, key: str) -> None:
    """Abort the unfinished uploads that nobody writes to any more."""
    for upload, begun in bucket.uploads(key).items():
        last = max([begun, *(part.modified for part in _listed(bucket, key, upload).values())])
        if time.time() - last > IDLE_SECONDS:
            _abort(bucket, key, upload)


def _send(
    bucket: Bucket, key: str, upload: str, parts: Sequence[Part], there: Mapping[int, str], progress: Progress
) -> dict[int, str]:
    """Send the parts that are not there yet; return the ETags of all."""
    tags = dict(there)
    progress.add(sum(part.size for part in parts if part.number in there))

    def write(part: Part) -> str:
        return bucket.write(key, part, query={"uploadId": upload, "partNumber": str(part.number)})

    for part, tag in each(write, [part for part in parts if part.number not in there]):
        tags[part.number] = tag
        progress.add(part.size)
    return tags


def _finish(
    bucket: Bucket, key: str, upload: str, tags: Mapping[int, str], condition: Mapping[str, str] = NOTHING
) -> None:
    root = Element("CompleteMultipartUpload")
    for number, tag in sorted(tags.items()):
        part = SubElement(root, "Part")
        SubElement(part, "PartNumber").text = str(number)
        SubElement(part, "ETag").text = f'"{tag}"'
    bucket.send(
        "POST",
        key,
        bucket.whole,
        query={"uploadId": upload},
        headers=condition,
        body=tostring(root),
        seconds=FINISH_SECONDS,
    )


def _abort(bucket: Bucket, key: str, upload: str) -> None:
    try:
        bucket.send("DELETE", key, drain, query={"uploadId": upload})
    except RefusedError as error:
        if error.code != "NoSuchUpload":
            raise
