"""Changes of the InferenceService, and what clients and the API server see of its pods meanwhile."""

import contextlib
import json
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

from cluster import NAMESPACE, PODS, SERVICE, Cluster, request
from cluster_packages import address

#: Of one pod: name, since when it ends, whether it is ready.
COLUMNS = '{.metadata.name}|{.metadata.deletionTimestamp}|{.status.conditions[?(@.type=="Ready")].status}{"\\n"}'


def change(cluster: Cluster, predictor: dict[str, Any]) -> None:
    """Change fields of the InferenceService's predictor; lists are replaced as a whole."""
    patch = json.dumps({"spec": {"predictor": predictor}})
    cluster.k("patch", "inferenceservice", SERVICE, "--type=merge", "--patch", patch)


def package(digest: str) -> dict[str, Any]:
    """Return the fields of the predictor that name a package."""
    expected = {"name": "SLIPWAY_DIGEST", "value": digest}
    return {"model": {"storageUri": f"s3://models/{address(digest)}", "env": [expected]}}


def replicas(count: int) -> dict[str, Any]:
    """Return the fields of the predictor for a fixed number of replicas."""
    return {"minReplicas": count, "maxReplicas": count}


def served(cluster: Cluster) -> str:
    """Return the digest that the InferenceService asks for."""
    uri = str(cluster.get("inferenceservice", SERVICE)["spec"]["predictor"]["model"]["storageUri"])
    return uri.rstrip("/").rpartition("sha256-")[2]


def fixed(cluster: Cluster, count: int) -> Cluster:
    """Have so many replicas, without an autoscaler that has its own opinion."""
    change(cluster, replicas(count))
    cluster.until(f"{count} replicas", lambda: cluster.rolled(count) and len(cluster.pods()) == count)
    return cluster


class Least:
    """The least number of ready pods since a moment, from each change that the API server tells.

    Args:
        cluster: The cluster.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.count = cluster.ready()
        self._ready = {pod["metadata"]["name"] for pod in cluster.pods() if "deletionTimestamp" not in pod["metadata"]}
        self._process = subprocess.Popen(
            ["kubectl", "--namespace", NAMESPACE, "get", "pods", "--selector", PODS, "--watch",
             "--output", f"jsonpath={COLUMNS}"],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            name, ending, ready = line.strip().split("|")
            (self._ready.add if ready == "True" and not ending else self._ready.discard)(name)
            self.count = min(self.count, len(self._ready))

    def end(self) -> int:
        """Return it."""
        with self._process:
            self._process.terminate()
            self._thread.join()
        return self.count


class Seen:
    """What a load found, and the least number of ready pods meanwhile; filled when it ends."""

    requests = failed = least = 0
    highest_ms = 0.0

    def __init__(self) -> None:
        self.packages: dict[str, int] = {}
        self.faults: list[str] = []

    def __str__(self) -> str:
        return (
            f"{self.requests} requests, failed {self.failed}, highest latency {self.highest_ms:.0f} ms, "
            f"least ready pods {self.least}"
        )


@contextlib.contextmanager
def load(cluster: Cluster, seconds: float = 330) -> Iterator[Seen]:
    """Ask while something happens: clients that open a fresh connection often, and ones that keep theirs until told."""
    cluster.asker()
    seen, least = Seen(), Least(cluster)
    loads = [
        cluster.load(request(), seconds, clients=2, pause_ms=60, fresh=20),
        cluster.load(request(), seconds, clients=2, pause_ms=60, fresh=1_000_000),
    ]
    try:
        yield seen
        assert all(each.running for each in loads), "the load ended before what it was there to see"
    finally:
        found = [each.stop() for each in loads]
        seen.least = least.end()
        seen.requests, seen.failed = (sum(each[name] for each in found) for name in ("requests", "failed"))
        seen.highest_ms = max(each["max_ms"] for each in found)
        seen.faults = [fault for each in found for fault in each["faults"]]
        for each in found:
            for name, count in each["packages"].items():
                seen.packages[name] = seen.packages.get(name, 0) + count
