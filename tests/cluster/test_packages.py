"""Packages that must not be served: the old version goes on, and one sentence tells why where people look."""

import hashlib
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cluster import SERVICE, Cluster
from cluster_packages import Publisher, address
from cluster_rollouts import change, fixed, load, package, served
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


@pytest.fixture(scope="module")
def publisher(applied: Cluster) -> Iterator[Publisher]:
    """A pod that may add packages."""
    found = Publisher(applied)
    found.start()
    yield found
    found.stop()


CHANGED = "/mnt/models is not the package that was sealed; changed: "


def damaged(publisher: Publisher) -> tuple[str, str]:
    """A package with one changed byte in its graph, at its own address."""
    digest = publisher.train("name=spoiled", "seed=1", "train.trees=30")
    publisher.copy(address(digest, "spoiled"), address(digest), "model.onnx")
    return digest, f"{CHANGED}model.onnx (sealed "


def missing(publisher: Publisher) -> tuple[str, str]:
    """An address that holds nothing."""
    digest = hashlib.sha256(b"nobody published this").hexdigest()
    return digest, f"s3://models/{address(digest)} holds no package; publish it, or correct storageUri"


def foreign(publisher: Publisher) -> tuple[str, str]:
    """A whole package at the address of another."""
    digest = hashlib.sha256(b"somebody else's address").hexdigest()
    publisher.copy(address(publisher.train(config="iris"), "iris"), address(digest))
    return digest, f"{CHANGED}model.json (sealed {digest}, found "


@pytest.fixture
def alone(settled: Cluster) -> Cluster:
    """One replica, as long as no autoscaler has its own opinion."""
    return fixed(settled, 1)


@pytest.mark.parametrize("kind", [damaged, missing, foreign], ids=lambda kind: kind.__name__)
def test_a_package_that_is_not_whole_is_named_and_the_old_one_goes_on(alone, publisher, kind):
    digest, said = kind(publisher)
    before = served(alone)
    refused(f"{kind.__name__} package", alone, package(digest), package(before), said, of_service)


def test_an_unsigned_package_is_named_where_public_keys_are_given(alone, tmp_path):
    file = tmp_path / "public.pem"
    file.write_bytes(
        Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    before = package(served(alone))
    keys = {"name": "SLIPWAY_PUBLIC_KEYS", "value": "/keys"}
    mount = {"name": "keys", "mountPath": "/keys", "readOnly": True}
    model = before["model"] | {"env": [*before["model"]["env"], keys], "volumeMounts": [mount]}
    required = {"volumes": [{"name": "keys", "configMap": {"name": "public-keys"}}], "model": model}
    back = {"volumes": None, "model": before["model"] | {"volumeMounts": None}}
    alone.k("create", "configmap", "public-keys", f"--from-file={file}")
    try:
        refused("unsigned package", alone, required, back, "/mnt/models is not signed: ", of_pod)
    finally:
        alone.k("delete", "configmap", "public-keys")


def refused(
    what: str,
    cluster: Cluster,
    wrong: dict[str, Any],
    back: dict[str, Any],
    said: str,
    where: Callable[[Cluster, str], str],
) -> None:
    """Change the InferenceService to what must not be served, find the reason there and with doctor, and go back."""
    with load(cluster) as seen:
        begun = time.monotonic()
        change(cluster, wrong)
        try:
            reason = cluster.until("the reason", lambda: where(cluster, said))
            took = time.monotonic() - begun
            told = doctor()
        finally:
            change(cluster, back)
        cluster.until("the old package alone", lambda: cluster.rolled(1) and len(cluster.pods()) == 1)
    print(f"{what}: {seen}; after {took:.0f} s: {reason}")
    assert "\n" not in reason
    assert re.search(rf"^problem +InferenceService {SERVICE}: .*{re.escape(said)}", told, re.MULTILINE), told
    assert seen.failed == 0, seen.faults
    assert seen.least == 1
    assert list(seen.packages) == [f"sha256:{served(cluster)}"]


def of_service(cluster: Cluster, said: str) -> str:
    """Return what the InferenceService's status says of a package that was not brought, if it says that."""
    status = cluster.get("inferenceservice", SERVICE)["status"]["modelStatus"]
    reason = str(status.get("lastFailureInfo", {}).get("message", ""))
    return reason if status["transitionStatus"] == "BlockedByFailedLoad" and said in reason else ""


def of_pod(cluster: Cluster, said: str) -> str:
    """Return how a predictor ended, if with those words; KServe calls a model loaded as long as an old pod serves."""
    ended = (
        container.get(state, {}).get("terminated", {}).get("message", "")
        for pod in cluster.pods()
        for container in pod["status"].get("containerStatuses", [])
        for state in ("state", "lastState")
    )
    return next((message for message in ended if said in message), "")


def doctor() -> str:
    """Return what ``slipway doctor`` says of the InferenceService."""
    done = subprocess.run(
        [sys.executable, "-m", "pipelines", "doctor", "--cluster", "--service", SERVICE],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stdout + done.stderr
    return done.stdout
