"""Updates of model and image, and a node that is drained, while clients ask: no request fails, no pod is missed."""

import json
import os
import shlex
import subprocess
import time

import pytest
from cluster import NAMESPACE, RUNTIME, Cluster
from cluster_packages import Publisher
from cluster_rollouts import change, fixed, load, package

IMAGE = "slipway/predictor:0.1.0"
UPDATES = 10


@pytest.fixture(scope="module")
def variants(applied: Cluster) -> list[str]:
    """Digests of two packages beside the overlay's."""
    publisher = Publisher(applied)
    publisher.start()
    try:
        return [publisher.train(f"seed={seed}", "train.trees=40") for seed in (1, 2)]
    finally:
        publisher.stop()


@pytest.fixture(scope="module")
def images(cluster: Cluster) -> list[str]:
    """The predictor's image under two names."""
    command = os.environ.get("SLIPWAY_CLUSTER_LOAD")
    if not command:
        pytest.skip("no second image: SLIPWAY_CLUSTER_LOAD, which hands images to the nodes, is not set")
    other = f"{IMAGE}-b"
    subprocess.run(["docker", "tag", IMAGE, other], check=True, capture_output=True)
    subprocess.run([*shlex.split(command), other], check=True, capture_output=True, timeout=300)
    return [other, IMAGE]


@pytest.fixture
def alone(settled: Cluster) -> Cluster:
    """One replica, without an autoscaler that has its own opinion."""
    return fixed(settled, 1)


@pytest.fixture
def pair(settled: Cluster) -> Cluster:
    """Two replicas."""
    return fixed(settled, 2)


@pytest.mark.minutes
def test_ten_model_updates_under_load_fail_no_request_and_never_miss_a_pod(alone, variants):
    took = []
    with load(alone) as seen:
        for number in range(UPDATES):
            digest = variants[number % 2]
            begun = time.monotonic()
            change(alone, package(digest))
            alone.until("the new package", lambda: alone.rolled(1))
            took.append(time.monotonic() - begun)
        alone.until("the last old pod's end", lambda: len(alone.pods()) == 1)
    print(f"{UPDATES} model updates, one replica: {seen}, {min(took):.0f} to {max(took):.0f} s each")
    assert seen.failed == 0, seen.faults
    assert seen.least == 1
    assert seen.requests > 100 * UPDATES
    assert {f"sha256:{digest}" for digest in variants} < set(seen.packages)


@pytest.mark.minutes
def test_ten_image_updates_under_load_fail_no_request_and_never_miss_a_pod(pair, images):
    took = []
    with load(pair) as seen:
        for number in range(UPDATES):
            image = images[number % 2]
            begun = time.monotonic()
            patch = [{"op": "replace", "path": "/spec/containers/0/image", "value": image}]
            pair.k("patch", "servingruntime", RUNTIME, "--type=json", "--patch", json.dumps(patch))
            pair.until("the new image", lambda: pair.rolled(2))
            took.append(time.monotonic() - begun)
        pair.until("the last old pods' end", lambda: len(pair.pods()) == 2)
    print(f"{UPDATES} image updates, two replicas: {seen}, {min(took):.0f} to {max(took):.0f} s each")
    assert seen.failed == 0, seen.faults
    assert seen.least == 2
    assert seen.requests > 100 * UPDATES


def test_a_drain_takes_one_pod_at_a_time_and_fails_no_request(pair):
    first, second = (pod["metadata"]["name"] for pod in pair.pods())
    with load(pair) as seen:
        assert evict(pair, first) == ""
        refusal = evict(pair, second)
        pair.until("the replacement", lambda: pair.ready() == 2)
        pair.until("the second eviction", lambda: evict(pair, second) == "")
        pair.until("two new pods", lambda: pair.ready() == len(pair.pods()) == 2)
    print(f"a drain, two replicas: {seen}; the second eviction at once: {refusal}")
    assert "TooManyRequests" in refusal and "disruption budget" in refusal
    assert not {first, second} & {pod["metadata"]["name"] for pod in pair.pods()}
    assert seen.failed == 0, seen.faults
    assert seen.least == 1


def evict(cluster: Cluster, pod: str) -> str:
    """Evict a pod as a drain does; return what the API server has against it."""
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": NAMESPACE}}
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{pod}/eviction"
    told = cluster.run("create", "--raw", path, "--filename", "-", stdin=json.dumps(body), check=False)
    return told.strip() if "Success" not in told else ""
