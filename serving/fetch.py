"""``python -m serving.fetch URI FOLDER``: bring a model package from an object store into a pod, whole or not at all.

What KServe runs before a predictor, as the container of its ``ClusterStorageContainer``. The package is verified
against the digest in its URI, so a damaged or foreign one is named before a predictor starts. A store that does not
answer is asked again for a while; after that Kubernetes starts this program anew.
"""

import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self
from urllib.parse import unquote, urlsplit

import urllib3
from minio import Minio
from minio.error import MinioException, S3Error

from modelpackage import PackageError, load
from serving.errors import PredictorError, SettingsError
from serving.log import log
from serving.refusal import refuse
from serving.s3 import S3

ADDRESSED = "sha256-"
#: Seconds in which a store that is starting may come up, and between two tries.
PATIENCE, PAUSE = 60.0, 2.0
#: What S3 servers say while they start; everything else won't change by asking again.
PASSING = {"ServiceUnavailable", "SlowDown", "InternalError", "XMinioServerNotInitialized", "RequestTimeout"}


class FetchError(PredictorError):
    """There is no such package; the message says what is missing and holds no secret."""


class UnreachableError(PredictorError):
    """The store does not answer now."""


class Place(NamedTuple):
    """Where a package lies: ``s3://bucket/prefix/sha256-DIGEST/``."""

    bucket: str
    prefix: str
    digest: str

    @classmethod
    def of(cls, uri: str) -> Self:
        """Return the place that a URI names.

        Raises:
            SettingsError: It is no content address.
        """
        parts = urlsplit(uri)
        prefix = unquote(parts.path).strip("/")
        name = prefix.rpartition("/")[2]
        if parts.scheme != "s3" or not parts.netloc or not name.startswith(ADDRESSED):
            raise SettingsError(f"{uri!r} is no address of a package; use s3://bucket/NAME/sha256-DIGEST/")
        return cls(parts.netloc, prefix, name.removeprefix(ADDRESSED))


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Fetch a package and prove that it is the one; return the exit code."""
    try:
        uri, target = arguments
    except ValueError:
        return refuse("usage: python -m serving.fetch s3://bucket/NAME/sha256-DIGEST/ FOLDER")
    folder = Path(target)
    begun = time.monotonic()
    try:
        place, server = Place.of(uri), S3.of(environment)
        if server is None:
            raise SettingsError(
                f"{uri} needs an S3 server; list a Secret with AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY "
                "and the annotation serving.kserve.io/s3-endpoint in the service account of the predictor"
            )
        count = patiently(server, place, folder)
        load(folder, digest=place.digest)
    except (PackageError, PredictorError) as error:
        return refuse(str(error))
    except OSError as error:  # the volume is full, or not ours
        return refuse(f"can't write {folder}: {error.strerror}; check the volume and its room")
    log("fetched", package=uri, files=count, seconds=round(time.monotonic() - begun, 2))
    return 0


def patiently(server: S3, place: Place, folder: Path) -> int:
    """Fetch, and try again while the store does not answer; return the number of files."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return fetch(server.client(), place, folder)
        except UnreachableError as error:
            if time.monotonic() > end:
                raise
            log("waiting", reason=f"{error} at {server.address()[0]}")
            time.sleep(PAUSE)


def fetch(client: Minio, place: Place, folder: Path) -> int:
    """Put every file of a package into a folder, in place of what is there; return how many there are.

    Raises:
        FetchError: The store has no such package, or may not show it.
        UnreachableError: It does not answer.
    """
    where = f"s3://{place.bucket}/{place.prefix}/"
    try:
        keys = [
            str(found.object_name) for found in client.list_objects(bucket_name=place.bucket, prefix=f"{place.prefix}/")
        ]
        # A package has no folders; whatever lies deeper is not its own.
        names = [name for key in keys if (name := key.rpartition("/")[2]) and key == f"{place.prefix}/{name}"]
        if not names:
            raise FetchError(f"{where} holds no package; publish it, or correct storageUri")
        _empty(folder)
        for name in names:
            client.fget_object(
                bucket_name=place.bucket, object_name=f"{place.prefix}/{name}", file_path=str(folder / name)
            )
    except S3Error as error:
        if error.code in PASSING:
            raise UnreachableError(f"the object store answers {error.code}") from None
        raise FetchError(
            f"{where} can't be read: {error.code}; check bucket, path and the rights of the user"
        ) from None
    except (MinioException, urllib3.exceptions.HTTPError) as error:
        raise UnreachableError(f"the object store does not answer ({type(error).__name__})") from None
    return len(names)


def _empty(folder: Path) -> None:
    """Remove what an earlier try left; the folder itself is a mount."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
