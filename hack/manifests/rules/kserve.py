"""What KServe 0.20 ignores without a word, or refuses, in the mode of an InferenceService.

Each check knows one field: it gets one use of KServe, and yields what is wrong and what to do.
"""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from manifests.documents import Found, Node, annotations, at, kind_of, listed, where
from manifests.pods import SERVER, Pod, parts, runtime_of
from manifests.render import Rendering

PREFIX = "serving.kserve.io/"
KNATIVE_SCALING = "autoscaling.knative.dev/"
MODES = {"RawDeployment": "Standard", "Serverless": "Knative"}
FRAMEWORKS = frozenset(
    ["huggingface", "lightgbm", "onnx", "paddle", "pmml", "pytorch", "sklearn", "tensorflow", "triton", "xgboost"]
)
CONTENT_ADDRESSED = re.compile(r"s3://[^/]+/(?:[^/]+/)*sha256-[0-9a-f]{64}/")
#: An int, or a percentage.
AMOUNT = re.compile(r"\d+%")
#: All that KServe hands over to KEDA of an HPA's behaviour.
KEDA_BEHAVIOUR = "stabilizationWindowSeconds"

Wrong = Iterator[tuple[str, str]]


class Use(NamedTuple):
    """A part of an InferenceService (or its canary), and what it is rendered with."""

    service: Node
    part: Node
    rendering: Rendering


def kserve_ignored(rendering: Rendering) -> Found:
    """Find fields of InferenceServices and ServingRuntimes that do nothing, or not what they seem to."""
    for runtime in rendering.of("ServingRuntime", "ClusterServingRuntime"):
        names = [str(container.get("name")) for container in listed(runtime, "spec", "containers")]
        if SERVER not in names:
            yield where(runtime), f"its containers are {', '.join(names)}", f"call the server {SERVER}"
    for service in rendering.of("InferenceService"):
        mode = str(annotations(service).get(f"{PREFIX}deploymentMode", ""))
        for what, remedy in _mode(mode):
            yield where(service), what, remedy
        for _, part in parts(service):
            for check in (*ALWAYS, *IN_MODE.get(MODES.get(mode, mode), ())):
                for what, remedy in check(Use(service, part, rendering)):
                    yield where(service), what, remedy


def _mode(mode: str) -> Wrong:
    if not mode:
        yield "no deploymentMode: the cluster's default decides", f"annotate {PREFIX}deploymentMode"
    elif mode in MODES:
        yield f"{mode} is the old name of a mode", f"say {MODES[mode]}: KServe rewrites it, and Argo CD sees a change"
    elif mode not in MODES.values():
        yield f"there is no mode {mode}", f"say {' or '.join(MODES.values())}"


def _framework(use: Use) -> Wrong:
    for name in sorted(FRAMEWORKS & use.part.keys()):
        yield f"{name} is the old way to name a model", "write it as model, which KServe makes of it"


def _storage_uri(use: Use) -> Wrong:
    uri = at(use.part, "model").get("storageUri")
    if uri is not None and not CONTENT_ADDRESSED.fullmatch(uri):
        remedy = "say s3://bucket/.../sha256-<64 hex digits>/ with the slash: new bytes under an old URI roll nothing"
        yield f"storageUri {uri!r} is not content-addressed", remedy


def _batcher(use: Use) -> Wrong:
    versions = listed(runtime_of(use.part, use.rendering.documents), "spec", "protocolVersions")
    if "batcher" in use.part and "v2" in (at(use.part, "model").get("protocolVersion"), *versions):
        yield "batcher serves v1 alone, and the model speaks v2", "leave it out: the predictor batches by itself"


def _amounts(use: Use) -> Wrong:
    for name, value in at(use.part, "deploymentStrategy", "rollingUpdate").items():
        if isinstance(value, str) and not AMOUNT.fullmatch(value):
            yield f"{name} {value!r} is neither a number nor a percentage", "write the number without quotes"


def _canary_percent(use: Use) -> Wrong:
    if "canaryTrafficPercent" in use.part:
        yield "canaryTrafficPercent is ignored in Standard mode", "use spec.canary"


def _concurrency(use: Use) -> Wrong:
    if "containerConcurrency" in use.part:
        yield "containerConcurrency is ignored in Standard mode", "leave it out: the predictor bounds its own queue"


def _request_metric(use: Use) -> Wrong:
    if use.part.get("scaleMetric") in {"concurrency", "rps"}:
        yield f"scaleMetric {use.part['scaleMetric']} is ignored in Standard mode", "scale by cpu, or with KEDA"


def _behaviour(use: Use) -> Wrong:
    behaviour = at(use.part, "autoScaling", "behavior")
    if not _keda(use.service):
        if behaviour:
            yield "autoScaling.behavior is ignored by KServe's HPA", "leave it out, or scale with KEDA"
        return
    for direction, asked in behaviour.items():
        for name in sorted(asked.keys() - {KEDA_BEHAVIOUR}):
            what = f"autoScaling.behavior.{direction}.{name} does not reach KEDA"
            yield what, f"leave it out: {KEDA_BEHAVIOUR} alone does"


def _keda_metric(use: Use) -> Wrong:
    if _keda(use.service) and "scaleMetric" in use.part:
        yield "scaleMetric is refused with KEDA", "say autoScaling.metrics"


def _to_zero(use: Use) -> Wrong:
    if use.part.get("minReplicas") == 0 and not _keda(use.service):
        yield "minReplicas 0 becomes 1 in Standard mode", f"say 1, or annotate {PREFIX}autoscalerClass: keda"


def _knative_annotations(use: Use) -> Wrong:
    for name in sorted(annotations(use.service) | at(use.part, "annotations")):
        if name.startswith(KNATIVE_SCALING):
            yield f"annotation {name} is for Knative alone", "leave it out"
        elif name == f"{PREFIX}enable-prometheus-scraping":
            yield f"annotation {name} names a port that only Knative has", "leave it out and make a PodMonitor"
        elif name == f"{PREFIX}enable-metric-aggregation":
            yield f"annotation {name} needs Knative's proxy", "leave it out"


def _canary_split(use: Use) -> Wrong:
    if listed(use.service, "spec", "canary") and not any(use.rendering.of("Gateway")):
        yield "spec.canary splits no traffic without the Gateway API", "add a Gateway, and ingress.enableGatewayApi"


def _knative_fields(use: Use) -> Wrong:
    for name in ("deploymentStrategy", "terminationGracePeriodSeconds"):
        if name in use.part:
            yield f"{name} is refused in Knative mode", "leave it out in this overlay"
    if listed(use.service, "spec", "canary"):
        yield "spec.canary is refused in Knative mode", "use canaryTrafficPercent"


def _knative_containers(use: Use) -> Wrong:
    for pod in _pods(use.service, use.rendering):
        for container in pod.containers:
            if "lifecycle" in container.spec:
                yield f"lifecycle of {container.name} is refused in Knative mode", "leave it out in this overlay"
        ports = [port for container in pod.containers for port in listed(container.spec, "ports")]
        if len(ports) > 1:
            yield f"{len(ports)} ports are refused in Knative mode", "leave one"


def _knative_scaler(use: Use) -> Wrong:
    if _keda(use.service):
        yield "autoscalerClass keda works in Standard mode alone", "leave it out"


def _keda(service: Node) -> bool:
    return bool(annotations(service).get(f"{PREFIX}autoscalerClass") == "keda")


def _pods(service: Node, rendering: Rendering) -> Iterator[Pod]:
    return (pod for pod in rendering.pods if kind_of(pod.owner) == "InferenceService" and pod.owner is service)


Check = Callable[[Use], Wrong]
ALWAYS: tuple[Check, ...] = (_framework, _storage_uri, _batcher)
IN_MODE: dict[str, tuple[Check, ...]] = {
    "Standard": (
        _amounts,
        _canary_percent,
        _concurrency,
        _request_metric,
        _behaviour,
        _keda_metric,
        _to_zero,
        _knative_annotations,
        _canary_split,
    ),
    "Knative": (_knative_fields, _knative_containers, _knative_scaler),
}
