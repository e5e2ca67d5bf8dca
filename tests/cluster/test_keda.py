"""The component keda on a real Prometheus: the predictor's own queue decides how many replicas there are."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import ROOT, SERVICE, Cluster, request
from watching import ADDRESS, Prometheus, recorded

AUTOSCALER = f"{SERVICE}-predictor"
#: The way to another autoscaler and back, as docs/monitoring.md has them.
LEAVE_CPU = f"kubectl delete hpa {AUTOSCALER} --namespace slipway"
LEAVE_KEDA = f"kubectl delete scaledobject {AUTOSCALER} --namespace slipway"
HEAVY, PATIENCE = 90, 450


def autoscalers(cluster: Cluster) -> set[str]:
    """Return what changes the number of replicas, by kind and name."""
    return set(cluster.k("get", "hpa,scaledobject", "--output", "name").split())


@pytest.fixture(scope="module")
def watched(applied: Cluster) -> Iterator[Prometheus]:
    """A Prometheus that sees the predictors."""
    if "scaledobjects" not in applied.run("api-resources", "--api-group=keda.sh", check=False):
        pytest.skip("this cluster has no KEDA: no resource of the group keda.sh")
    prometheus = Prometheus(applied)
    try:
        prometheus.start()
        yield prometheus
    finally:
        prometheus.end()


@pytest.fixture(scope="module")
def scaled(applied: Cluster, watched: Prometheus) -> Iterator[Cluster]:
    """The local overlay with the component, moved there from CPU and back as the documentation says."""
    try:
        applied.run("apply", "--kustomize", str(with_keda(applied)))
        # What makes the command necessary: both autoscalers are there, and Kubernetes lets neither of them scale.
        applied.until("two autoscalers", lambda: applied.k("get", "hpa", "-o", "json").count("AmbiguousSelector") == 2)
        applied.run(*LEAVE_CPU.split()[1:])
        yield applied
    finally:
        applied.apply_local()
        applied.run(*LEAVE_KEDA.split()[1:], "--ignore-not-found")
        applied.settle()


def with_keda(cluster: Cluster) -> Path:
    """Return an overlay that asks this Prometheus."""
    path = "/spec/predictor/autoScaling/metrics/0/external/metric/serverAddress"
    return cluster.overlay(
        components=[os.path.relpath(ROOT / "kustomize" / "components" / "keda", cluster.folder / "overlay")],
        patches=[{
            "target": {"kind": "InferenceService", "name": SERVICE},
            "patch": f"- {{op: replace, path: {path}, value: '{ADDRESS}'}}",
        }],
    )  # fmt: skip


def test_one_autoscaler_is_left_after_the_move_that_the_documentation_describes(scaled):
    told = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")
    assert LEAVE_CPU in told and LEAVE_KEDA in told
    names = {
        f"horizontalpodautoscaler.autoscaling/keda-hpa-{AUTOSCALER}", f"scaledobject.keda.sh/{AUTOSCALER}",
    }  # fmt: skip
    scaled.until("KEDA's own autoscaler alone", lambda: autoscalers(scaled) == names, 60)
    window = scaled.get("hpa", f"keda-hpa-{AUTOSCALER}")["spec"]["behavior"]
    assert (window["scaleUp"]["stabilizationWindowSeconds"], window["scaleDown"]["stabilizationWindowSeconds"]) == (
        0,
        300,
    )


@pytest.mark.minutes
def test_a_queue_brings_three_replicas_and_none_takes_them_back_without_a_failed_request(scaled, watched):
    scaled.until("one replica at rest", lambda: scaled.ready() == len(scaled.pods()) == 1, PATIENCE)
    begun = time.monotonic()
    steady = scaled.load(request(), HEAVY + PATIENCE, clients=2, pause_ms=200)
    heavy = scaled.load(request(rows=512), HEAVY, clients=64)
    scaled.until("three ready replicas", lambda: scaled.ready() == 3, HEAVY)
    up = time.monotonic() - begun
    deepest = max(
        watched.values(f'max_over_time(sum(slipway_requests_in_flight{{inferenceservice="{SERVICE}"}})[2m:2s])')
    )
    tops = heavy.result()
    ended = time.monotonic()
    scaled.until("one replica", lambda: len(scaled.pods()) == 1, PATIENCE)
    down = time.monotonic() - ended
    assert steady.running, "the load under which replicas were taken away ended before them"
    light = steady.stop()
    print(
        f"autoscaling on the queue: 1 to 3 in {up:.0f} s, back to 1 {down:.0f} s after the load; at most {deepest:.0f} "
        f"in flight; {tops['requests']} + {light['requests']} requests, failed {tops['failed']} + {light['failed']}, "
        f"highest latency {tops['max_ms']:.0f} and {light['max_ms']:.0f} ms"
    )
    assert deepest > 24, "three replicas were not called for by the queue"
    assert tops["requests"] > 500 and light["requests"] > 500
    assert (tops["failed"], light["failed"]) == (0, 0), tops["faults"] + light["faults"]


def test_every_recording_rule_yields_something_under_load_and_every_rule_is_healthy(applied, watched):
    load = applied.load(request(), 120, clients=2, pause_ms=50)
    for name in recorded():
        applied.until(f"{name} to be recorded", lambda name=name: watched.values(name), 100)
    rules = watched.rules()
    found = load.stop()
    print(f"rules: {len(recorded())} recorded, {len(rules)} in all, healthy every one; {found['requests']} requests")
    assert len(rules) > len(recorded()) > 5
    assert [(rule["name"], rule.get("lastError")) for rule in rules if rule["health"] != "ok"] == []
    firing = [rule["name"] for rule in rules if rule.get("state") == "firing"]
    assert firing == []
