"""The local overlay's autoscaler on CPU: more replicas under load, fewer after it, and nobody is refused meanwhile."""

import time

import pytest
from cluster import SERVICE, Cluster, request

#: Seconds of heavy load: until metrics-server has seen it, and the new replicas have taken their share.
HEAVY = 100
#: The autoscaler's own wait before it takes a replica away is 300 seconds, and each replica says goodbye for 15.
PATIENCE = 450


def replicas(cluster: Cluster) -> int:
    """Return how many predictors are there, those on their way out included."""
    return len(cluster.pods())


@pytest.fixture
def alone(settled: Cluster) -> Cluster:
    """One replica, as long after any load as the autoscaler remembers it."""
    settled.asker()
    settled.until("one replica at rest", lambda: settled.ready() == replicas(settled) == 1, PATIENCE)
    return settled


@pytest.mark.minutes
def test_load_brings_three_replicas_and_rest_takes_them_back_without_a_failed_request(alone):
    target = alone.get("hpa", f"{SERVICE}-predictor")["spec"]
    assert (target["minReplicas"], target["maxReplicas"]) == (1, 3)
    begun = time.monotonic()
    steady = alone.load(request(), HEAVY + PATIENCE, clients=2, pause_ms=200)
    heavy = alone.load(request(rows=8), HEAVY, clients=16)
    alone.until("three ready replicas", lambda: alone.ready() == 3, HEAVY)
    up = time.monotonic() - begun
    tops = heavy.result()
    ended = time.monotonic()
    alone.until("one replica", lambda: replicas(alone) == 1, PATIENCE)
    down = time.monotonic() - ended
    assert steady.running, "the load under which replicas were taken away ended before them"
    light = steady.stop()
    print(
        f"autoscaling on CPU: 1 to 3 in {up:.0f} s, back to 1 {down:.0f} s after the load; "
        f"{tops['requests']} + {light['requests']} requests, failed {tops['failed']} + {light['failed']}, "
        f"highest latency {tops['max_ms']:.0f} and {light['max_ms']:.0f} ms"
    )
    assert tops["requests"] > 1000 and light["requests"] > 500
    assert (tops["failed"], light["failed"]) == (0, 0), tops["faults"] + light["faults"]


def test_all_that_the_overlay_asks_for_fits_a_node_of_two_cpus_with_every_replica_there(settled):
    asked = sum(
        _cores(container["resources"]["requests"]["cpu"])
        for pod in settled.get("pods")["items"]
        if pod["status"]["phase"] in ("Pending", "Running")
        for container in pod["spec"]["containers"]
    )
    one = _cores(settled.pods()[0]["spec"]["containers"][0]["resources"]["requests"]["cpu"])
    most = asked + (3 - replicas(settled)) * one
    print(f"CPU requests with three replicas: {most:.2f}")
    assert 0 < most < 1.9


def _cores(quantity: str) -> float:
    return float(quantity[:-1]) / 1000 if quantity.endswith("m") else float(quantity)
