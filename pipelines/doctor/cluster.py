"""Checks of what a cluster offers to every namespace: the API server, KServe, storage, metrics, what is optional."""

import json
import re
from collections.abc import Iterator

from components.kube import Cluster, ClusterError, Json
from pipelines.doctor import Check, Finding, ok, problem, warning

#: preStop sleep, which lets a pod leave the endpoints before it ends, is on by default from here.
OLDEST = (1, 30)
STANDARD = {"Standard", "RawDeployment"}
KSERVE = "/apis/serving.kserve.io"
CRDS = ("inferenceservices", "servingruntimes", "clusterservingruntimes", "clusterstoragecontainers")
OPTIONAL = {
    "KEDA": "keda.sh",
    "Kubeflow Pipelines": "pipelines.kubeflow.org",
    "Prometheus operator": "monitoring.coreos.com",
    "Gateway API": "gateway.networking.k8s.io",
}


def checks(cluster: Cluster) -> list[Check]:
    """Return the checks of a cluster that answers."""
    return [
        lambda: kserve(cluster),
        lambda: storage_class(cluster),
        lambda: metrics_server(cluster),
        lambda: optional(cluster),
    ]


def version(url: str, told: Json) -> Iterator[Finding]:
    """Tell whether the API server is young enough.

    Args:
        url: The server's.
        told: What it answers to ``/version``.
    """
    number = tuple(int("0" + re.sub(r"\D.*", "", told[part])) for part in ("major", "minor"))
    what = f"API server {url}, Kubernetes {told['gitVersion']}"
    if number >= OLDEST:
        yield ok(what)
    else:
        yield problem(f"{what} knows no preStop sleep", "upgrade to Kubernetes 1.30 or later")


def kserve(cluster: Cluster) -> Iterator[Finding]:
    """Tell whether KServe is installed, runs, and makes plain Deployments."""
    if cluster.find(KSERVE) is None:
        yield problem("KServe is not installed", "install it in Standard mode: https://kserve.github.io/website/")
        return
    served = {
        kind["name"]
        for name in ("v1beta1", "v1alpha1")
        for kind in (cluster.find(f"{KSERVE}/{name}") or {}).get("resources", [])
    }
    missing = [name for name in CRDS if name not in served]
    if missing:
        yield problem(f"KServe's API lacks {', '.join(missing)}", "install all CRDs of one KServe release")
    yield from _controller(cluster)
    if "clusterstoragecontainers" in served:
        yield from storage_containers(cluster)


def _controller(cluster: Cluster) -> Iterator[Finding]:
    controller = cluster.find("/apis/apps/v1/namespaces/kserve/deployments/kserve-controller-manager")
    if controller is None:
        remedy = "install KServe whole; its webhooks fail without it"
        yield problem("KServe's controller is not in the namespace kserve", remedy)
        return
    if not controller.get("status", {}).get("availableReplicas"):
        remedy = "kubectl logs -n kserve deployment/kserve-controller-manager"
        yield problem("KServe's controller is not available; changes of InferenceServices are refused", remedy)
        return
    settings = cluster.find("/api/v1/namespaces/kserve/configmaps/inferenceservice-config") or {}
    deploy = json.loads((settings.get("data") or {}).get("deploy") or "{}")
    mode = deploy.get("defaultDeploymentMode", "Knative")
    told = f"KServe's controller is available, its default mode is {mode}"
    yield ok(told if mode in STANDARD else f"{told}; ours say Standard by annotation")


def storage_containers(cluster: Cluster) -> Iterator[Finding]:
    """Tell whether a namespace that enforces restricted Pod Security admits what fetches packages from S3."""
    found = [c for c in cluster.items(f"{KSERVE}/v1alpha1/clusterstoragecontainers") if _fetches_s3(c)]
    if not found:
        remedy = "kubectl apply -k manifests/storage-container"
        yield problem("no ClusterStorageContainer fetches s3://", remedy)
        return
    lacking = {c["metadata"]["name"]: unhardened(c["spec"]["container"].get("securityContext") or {}) for c in found}
    if hardened := [name for name, lacks in lacking.items() if not lacks]:
        yield ok(f"ClusterStorageContainer {', '.join(hardened)} passes restricted Pod Security")
        return
    for name, lacks in lacking.items():
        what = f"ClusterStorageContainer {name} lacks {', '.join(lacks)}: a restricted namespace refuses its pods"
        yield warning(what, "kubectl apply -k manifests/storage-container, and name it as storageContainerName")


def unhardened(context: Json) -> list[str]:
    """Return what a container's security context lacks to pass the restricted standard."""
    rules = {
        "allowPrivilegeEscalation: false": context.get("allowPrivilegeEscalation") is False,
        "capabilities.drop: [ALL]": "ALL" in (context.get("capabilities", {}).get("drop") or []),
        "runAsNonRoot: true": context.get("runAsNonRoot") is True,
        "seccompProfile: RuntimeDefault": context.get("seccompProfile", {}).get("type")
        in ("RuntimeDefault", "Localhost"),
    }
    return [rule for rule, kept in rules.items() if not kept]


def _fetches_s3(container: Json) -> bool:
    formats = container["spec"].get("supportedUriFormats") or []
    return not container.get("disabled") and any(
        form.get("prefix") == "s3://" or (form.get("regex") and re.match(form["regex"], "s3://bucket/key"))
        for form in formats
    )


def storage_class(cluster: Cluster) -> Iterator[Finding]:
    """Tell whether volumes are made by themselves."""
    key = "storageclass.kubernetes.io/is-default-class"
    for found in cluster.items("/apis/storage.k8s.io/v1/storageclasses"):
        if (found["metadata"].get("annotations") or {}).get(key) == "true":
            yield ok(f"default StorageClass {found['metadata']['name']}")
            return
    yield warning("there is no default StorageClass", f"annotate one with {key}=true, or name one in the claims")


def metrics_server(cluster: Cluster) -> Iterator[Finding]:
    """Tell whether an autoscaler learns the load of the pods."""
    try:
        cluster.get("/apis/metrics.k8s.io/v1beta1/nodes", limit="1")
    except ClusterError:
        yield warning("metrics-server does not answer; a HorizontalPodAutoscaler does not scale", "install it")
    else:
        yield ok("metrics-server answers")


def optional(cluster: Cluster) -> Iterator[Finding]:
    """Tell which of the optional parts there are; none is missed."""
    groups = {group["name"] for group in cluster.get("/apis")["groups"]}
    for name, group in OPTIONAL.items():
        yield ok(f"{name} {'is installed' if group in groups else 'is not installed (optional)'}")
