"""Lifts the pods out of whatever makes them, so that one rule judges them all.

An InferenceService's pod is its runtime's with the service laid over it, as KServe merges them. What a cluster adds
later (KServe's agents, a mesh's proxies) is out of sight.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from manifests.documents import Node, at, kind_of, listed, name_of, namespace_of, where

SERVER = "kserve-container"
PARTS = ("predictor", "transformer", "explainer")
#: Fields of an InferenceService's part that are not a pod's.
EXTENSION = frozenset(
    [
        "name",
        "labels",
        "annotations",
        "model",
        "autoScaling",
        "batcher",
        "canaryTrafficPercent",
        "containerConcurrency",
        "deploymentStrategy",
        "logger",
        "maxReplicas",
        "minReplicas",
        "scaleMetric",
        "scaleMetricType",
        "scaleTarget",
        "storageContainerName",
        "storageUris",
        "timeout",
        "workerSpec",
        "huggingface",
        "lightgbm",
        "onnx",
        "paddle",
        "pmml",
        "pytorch",
        "sklearn",
        "tensorflow",
        "triton",
        "xgboost",
    ]
)
#: Fields of a ServingRuntime that become the pod's.
RUNTIME = ("affinity", "containers", "hostIPC", "imagePullSecrets", "nodeSelector", "tolerations", "volumes")
#: Fields of ``model`` that are KServe's and not the container's.
MODEL = frozenset({"modelFormat", "protocolVersion", "runtime", "runtimeVersion", "storage", "storageUri"})
#: By what the items of a list are told apart when two lists become one.
MERGE_KEYS = {"ports": "containerPort", "volumeMounts": "mountPath"}


class Container(NamedTuple):
    """One container of a pod.

    Attributes:
        name: Of the container.
        spec: As the pod says it.
        lasting: Whether it is meant to run for good.
        where: Its name in findings.
    """

    name: str
    spec: Node
    lasting: bool
    where: str


@dataclass(frozen=True)
class Pod:
    """A pod, and what makes it.

    Attributes:
        owner: The object that makes it.
        spec: The PodSpec.
        labels: That it will have.
        annotations: That it will have.
        lasting: Whether it is meant to run for good.
        whole: Whether the spec is all; containers without the pod around them are judged by themselves.
    """

    owner: Node
    spec: Node
    labels: Node = field(default_factory=dict)
    annotations: Node = field(default_factory=dict)
    lasting: bool = True
    whole: bool = True

    @property
    def where(self) -> str:
        """Its name in findings."""
        return where(self.owner)

    @property
    def namespace(self) -> str:
        """Of its owner."""
        return namespace_of(self.owner)

    @property
    def account(self) -> str:
        """The service account it runs as."""
        return str(self.spec.get("serviceAccountName") or "default")

    @property
    def containers(self) -> Iterator[Container]:
        """All containers: those that prepare, those that serve, and those for debugging."""
        for kind in ("initContainers", "containers", "ephemeralContainers"):
            for spec in listed(self.spec, kind):
                name = str(spec.get("name", ""))
                sidecar = kind == "initContainers" and spec.get("restartPolicy") == "Always"
                lasting = self.lasting and (kind == "containers" or sidecar)
                yield Container(name, spec, lasting, where(self.owner, name))


def lift(documents: list[Node]) -> list[Pod]:
    """Return every pod that follows from the documents."""
    known = ((document, _LIFTS[kind_of(document)]) for document in documents if kind_of(document) in _LIFTS)
    return [pod for document, lifts in known for pod in lifts(document, documents)]


def merge(base: Any, over: Any, key: str = "name") -> Any:
    """Return a structure with another laid over it, as a strategic merge: lists of named things item by item."""
    if isinstance(base, dict) and isinstance(over, dict):
        merged = {name: merge(base.get(name), value, MERGE_KEYS.get(name, "name")) for name, value in over.items()}
        return {**base, **merged}
    if _keyed(base, key) and _keyed(over, key):
        items = {item[key]: item for item in base}
        for item in over:
            items[item[key]] = merge(items.get(item[key]), item)
        return list(items.values())
    return over


def _keyed(items: Any, key: str) -> bool:
    return isinstance(items, list) and all(isinstance(item, dict) and key in item for item in items)


def _pod(owner: Node, template: Node, *, lasting: bool = True, **more: str) -> Pod:
    metadata = at(template, "metadata")
    labels = {**more, **at(metadata, "labels")}
    return Pod(owner, at(template, "spec"), labels, at(metadata, "annotations"), lasting)


def _plain(document: Node, _: list[Node]) -> Iterator[Pod]:
    yield _pod(document, document)


def _workload(document: Node, _: list[Node]) -> Iterator[Pod]:
    yield _pod(document, at(document, "spec", "template"))


def _job(document: Node, _: list[Node]) -> Iterator[Pod]:
    label = {"batch.kubernetes.io/job-name": name_of(document), "job-name": name_of(document)}
    yield _pod(document, at(document, "spec", "template"), lasting=False, **label)


def _cron_job(document: Node, _: list[Node]) -> Iterator[Pod]:
    yield _pod(document, at(document, "spec", "jobTemplate", "spec", "template"), lasting=False)


def _training_runtime(document: Node, _: list[Node]) -> Iterator[Pod]:
    for job in listed(document, "spec", "template", "spec", "replicatedJobs"):
        yield _pod(document, at(job, "template", "spec", "template"), lasting=False)


def _storage_container(document: Node, _: list[Node]) -> Iterator[Pod]:
    # KServe puts it in front of every model server, so that it must be sound in any pod.
    yield Pod(document, {"initContainers": [at(document, "spec", "container")]}, lasting=False, whole=False)


def _serving_runtime(document: Node, documents: list[Node]) -> Iterator[Pod]:
    users = (part for service in documents if kind_of(service) == "InferenceService" for _, part in parts(service))
    if not any(at(part, "model").get("runtime") == name_of(document) for part in users):
        yield Pod(document, _runtime_spec(document), at(document, "spec", "labels"), whole=False)


def _runtime_spec(runtime: Node) -> Node:
    return {name: value for name, value in at(runtime, "spec").items() if name in RUNTIME}


def parts(service: Node) -> Iterator[tuple[str, Node]]:
    """Yield the parts of an InferenceService by name; a canary is the predictor with the canary laid over it."""
    spec = at(service, "spec")
    for part in PARTS:
        if part in spec:
            yield part, at(spec, part)
    for canary in listed(spec, "canary"):
        yield "predictor", merge(at(spec, "predictor"), at(canary, "predictor"))


def runtime_of(part: Node, documents: list[Node]) -> Node:
    """Return the runtime that a part names; an empty mapping, if it is not made here."""
    name = at(part, "model").get("runtime")
    kinds = ("ServingRuntime", "ClusterServingRuntime")
    found = (document for document in documents if kind_of(document) in kinds and name_of(document) == name)
    return next(found, {})


def _inference_service(document: Node, documents: list[Node]) -> Iterator[Pod]:
    name = name_of(document)
    for kind, part in parts(document):
        runtime = runtime_of(part, documents)
        spec = merge(_runtime_spec(runtime), {key: value for key, value in part.items() if key not in EXTENSION})
        if "model" in part:
            model = {key: value for key, value in part["model"].items() if key not in MODEL}
            spec = merge(spec, {"containers": [{**model, "name": SERVER}]})
        labels = {
            **at(document, "metadata", "labels"),
            **at(runtime, "spec", "labels"),
            **at(part, "labels"),
            "app": f"isvc.{part.get('name') or name}-{kind}",
            "component": kind,
            "serving.kserve.io/inferenceservice": name,
        }
        yield Pod(document, spec, labels, at(part, "annotations"))


_LIFTS: dict[str, Callable[[Node, list[Node]], Iterator[Pod]]] = {
    "Pod": _plain,
    **dict.fromkeys(("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "ReplicationController"), _workload),
    "Job": _job,
    "CronJob": _cron_job,
    "InferenceService": _inference_service,
    "ServingRuntime": _serving_runtime,
    "ClusterServingRuntime": _serving_runtime,
    "ClusterStorageContainer": _storage_container,
    "TrainingRuntime": _training_runtime,
    "ClusterTrainingRuntime": _training_runtime,
}
