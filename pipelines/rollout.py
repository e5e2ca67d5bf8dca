"""What an InferenceService really runs: its Deployment, the pods of its newest version, and the packages they serve.

``Ready`` of an InferenceService stays true while new pods fail, as long as old ones answer, so it is not asked here.
For ``pipelines/promote.py`` and ``pipelines/doctor``.
"""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from components.kube import NOT_FOUND, Cluster, ClusterError, Json

ADDRESSED = "sha256-"
DIGEST_CHARACTERS = 64
LABEL = "serving.kserve.io/inferenceservice"
CONTAINER = "kserve-container"
DIGEST_VARIABLE = "SLIPWAY_DIGEST"
PORT = 8080


@dataclass(frozen=True)
class Rollout:
    """The Deployment behind an InferenceService.

    Attributes:
        deployment: As the API server has it.
        replica_set: Of the newest version; none where there is none yet.
        pods: Of that version alone.
        old: Ready pods of other versions.
    """

    deployment: Json
    replica_set: Json | None = None
    pods: list[Json] = field(default_factory=list)
    old: list[Json] = field(default_factory=list)

    @property
    def wanted(self) -> int:
        """How many pods there shall be."""
        return int(self.deployment["spec"].get("replicas", 1))

    @property
    def expected(self) -> str | None:
        """The digest that the pods' template asks the predictor for."""
        for container in self.deployment["spec"]["template"]["spec"]["containers"]:
            for variable in container.get("env") or []:
                if variable["name"] == DIGEST_VARIABLE:
                    return str(variable.get("value"))
        return None

    @property
    def settled(self) -> bool:
        """Whether every pod is of the newest version, and ready."""
        status = self.deployment.get("status", {})
        seen = status.get("observedGeneration", 0) >= self.deployment["metadata"].get("generation", 0)
        counts = (status.get(name, 0) for name in ("replicas", "updatedReplicas", "readyReplicas"))
        return seen and all(count == self.wanted for count in counts)

    def told(self) -> str:
        """Return how far it is, in a few words."""
        status = self.deployment.get("status", {})
        ready = sum(map(is_ready, self.pods))
        return f"{ready} of {self.wanted} new pods ready, {status.get('replicas', 0)} pods in all"


def service_path(namespace: str, name: str = "") -> str:
    """Return the path of an InferenceService, or of all in a namespace."""
    return f"/apis/serving.kserve.io/v1beta1/namespaces/{namespace}/inferenceservices{'/' + name if name else ''}"


def digest_of(uri: str) -> str | None:
    """Return the digest that a URI names its package by, None where it names it otherwise."""
    name = urlsplit(uri).path.rstrip("/").rpartition("/")[2]
    digest = name.removeprefix(ADDRESSED)
    whole = len(digest) == DIGEST_CHARACTERS and set(digest) <= set("0123456789abcdef")
    return digest if whole and name.startswith(ADDRESSED) else None


def model_of(service: Json) -> Json:
    """Return ``spec.predictor.model`` of an InferenceService; empty where it has none."""
    found: Json = service.get("spec", {}).get("predictor", {}).get("model") or {}
    return found


def deployment_name(service: Json) -> str:
    """Return the name of the Deployment that KServe makes for an InferenceService in Standard mode."""
    stable = service["spec"]["predictor"].get("name")
    return f"{service['metadata']['name']}{'-' + stable if stable else ''}-predictor"


def rollout(cluster: Cluster, service: Json) -> Rollout | None:
    """Look at the Deployment of an InferenceService; None where there is none.

    Raises:
        ClusterError: The API server refuses to show it.
    """
    namespace = service["metadata"]["namespace"]
    apps = f"/apis/apps/v1/namespaces/{namespace}"
    deployment = cluster.find(f"{apps}/deployments/{deployment_name(service)}")
    if deployment is None:
        return None
    selector = f"{LABEL}={service['metadata']['name']}"
    sets = owned(cluster.items(f"{apps}/replicasets", labelSelector=selector), deployment)
    newest = max(sets, key=_revision, default=None)
    pods = cluster.items(f"/api/v1/namespaces/{namespace}/pods", labelSelector=selector)
    new = owned(pods, newest) if newest else []
    old = [pod for other in sets if other is not newest for pod in owned(pods, other) if is_ready(pod)]
    return Rollout(deployment, newest, [pod for pod in new if not _ending(pod)], old)


def served(cluster: Cluster, pod: Json) -> str | None:
    """Return the digest of the package that a pod serves, None where it is no predictor of ours.

    Raises:
        ClusterError: The account may not use the API server's proxy, or the pod does not answer through it.
    """
    metadata = pod["metadata"]
    base = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}:{PORT}/proxy/v2/models"
    try:
        (name,) = cluster.get(base)["models"]
        package = cluster.get(f"{base}/{name}").get("parameters", {}).get("package", "")
    except (KeyError, ValueError):
        return None
    except ClusterError as error:
        if error.status == NOT_FOUND:
            return None
        raise
    return str(package).removeprefix("sha256:") or None


def owned(objects: list[Json], owner: Json) -> list[Json]:
    """Return the objects that an object owns."""
    uid = owner["metadata"]["uid"]
    return [o for o in objects if any(ref["uid"] == uid for ref in o["metadata"].get("ownerReferences") or [])]


def is_ready(pod: Json) -> bool:
    """Tell whether a pod takes requests."""
    conditions = pod.get("status", {}).get("conditions") or []
    return not _ending(pod) and any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _ending(pod: Json) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def _revision(replica_set: Json) -> int:
    annotations = replica_set["metadata"].get("annotations") or {}
    return int(annotations.get("deployment.kubernetes.io/revision", 0))
