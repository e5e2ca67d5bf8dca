"""Objects into files, held against the checksum that the server tells; large ones in parts, several at once.

An ETag is the MD5 of an object that came in one piece, and the MD5 of the MD5s of its parts where it came in parts; it
is neither where the server encrypts with keys of its own, and there the size alone is held against what was read.
"""

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from urllib3.exceptions import ProtocolError

from components.errors import StoreError
from components.store.bucket import NOTHING, Answer, Bucket
from components.store.contract import Done
from components.store.multipart import combined
from components.store.part import CHUNK_BYTES, MIB, Deadline, Part, Progress, cut, each
from components.store.partial import beside

#: From this size on, objects are read and written in parts; those that were written in parts are always read in them.
LARGE_BYTES = 64 * MIB
#: What came damaged is read once more; who then sees the same has a damaged object in the store.
ATTEMPTS = 2
PLAIN, COMBINED = re.compile(r"[0-9a-f]{32}"), re.compile(r"[0-9a-f]{32}-([0-9]+)")
RANGE = re.compile(r"bytes ([0-9]+)-([0-9]+)/([0-9]+)")


@dataclass(frozen=True)
class Head:
    """What an answer tells about an object.

    Attributes:
        size: In bytes.
        tag: Its ETag.
        told: Whether the tag is made of MD5s.
        md5: Of what was read, None where it was not read yet.
    """

    size: int
    tag: str
    told: bool
    md5: bytes | None = None


@dataclass(frozen=True)
class Piece:
    """What has come of an object.

    Attributes:
        offset: Where it belongs, in bytes.
        size: In bytes.
        md5: Of its content.
    """

    offset: int
    size: int
    md5: bytes


#: What is added to the URL and to the headers.
Request = tuple[Mapping[str, str], Mapping[str, str]]


def download(bucket: Bucket, key: str, path: Path, done: Done) -> None:
    """Read an object into a file, which appears whole or not at all.

    Args:
        bucket: Where from.
        key: The object.
        path: The file.
        done: Told how much has come.

    Raises:
        StoreError: The object is missing, does not come, or is not what the server says.
    """
    progress = Progress(done)
    for _ in range(ATTEMPTS):
        progress.restart()
        with beside(path) as partial:
            with partial.open("r+b") as file:
                tag, found = _read(bucket, key, file.fileno(), progress)
            if found in (None, tag):
                partial.replace(path)
                return
    raise StoreError(f"{bucket.uri}/{key} has the ETag {tag}, and what comes has {found}; write it again")


def _read(bucket: Bucket, key: str, file: int, progress: Progress) -> tuple[str, str | None]:
    """Return the ETag of an object, and the one that what came of it has; None where that can't be told."""
    head = bucket.send("GET", key, lambda answer: _first(answer, file))
    plain = head.told and PLAIN.fullmatch(head.tag)
    if head.md5 is not None:
        progress.add(head.size)
        return head.tag, head.md5.hex() if plain else None
    if head.told and (match := COMBINED.fullmatch(head.tag)):
        numbers = [{"partNumber": str(number)} for number in range(1, int(match[1]) + 1)]
        if sums := _pieces(bucket, key, file, head, [(query, NOTHING) for query in numbers], progress):
            return head.tag, combined(sums)
    ranges = [{"Range": f"bytes={part.offset}-{part.offset + part.size - 1}"} for part in cut(file, head.size)]
    if not _pieces(bucket, key, file, head, [(NOTHING, headers) for headers in ranges], progress):
        raise StoreError(f"{bucket.uri} does not answer with ranges of {key}; use another S3 server")
    return head.tag, Part(file, 1, 0, head.size).md5.hex() if plain else None


def _first(answer: Answer, file: int) -> Head:
    """Read a small object of one piece; of others what the answer tells."""
    if "Content-Length" not in answer.headers:
        raise ProtocolError("an answer without a size")
    size, tag = int(answer.headers["Content-Length"]), answer.headers.get("ETag", "").strip('"')
    told = answer.headers.get("x-amz-server-side-encryption", "AES256") == "AES256"
    told &= "x-amz-server-side-encryption-customer-algorithm" not in answer.headers
    if size < LARGE_BYTES and not COMBINED.fullmatch(tag):
        return Head(size, tag, told, _copy(answer, file, 0, size))
    answer.close()
    return Head(size, tag, told)


def _pieces(
    bucket: Bucket, key: str, file: int, head: Head, wanted: Sequence[Request], progress: Progress
) -> list[bytes] | None:
    """Read the pieces that make up an object; return their MD5s, None where the server does not know of such pieces."""

    def read(request: Request) -> Piece | None:
        query, headers = request
        match = {"If-Match": f'"{head.tag}"'}
        return bucket.send("GET", key, lambda answer: _piece(answer, file), query=query, headers={**headers, **match})

    found: list[Piece] = []
    for _, piece in each(read, wanted):
        if piece is None:
            return None
        found.append(piece)
        progress.add(piece.size)
    found.sort(key=lambda piece: piece.offset)
    ends = [0, *(piece.offset + piece.size for piece in found)]
    if ends[-1] != head.size or any(piece.offset != end for piece, end in zip(found, ends, strict=False)):
        raise StoreError(f"{bucket.uri} answered with other pieces of {key} than it was asked for; run again")
    return [piece.md5 for piece in found]


def _piece(answer: Answer, file: int) -> Piece | None:
    """Read a piece to where it belongs."""
    match = RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    if match is None:
        answer.close()
        return None
    first, last = int(match[1]), int(match[2])
    return Piece(first, last - first + 1, _copy(answer, file, first, last - first + 1))


def _copy(answer: Answer, file: int, offset: int, size: int) -> bytes:
    """Write an answer into a file and return its MD5."""
    digest, deadline = hashlib.md5(usedforsecurity=False), Deadline(size)
    end = offset + size
    # One read of the socket at a time: a longer one would wait for its last byte, however slowly they come.
    while chunk := answer.read1(CHUNK_BYTES, decode_content=False):
        deadline.check()
        digest.update(chunk)
        os.pwrite(file, chunk, offset)
        offset += len(chunk)
    if offset != end:
        raise ProtocolError(f"{end - offset} bytes are missing")
    return digest.digest()
