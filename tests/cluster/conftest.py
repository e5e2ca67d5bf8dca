"""A real cluster, brought into the state that each test expects.

The cluster is the one of ``$KUBECONFIG``; without one, or without KServe in it, all of this is skipped, and unless
``make test-cluster`` asks for it: these tests make the namespace ``slipway`` and remove it. Images are taken from the
container engine of this machine and handed to the nodes by the command in ``SLIPWAY_CLUSTER_LOAD`` (for kind
``hack/cluster load``); where nothing can be pulled, ``SLIPWAY_CLUSTER_IMAGES`` names replacements for public images,
``image=replacement`` by comma. All tests share one apply of the local overlay; who works on them sets
``SLIPWAY_CLUSTER_KEEP`` and finds it as the last run left it.
"""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import CLIENT, NAMESPACE, Cluster

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "hack"))  # the checker of manifests is asked what the API server is asked
OURS = ("slipway/component:0.1.0", "slipway/predictor:0.1.0", "slipway/mlflow:0.1.0")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give a cluster time, and keep its tests in one process: there is one cluster."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)
            item.add_marker(pytest.mark.xdist_group("cluster"))


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster of ``$KUBECONFIG``, with KServe, with our images on its nodes and nothing of ours applied."""
    kept = os.environ.get("SLIPWAY_CLUSTER_KEEP")
    if not (kept or os.environ.get("SLIPWAY_CLUSTER")):
        pytest.skip("a cluster is tested by make test-cluster alone")
    if not os.environ.get("KUBECONFIG") or not shutil.which("kubectl"):
        pytest.skip("no cluster: set KUBECONFIG, and put kubectl on the PATH")
    found = Cluster(tmp_path_factory.mktemp("cluster"), replaced())
    if reason := found.lacks():
        pytest.skip(reason)
    if kept:
        yield found
        return
    if found.taken():
        pytest.exit(f"the cluster has a namespace {NAMESPACE}, which these tests would remove; remove it first", 2)
    hand_over()
    found.prepare()
    yield found
    found.clear()


@pytest.fixture(scope="session")
def applied(cluster: Cluster) -> Cluster:
    """The cluster after one apply of the local overlay, with a predictor that answers."""
    cluster.bring_up()
    return cluster


@pytest.fixture
def settled(applied: Cluster) -> Iterator[Cluster]:
    """The same, and it is left as it was found: the local overlay applied, one ready predictor."""
    yield applied
    applied.settle()


def replaced() -> dict[str, str]:
    """Return replacements for public images."""
    named = os.environ.get("SLIPWAY_CLUSTER_IMAGES", "")
    return dict(pair.split("=", 1) for pair in named.split(",") if pair)


def hand_over() -> None:
    """Hand images to the nodes, if a command for that is known."""
    command = os.environ.get("SLIPWAY_CLUSTER_LOAD")
    if not command:
        return
    missing = [image for image in OURS if not built(image)]
    if missing:
        pytest.skip(f"no image {', '.join(missing)} on this machine; run make images")
    client = ROOT / "tests" / "cluster" / "images" / "client"
    subprocess.run(["docker", "build", "-q", "-t", CLIENT, str(client)], check=True, capture_output=True, timeout=600)
    images = [*OURS, CLIENT, *(image for image in replaced().values())]
    subprocess.run([*shlex.split(command), *images], check=True, capture_output=True, timeout=900)


def built(image: str) -> bool:
    """Return whether the engine has an image."""
    return not subprocess.run(["docker", "image", "inspect", image], check=False, capture_output=True).returncode
