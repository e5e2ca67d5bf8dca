"""What every test may ask for."""

import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny
import urllib3
from mlflow_server import serving

from modelpackage import Package

# As in the training step, and for the same reason; whichever test loads torch first reads it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture(scope="session")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """A sealed package of the tiny model; tests must not change it (copy it first)."""
    return tiny.seal(tmp_path_factory.mktemp("sealed") / "package")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A path at which nothing exists yet."""
    return tmp_path / "package"


@pytest.fixture(scope="session")
def minio_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A MinIO server on loopback with random credentials; the environment that a client of it needs."""
    program = os.environ.get("MINIO") or shutil.which("minio")
    if not program:
        pytest.skip("no MinIO server: put `minio` on the PATH or its place into MINIO")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    key, secret = secrets.token_hex(8), secrets.token_hex(16)
    server = subprocess.Popen(
        [program, "server", "--quiet", "--address", f"127.0.0.1:{port}", str(tmp_path_factory.mktemp("minio"))],
        env={**os.environ, "MINIO_ROOT_USER": key, "MINIO_ROOT_PASSWORD": secret},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_ready(f"http://127.0.0.1:{port}/minio/health/ready")
        yield {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
        }
    finally:
        server.terminate()
        server.wait(timeout=10)


@pytest.fixture
def bucket(minio_server: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The URI of a fresh bucket; the environment names its server."""
    for name, value in minio_server.items():
        monkeypatch.setenv(name, value)
    name = f"test-{secrets.token_hex(6)}"
    from minio import Minio  # no part of the predictor's environment

    client = Minio(
        endpoint=minio_server["AWS_ENDPOINT_URL"].removeprefix("http://"),
        access_key=minio_server["AWS_ACCESS_KEY_ID"],
        secret_key=minio_server["AWS_SECRET_ACCESS_KEY"],
        secure=False,
    )
    client.make_bucket(bucket_name=name)
    return f"s3://{name}"


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an MLflow server on loopback that tests share: give experiments and models names of their own."""
    with serving(tmp_path_factory.mktemp("mlflow-server")) as url:
        yield url


def _wait_ready(url: str) -> None:
    for _ in range(100):
        try:
            if urllib3.request("GET", url, retries=False, timeout=1).status == 200:
                return
        except urllib3.exceptions.HTTPError:
            pass
        time.sleep(0.1)
    pytest.fail("MinIO did not become ready in 10 s")


@pytest.fixture(scope="session")
def versitygw_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A versitygw server on loopback with random credentials; the environment that a client of it needs."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": secrets.token_hex(8),
        "AWS_SECRET_ACCESS_KEY": secrets.token_hex(16),
    }
    folder = tmp_path_factory.mktemp("versitygw")
    log = folder.with_name("versitygw.log")
    command = [Path(__file__).parents[1] / "hack" / "s3-server", "versitygw", folder]
    with log.open("w") as errors:
        server = subprocess.Popen(command, env={**os.environ, **environment}, stderr=errors)
    try:
        try:
            code = server.wait(timeout=0.5)
            (pytest.skip if code == 3 else pytest.fail)(log.read_text().strip())
        except subprocess.TimeoutExpired:
            _wait_ready(f"http://127.0.0.1:{port}/health")
        yield environment
    finally:
        server.terminate()
        server.wait(timeout=10)


@pytest.fixture
def versitygw_bucket(versitygw_server: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The URI of a fresh bucket on versitygw; the environment names its server."""
    for name, value in versitygw_server.items():
        monkeypatch.setenv(name, value)
    name = f"test-{secrets.token_hex(6)}"
    from minio import Minio  # no part of the predictor's environment

    client = Minio(
        endpoint=versitygw_server["AWS_ENDPOINT_URL"].removeprefix("http://"),
        access_key=versitygw_server["AWS_ACCESS_KEY_ID"],
        secret_key=versitygw_server["AWS_SECRET_ACCESS_KEY"],
        secure=False,
    )
    client.make_bucket(bucket_name=name)
    return f"s3://{name}"
