"""A store in a bucket of any S3 server. Content that was damaged on its way is refused, there and here."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.destination import S3
from components.errors import StoreError
from components.store import multipart
from components.store.bucket import Bucket, RefusedError, drain
from components.store.contract import Done, Object, quiet
from components.store.download import LARGE_BYTES, download
from components.store.part import MIB, Part

#: How often a conditional write is tried that the server could not decide about.
UNDECIDED = 4


class S3Store:
    """A store in a bucket of any S3 server.

    Args:
        server: How to reach the server.
        bucket: The bucket, which exists.
        prefix: Begins every key; may be empty.
    """

    def __init__(self, server: S3, bucket: str, prefix: str) -> None:
        self._bucket = Bucket(server, bucket, prefix)
        self.uri = self._bucket.uri

    def put(self, key: str, path: Path, done: Done = quiet) -> None:
        """Upload, a large file in parts; an S3 object appears whole or not at all."""
        with _opened(path) as (file, size):
            if size < LARGE_BYTES:
                self._bucket.write(key, Part(file, 1, 0, size))
                done(size)
            else:
                multipart.put(self._bucket, key, file, size, done)

    def create(self, key: str, path: Path, done: Done = quiet) -> bool:
        """Upload by a conditional put: of several at once, one wins."""
        for _ in range(UNDECIDED):
            try:
                with _opened(path) as (file, size):
                    # Asked first, so that little is sent in vain; the condition is what decides.
                    return not (size >= MIB and self.exists(key)) and self._create(key, file, size, done)
            except RefusedError as error:
                if error.code == "PreconditionFailed":
                    return False
                if error.code != "ConditionalRequestConflict":
                    raise
        raise StoreError(
            f"{self.uri}/{key} is written and removed by others all the time; run again when they are done"
        )

    def _create(self, key: str, file: int, size: int, done: Done) -> bool:
        if size >= LARGE_BYTES:
            return multipart.create(self._bucket, key, file, size, done)
        self._bucket.write(key, Part(file, 1, 0, size), headers={"If-None-Match": "*"})
        done(size)
        return True

    def exists(self, key: str) -> bool:
        """Ask for the object's metadata."""
        return self._bucket.tag(key) is not None

    def get(self, key: str, path: Path, done: Done = quiet) -> None:
        """Download, a large object in parts, and hold it against its ETag."""
        download(self._bucket, key, path, done)

    def remove(self, key: str) -> None:
        """Delete; S3 does not mind when there is nothing."""
        self._bucket.send("DELETE", key, drain)

    def keys(self, prefix: str) -> list[str]:
        """List the bucket below the prefix."""
        return list(self.objects(prefix))

    def objects(self, prefix: str) -> dict[str, Object]:
        """List the bucket below the prefix with sizes, ETags and times."""
        return self._bucket.objects(prefix)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[int, int]]:
    """Lend a file's descriptor and its size."""
    with path.open("rb") as file:
        yield file.fileno(), os.fstat(file.fileno()).st_size
