"""What the tests of the stores share: parts small enough for tests, and a middleman who spoils what passes."""

import os
import random
import threading
from collections.abc import Callable, Iterator

import pytest
from middleman import Middleman

from components.store import download, open_store, part, s3
from components.store.s3 import S3Store

MIB = 1 << 20


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count a file as large from 8 MiB on, and cut it into parts of 5 MiB, the least that S3 takes."""
    monkeypatch.setattr(part, "PART_BYTES", 5 * MIB)
    for module in (s3, download):
        monkeypatch.setattr(module, "LARGE_BYTES", 8 * MIB)


@pytest.fixture(scope="session")
def content() -> Callable[[int], bytes]:
    """Return 12 MiB and a little of random bytes by their seed: three parts."""
    return lambda seed: random.Random(seed).randbytes(12 * MIB + 345)  # noqa: S311 (no secret)


@pytest.fixture(params=["minio", "versitygw"])
def server(request) -> tuple[str, str]:
    """A bucket of a real server, to which the environment leads, and the server's address."""
    bucket = request.getfixturevalue("bucket" if request.param == "minio" else "versitygw_bucket")
    return bucket, os.environ["AWS_ENDPOINT_URL"]


@pytest.fixture
def middleman(server: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Middleman]:
    """A middleman before a real server; the environment leads to it."""
    with Middleman(server[1]) as between:
        thread = threading.Thread(target=between.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{between.server_port}")
        yield between
        between.shutdown()
        thread.join()


@pytest.fixture
def store(server: tuple[str, str], middleman: Middleman, small_parts, monkeypatch: pytest.MonkeyPatch) -> S3Store:
    """A store behind the middleman, which repeats at once."""
    monkeypatch.setattr("components.store.bucket.PAUSES", (0.01, 0.02, 0.03, 0.04))
    return open_store(f"{server[0]}/prefix")
