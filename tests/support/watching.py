"""A real Prometheus in the cluster: it reads the predictors as the PodMonitor says, and has the rules of manifests/."""

import json
import os
import shlex
import subprocess
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import yaml
from cluster import NAMESPACE, RESTRICTED, ROOT, Cluster

PLACE, NAME, IMAGE = "monitoring", "prometheus", "slipway-test/prometheus:dev"
ADDRESS = f"http://{NAME}.{PLACE}.svc:9090"
#: Seconds between two looks at a predictor.
EVERY = 2
MANIFESTS = ROOT / "manifests" / "monitoring"
LABELS = {"app.kubernetes.io/name": NAME}


class Prometheus:
    """Prometheus, asked through the API server.

    Args:
        cluster: Where it runs.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def start(self) -> None:
        """Hand its image to the node and wait until it sees a predictor."""
        _hand_over()
        self._cluster.run("apply", "--filename", "-", stdin=yaml.safe_dump_all(_objects()))
        self._cluster.run(
            "--namespace", PLACE, "rollout", "status", f"deployment/{NAME}", "--timeout=120s", seconds=130
        )
        self._cluster.until("Prometheus to see a predictor", lambda: self.values("slipway_package_info"), 60)

    def end(self) -> None:
        """Remove it."""
        self._cluster.run("delete", "namespace", PLACE, "--ignore-not-found", "--timeout=120s", seconds=130)
        self._cluster.k("delete", "role,rolebinding", NAME, "--ignore-not-found", check=False)

    def values(self, query: str) -> list[float]:
        """Return what a query yields now."""
        found = self._get(f"query?query={quote(query, safe='')}", check=False)
        return [float(series["value"][1]) for series in found["result"]] if found else []

    def rules(self) -> list[dict[str, Any]]:
        """Return every rule as it stands, its health among its fields."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def _get(self, what: str, *, check: bool = True) -> dict[str, Any]:
        path = f"/api/v1/namespaces/{PLACE}/services/{NAME}:9090/proxy/api/v1/{what}"
        answer = self._cluster.run("get", "--raw", path, check=check)
        found: dict[str, Any] = json.loads(answer)["data"] if answer.startswith("{") else {}
        return found


def recorded() -> list[str]:
    """Return the names of the recording rules of the manifests."""
    return [rule["record"] for group in _rules()["groups"] for rule in group["rules"] if "record" in rule]


def _hand_over() -> None:
    command = os.environ.get("SLIPWAY_CLUSTER_LOAD")
    if not command:
        return
    folder = ROOT / "tests" / "cluster" / "images" / "prometheus"
    subprocess.run(["docker", "build", "-q", "-t", IMAGE, str(folder)], check=True, capture_output=True, timeout=600)
    subprocess.run([*shlex.split(command), IMAGE], check=True, capture_output=True, timeout=300)


def _document(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((MANIFESTS / name).read_text(encoding="utf-8"))
    return found


def _rules() -> dict[str, Any]:
    """Return the rules as a file of rules: the operator would do the same with the spec."""
    found: dict[str, Any] = _document("rules.yaml")["spec"]
    return found


def _scrape() -> dict[str, Any]:
    """Return the PodMonitor in Prometheus' own words, as its operator would put it, only more often."""
    spec = _document("podmonitor.yaml")["spec"]
    (endpoint,) = spec["podMetricsEndpoints"]
    return {
        "job_name": "slipway/predictor", "metrics_path": endpoint["path"], "scrape_interval": f"{EVERY}s",
        "scrape_timeout": f"{EVERY}s",
        "file_sd_configs": [{"files": ["/data/targets.json"]}],
        "relabel_configs": [
            *_selection(spec["selector"], endpoint["port"]), *map(_relabeling, endpoint["relabelings"]),
        ],
    }  # fmt: skip


def _selection(selector: dict[str, Any], port: str) -> Iterator[dict[str, Any]]:
    """Yield what keeps the pods and the port that are meant, and gives them the labels that every series has."""
    yield _take("__meta_kubernetes_pod_phase", action="drop", regex="(Failed|Succeeded)")
    for label, value in selector["matchLabels"].items():
        yield _take(_meta("label", label), action="keep", regex=value)
    for expression in selector["matchExpressions"]:
        assert expression["operator"] == "Exists"
        yield _take(_meta("labelpresent", expression["key"]), action="keep", regex="true")
    yield _take("__meta_kubernetes_pod_container_port_name", action="keep", regex=port)
    yield _take("__meta_kubernetes_namespace", target_label="namespace")
    yield _take("__meta_kubernetes_pod_name", target_label="pod")


def _take(source: str, **what: str) -> dict[str, Any]:
    return {"source_labels": [source]} | what


def _meta(kind: str, label: str) -> str:
    return f"__meta_kubernetes_pod_{kind}_" + "".join(sign if sign.isalnum() else "_" for sign in label)


def _relabeling(said: dict[str, Any]) -> dict[str, Any]:
    assert set(said) == {"sourceLabels", "targetLabel"}, "the PodMonitor says more than this test understands"
    return {"source_labels": said["sourceLabels"], "target_label": said["targetLabel"]}


def _objects() -> Iterator[dict[str, Any]]:
    settings = {
        "global": {"evaluation_interval": "5s"},
        "rule_files": ["/etc/prometheus/rules.yaml"],
        "scrape_configs": [_scrape()],
    }
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {
        "name": PLACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
    }}  # fmt: skip
    yield _named("v1", "ServiceAccount", PLACE)
    yield _named("v1", "ConfigMap", PLACE, data={
        "prometheus.yaml": yaml.safe_dump(settings), "rules.yaml": yaml.safe_dump(_rules()),
    })  # fmt: skip
    rights = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}
    group = "rbac.authorization.k8s.io"
    yield _named(f"{group}/v1", "Role", NAMESPACE, rules=[rights])
    yield _named(
        f"{group}/v1", "RoleBinding", NAMESPACE,
        roleRef={"apiGroup": group, "kind": "Role", "name": NAME},
        subjects=[{"kind": "ServiceAccount", "name": NAME, "namespace": PLACE}],
    )  # fmt: skip
    yield _named("v1", "Service", PLACE, spec={"selector": LABELS, "ports": [{"port": 9090}]})
    yield _named("apps/v1", "Deployment", PLACE, spec={
        "selector": {"matchLabels": LABELS},
        "template": {"metadata": {"labels": LABELS}, "spec": _pod()},
    })  # fmt: skip


def _named(version: str, kind: str, namespace: str, **content: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": NAME, "namespace": namespace}} | content


def _pod() -> dict[str, Any]:
    prometheus = {
        "args": ["--config.file=/etc/prometheus/prometheus.yaml", "--storage.tsdb.path=/data/series"],
        "readinessProbe": {"httpGet": {"path": "/-/ready", "port": 9090}, "periodSeconds": 1},
    }
    discovery = {"command": ["python3", "/app/discover.py", NAMESPACE, "/data/targets.json"]}
    return {
        "serviceAccountName": NAME, "terminationGracePeriodSeconds": 5,
        "containers": [_container(NAME, prometheus), _container("discovery", discovery)],
        "securityContext": {
            "runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumes": [{"name": "settings", "configMap": {"name": NAME}}, {"name": "data", "emptyDir": {}}],
    }  # fmt: skip


def _container(name: str, content: dict[str, Any]) -> dict[str, Any]:
    return content | {
        "name": name, "image": IMAGE, "imagePullPolicy": "IfNotPresent", "securityContext": RESTRICTED,
        "resources": {"requests": {"cpu": "20m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}},
        "volumeMounts": [{"name": "settings", "mountPath": "/etc/prometheus"}, {"name": "data", "mountPath": "/data"}],
    }  # fmt: skip
