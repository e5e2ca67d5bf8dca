"""What a healthy cluster with Slipway on it answers, object by object; tests change what they are about."""

import json
from typing import Any

from kube_server import KubeServer

Json = dict[str, Any]
NAMESPACE = "slipway"
OLD, NEW = "a" * 64, "b" * 64
CORE, APPS = f"/api/v1/namespaces/{NAMESPACE}", f"/apis/apps/v1/namespaces/{NAMESPACE}"
SERVICE = f"/apis/serving.kserve.io/v1beta1/namespaces/{NAMESPACE}/inferenceservices/digits"
DEPLOYMENT = f"{APPS}/deployments/digits-predictor"
LABELS = {"serving.kserve.io/inferenceservice": "digits", "component": "predictor"}
HARDENED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def uri(digest: str) -> str:
    return f"s3://models/digits/sha256-{digest}/"


def platform(server: KubeServer) -> None:
    """Kubernetes and KServe themselves."""
    kserve = "/apis/serving.kserve.io"
    groups = ["apps", "serving.kserve.io", "keda.sh"]
    controller = "/apis/apps/v1/namespaces/kserve/deployments/kserve-controller-manager"
    kinds = ("inferenceservices", "servingruntimes", "clusterservingruntimes", "clusterstoragecontainers")
    modes = {"deploy": json.dumps({"defaultDeploymentMode": "Knative"})}
    server.put("/version", {"major": "1", "minor": "34+", "gitVersion": "v1.34.1"})
    server.put("/apis", {"groups": [{"name": name} for name in groups]})
    server.put(kserve, {"name": "serving.kserve.io"})
    server.put(f"{kserve}/v1beta1", {"resources": [{"name": kinds[0]}, {"name": f"{kinds[0]}/status"}]})
    server.put(f"{kserve}/v1alpha1", {"resources": [{"name": name} for name in kinds[1:]]})
    server.put(controller, {"spec": {}, "status": {"availableReplicas": 1}})
    server.put("/api/v1/namespaces/kserve/configmaps/inferenceservice-config", {"data": modes})
    formats = [{"prefix": "gs://"}, {"prefix": "s3://"}]
    container = {"name": "storage-initializer", "securityContext": HARDENED}
    server.put(
        f"{kserve}/v1alpha1/clusterstoragecontainers/default",
        {"spec": {"container": container, "supportedUriFormats": formats}},
    )
    default = {"storageclass.kubernetes.io/is-default-class": "true"}
    server.put("/apis/storage.k8s.io/v1/storageclasses/local-path", {"metadata": {"annotations": default}})
    server.put("/apis/metrics.k8s.io/v1beta1/nodes", {"items": [{}]})


def namespace(server: KubeServer) -> None:
    """The namespace with what the steps and the predictors find in it."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    server.put(f"/api/v1/namespaces/{NAMESPACE}", {"metadata": {"labels": labels}})
    settings = {
        "SLIPWAY_STORE": "s3://models",
        "MLFLOW_TRACKING_URI": "http://mlflow:5000",
        "AWS_ENDPOINT_URL": "http://minio:9000",
        "AWS_DEFAULT_REGION": "us-east-1",
        "SLIPWAY_CHECKPOINTS": "s3://checkpoints",
    }
    keys = {"AWS_ACCESS_KEY_ID": "bXkta2V5LWlk", "AWS_SECRET_ACCESS_KEY": "bXktc2VjcmV0"}
    annotations = {"serving.kserve.io/s3-endpoint": "minio:9000", "serving.kserve.io/s3-usehttps": "0"}
    server.put(f"{CORE}/configmaps/slipway", {"data": settings})
    server.put(f"{CORE}/secrets/slipway", {"data": keys})
    server.put(f"{CORE}/secrets/models-reader", {"data": keys, "metadata": {"annotations": annotations}})
    server.put(f"{CORE}/serviceaccounts/predictor", {"secrets": [{"name": "models-reader"}]})
    for kind, name in (("statefulsets", "minio"), ("statefulsets", "postgres"), ("deployments", "mlflow")):
        labels = {"app.kubernetes.io/name": name}
        spec = {"replicas": 1, "selector": {"matchLabels": labels}}
        content = {"metadata": {"labels": labels}, "spec": spec, "status": {"readyReplicas": 1}}
        server.put(f"{APPS}/{kind}/{name}", content)


def service(server: KubeServer, digest: str = OLD) -> None:
    """An InferenceService with two pods that serve a package."""
    model = {"modelFormat": {"name": "slipway"}, "runtime": "slipway", "storageUri": uri(digest)}
    conditions = [{"type": "Ready", "status": "True"}, {"type": "Stopped", "status": "False"}]
    server.put(
        SERVICE,
        {
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            "metadata": {"generation": 1},
            "spec": {"predictor": {"model": model}},
            "status": {"conditions": conditions, "observedGeneration": 1},
        },
    )
    deploy(server, digest, revision=1)
    for pod in ("digits-1-a", "digits-1-b"):
        ready(server, pod, digest)
    settle(server)


def deploy(server: KubeServer, digest: str, *, revision: int) -> None:
    """What KServe and the Deployment's controller do first: another template, another ReplicaSet."""
    variable = {"name": "SLIPWAY_DIGEST", "value": digest}
    template = {"spec": {"containers": [{"name": "kserve-container", "env": [variable]}]}}
    status = {"observedGeneration": revision, "replicas": 2, "readyReplicas": 2, "updatedReplicas": 0}
    server.put(
        DEPLOYMENT,
        {
            "metadata": {"labels": LABELS, "generation": revision},
            "spec": {"replicas": 2, "template": template},
            "status": status,
        },
    )
    metadata = {
        "labels": LABELS,
        "annotations": {"deployment.kubernetes.io/revision": str(revision)},
        "ownerReferences": [{"uid": f"uid-of-{DEPLOYMENT}"}],
    }
    server.put(f"{APPS}/replicasets/digits-{revision}", {"metadata": metadata})


def pod(server: KubeServer, name: str, status: Json) -> None:
    """A pod of the ReplicaSet that its name begins with."""
    owner = [{"uid": f"uid-of-{APPS}/replicasets/{name.rpartition('-')[0]}"}]
    server.put(f"{CORE}/pods/{name}", {"metadata": {"labels": LABELS, "ownerReferences": owner}, "status": status})


def ready(server: KubeServer, name: str, digest: str) -> None:
    """A ready pod, which answers through the proxy."""
    pod(server, name, {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]})
    models = f"{CORE}/pods/{name}:8080/proxy/v2/models"
    server.put(models, {"models": ["digits"]})
    server.put(f"{models}/digits", {"name": "digits", "parameters": {"package": f"sha256:{digest}"}})


def failing(server: KubeServer, name: str, container: Json, *, kind: str = "containerStatuses", **status: Any) -> None:
    """A pod of which a container is in trouble."""
    pod(server, name, {"phase": "Pending", "conditions": [], kind: [{"image": "slipway/x", **container}], **status})


def settle(server: KubeServer) -> None:
    """Say that every pod is of the newest version, and ready."""
    deployment = server.objects[DEPLOYMENT]
    status = {"replicas": 2, "readyReplicas": 2, "updatedReplicas": 2}
    deployment["status"] = {"observedGeneration": deployment["metadata"]["generation"], **status}


def roll(server: KubeServer, digest: str = NEW) -> None:
    """What controllers do in the end after a promotion: new pods, no old ones."""
    deploy(server, digest, revision=2)
    for name in ("digits-1-a", "digits-1-b"):
        server.objects.pop(f"{CORE}/pods/{name}", None)
    for name in ("digits-2-a", "digits-2-b"):
        ready(server, name, digest)
    settle(server)


def event(server: KubeServer, about: str, reason: str, message: str) -> None:
    """An event of an object."""
    content = {"involvedObject": {"name": about}, "reason": reason, "message": message}
    server.put(f"{CORE}/events/{about}-{reason}", {**content, "lastTimestamp": "2026-01-01T00:00:00Z"})
