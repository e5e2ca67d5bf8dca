"""Store, registry, training and predictor, each a restricted container, as one apply puts them on a cluster.

The object store is set up by the very program that sets it up there, and everyone has the rights that they have there.
"""

import json
import secrets
import time
from pathlib import Path

import pytest
from engine import RESTRICTED, docker

ROOT = Path(__file__).parents[2]
#: The image of the manifests, or one that was built where nothing can be pulled.
STORES = ("quay.io/minio/minio:RELEASE.2025-09-07T16-13-09Z", "quay.io/minio/minio:dev")
ON_NETWORK = [flag for flag in RESTRICTED if flag not in ("--network", "none")]
KEYS = {name: secrets.token_hex(16) for name in ("root", "trainer", "reader", "mlflow")}
SETUP = ROOT / "manifests" / "minio" / "setup.py"


class Network:
    """Containers that know each other by name; all of them end with it."""

    def __init__(self) -> None:
        self.name = f"slipway-test-{secrets.token_hex(4)}"
        self.containers: list[str] = []
        made = docker("network", "create", self.name)
        assert made.returncode == 0, made.stderr

    def run(self, image, *arguments, flags=(), seconds=300):
        """Run a restricted container to its end."""
        return docker("run", "--rm", "--network", self.name, *ON_NETWORK, *flags, image, *arguments, seconds=seconds)

    def start(self, alias, image, *arguments, flags=()):
        """Start a restricted container under a name of the network."""
        name = f"{self.name}-{alias}"
        where = ["--detach", "--name", name, "--network", self.name, "--network-alias", alias]
        started = docker("run", *where, *ON_NETWORK, *flags, image, *arguments)
        assert started.returncode == 0, started.stderr
        self.containers.append(name)
        return name

    def close(self) -> None:
        for name in self.containers:
            docker("rm", "--force", "--volumes", name)
        docker("network", "rm", self.name)


def variables(**values):
    return [part for name, value in values.items() for part in ("--env", f"{name}={value}")]


def keys(user):
    return variables(
        AWS_ENDPOINT_URL="http://object-store:9000", AWS_ACCESS_KEY_ID=user, AWS_SECRET_ACCESS_KEY=KEYS[user]
    )


@pytest.fixture(scope="module")
def place(find):
    """A network with MinIO, set up, and MLflow."""
    images = {name: find(name).name for name in ("component", "predictor", "mlflow")}
    store = next((name for name in STORES if not docker("image", "inspect", name).returncode), None)
    if store is None:
        pytest.skip(f"there is no image {STORES[0]} here")
    network = Network()
    try:
        root = variables(MINIO_ROOT_USER="root", MINIO_ROOT_PASSWORD=KEYS["root"], HOME="/tmp")
        data = ["--tmpfs", "/data:uid=65532,gid=65532"]
        network.start("object-store", store, "server", "--quiet", "--address=:9000", "/data", flags=[*root, *data])
        users = {f"{name.upper()}_USER": name for name in KEYS} | {
            f"{name.upper()}_PASSWORD": key for name, key in KEYS.items()
        }
        mounted = ["--volume", f"{SETUP}:/setup/setup.py:ro", "--entrypoint", "python3"]
        done = network.run(
            images["component"], "/setup/setup.py", flags=[*variables(ENDPOINT="object-store:9000", **users), *mounted]
        )
        assert done.returncode == 0, done.stdout + done.stderr
        network.start(
            "mlflow", images["mlflow"], "server", "--host=0.0.0.0", "--port=5000", "--workers=1",
            "--artifacts-destination=s3://mlflow", "--allowed-hosts=mlflow:*,localhost:*",
            flags=[*keys("mlflow"), *variables(MLFLOW_BACKEND_STORE_URI="sqlite:////tmp/mlflow.db",
                                               MLFLOW_S3_ENDPOINT_URL="http://object-store:9000")],
        )  # fmt: skip
        yield network, images
    finally:
        network.close()


@pytest.fixture(scope="module")
def trained(place):
    """What a run in the image of the steps prints, with the rights of a trainer."""
    network, images = place
    places = variables(SLIPWAY_STORE="s3://models", MLFLOW_TRACKING_URI="http://mlflow:5000")
    done = network.run(images["component"], "run", "configs/digits.yaml", flags=[*keys("trainer"), *places])
    assert done.returncode == 0, done.stdout + done.stderr
    return dict(line.split(None, 1) for line in done.stdout.splitlines() if line.startswith(("package", "mlflow")))


@pytest.mark.slow
def test_a_run_publishes_and_registers_with_the_rights_of_a_trainer(trained):
    assert trained["package"].startswith("s3://models/digits/sha256-")
    assert trained["mlflow"].startswith("digits version 1 (champion, challenger)")


@pytest.mark.slow
def test_a_reader_can_not_write_and_a_trainer_can_not_delete(place, trained):
    network, images = place
    code = (
        "import os, sys; from minio import Minio; from minio.error import S3Error\n"
        "s = Minio(endpoint='object-store:9000', access_key=sys.argv[1], secret_key=sys.argv[2], secure=False)\n"
        "from io import BytesIO\n"
        "def put(): s.put_object(bucket_name='models', object_name='x', data=BytesIO(b'x'), length=1)\n"
        "def delete(): s.remove_object(bucket_name='models', object_name=sys.argv[3])\n"
        "def get(): s.get_object(bucket_name='models', object_name=sys.argv[3]).close()\n"
        "for act in (put, delete, get):\n"
        "    try: act(); print(act.__name__, 'yes')\n"
        "    except S3Error as error: print(act.__name__, error.code)\n"
    )
    key = f"{trained['package'].removeprefix('s3://models/')}model.json"
    found = {}
    for user in ("reader", "trainer", "mlflow"):
        done = network.run(images["component"], "-c", code, user, KEYS[user], key, flags=["--entrypoint", "python3"])
        found[user] = dict(line.split() for line in done.stdout.splitlines())
    denied = "AccessDenied"
    assert found == {
        "reader": {"put": denied, "delete": denied, "get": "yes"},
        "trainer": {"put": "yes", "delete": denied, "get": "yes"},
        "mlflow": {"put": denied, "delete": denied, "get": denied},
    }


@pytest.mark.slow
def test_the_predictor_fetches_with_the_rights_of_a_reader_and_serves_what_was_trained(place, trained):
    network, images = place
    volume = f"{network.name}-models"
    docker("volume", "create", volume)
    try:
        # A new volume belongs to root; Kubernetes gives one to the pod's group.
        docker("run", "--rm", "--user", "0", "--entrypoint", "chmod", "--volume", f"{volume}:/mnt/models",
               images["component"], "777", "/mnt/models")  # fmt: skip
        fetch = [*keys("reader"), "--volume", f"{volume}:/mnt/models", "--entrypoint", "python3"]
        begun = time.monotonic()
        fetched = network.run(
            images["predictor"], "-m", "serving.fetch", trained["package"], "/mnt/models", flags=fetch
        )
        assert fetched.returncode == 0, fetched.stderr
        name = network.start("predictor", images["predictor"], flags=["--volume", f"{volume}:/mnt/models:ro"])
        while docker("exec", name, "python3", "-m", "serving", "--health").returncode:
            assert time.monotonic() < begun + 60, docker("logs", name).stdout
        print(f"fetched, started and ready after {time.monotonic() - begun:.1f} s")
        ask = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8080/v2/models/digits').read().decode())"
        told = json.loads(docker("exec", name, "python3", "-c", ask).stdout)
        assert told["parameters"]["package"].removeprefix("sha256:") in trained["package"]
    finally:
        docker("rm", "--force", f"{network.name}-predictor")
        docker("volume", "rm", volume)
