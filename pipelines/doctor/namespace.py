"""Checks of one namespace: what the steps and the predictors find in it. Of secrets only the names of keys are told."""

from collections.abc import Callable, Iterator
from functools import partial
from urllib.parse import urlsplit

from components.kube import Cluster, Json
from pipelines.doctor import Check, Finding, ok, problem, warning
from pipelines.doctor.reason import of_pods

READER, ACCOUNT = "models-reader", "predictor"
#: Nothing reaches the store without them; a signing key is a choice.
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
ENFORCE = "pod-security.kubernetes.io/enforce"
ANNOTATION = "serving.kserve.io/s3-"
PART = "app.kubernetes.io/name"


def checks(cluster: Cluster, namespace: str) -> list[Check]:
    """Return the checks of a namespace."""
    inside = (settings, reader, workloads)
    return [lambda: labels(cluster, namespace), *(partial(_inside, look, cluster, namespace) for look in inside)]


def _inside(look: Callable[[Cluster, str], Iterator[Finding]], cluster: Cluster, namespace: str) -> Iterator[Finding]:
    """Look into a namespace that exists; of one that does not, that is all there is to say."""
    if cluster.find(f"/api/v1/namespaces/{namespace}") is not None:
        yield from look(cluster, namespace)


def labels(cluster: Cluster, namespace: str) -> Iterator[Finding]:
    """Tell whether the namespace is there, and which Pod Security it enforces."""
    found = cluster.find(f"/api/v1/namespaces/{namespace}")
    if found is None:
        yield problem(f"namespace {namespace} does not exist", "kubectl apply -k one of kustomize/overlays")
        return
    level = (found["metadata"].get("labels") or {}).get(ENFORCE)
    if level == "restricted":
        yield ok(f"namespace {namespace} enforces restricted Pod Security")
    else:
        remedy = f"kubectl label namespace {namespace} {ENFORCE}=restricted"
        yield warning(f"namespace {namespace} enforces {level or 'no'} Pod Security", remedy)


def settings(cluster: Cluster, namespace: str) -> Iterator[Finding]:
    """Tell whether the steps find their endpoints and credentials."""
    from pipelines.resources import ENDPOINTS

    yield from _keys(cluster, namespace, "configmaps", "slipway", ENDPOINTS)
    yield from _keys(cluster, namespace, "secrets", "slipway", KEYS)


def reader(cluster: Cluster, namespace: str) -> Iterator[Finding]:
    """Tell whether KServe's storage initializer finds the store and credentials for it."""
    yield from _keys(cluster, namespace, "secrets", READER, KEYS)
    secret = cluster.find(f"/api/v1/namespaces/{namespace}/secrets/{READER}")
    if secret is not None:
        annotations = secret["metadata"].get("annotations") or {}
        yield _annotated(annotations, _endpoint(cluster, namespace, "AWS_ENDPOINT_URL"))
    account = cluster.find(f"/api/v1/namespaces/{namespace}/serviceaccounts/{ACCOUNT}")
    if account is None:
        yield problem(f"service account {ACCOUNT} does not exist", "apply manifests/serving")
    elif READER not in [entry.get("name") for entry in account.get("secrets") or []]:
        what = f"service account {ACCOUNT} does not list secret {READER}, so packages are fetched without credentials"
        yield problem(what, f"add secrets: [{{name: {READER}}}] to it")
    else:
        yield ok(f"service account {ACCOUNT} lists secret {READER}")


def _keys(cluster: Cluster, namespace: str, kind: str, name: str, wanted: tuple[str, ...]) -> Iterator[Finding]:
    what = f"{'ConfigMap' if kind == 'configmaps' else 'Secret'} {name}"
    found = cluster.find(f"/api/v1/namespaces/{namespace}/{kind}/{name}")
    if found is None:
        yield problem(f"{what} does not exist", f"create it with {', '.join(wanted)}")
        return
    data = found.get("data") or {}
    missing = [key for key in wanted if not data.get(key)]
    if missing:
        yield problem(f"{what} has no {', '.join(missing)}", "add what is missing, not empty")
    else:
        yield ok(f"{what} has {', '.join(wanted)}")


def _annotated(annotations: dict[str, str], endpoint: str) -> Finding:
    """Judge what tells KServe where the store is: host and port, and apart from it whether by TLS."""
    host, tls = annotations.get(f"{ANNOTATION}endpoint", ""), annotations.get(f"{ANNOTATION}usehttps", "1")
    what = f"Secret {READER}: {ANNOTATION}endpoint is {host!r}, {ANNOTATION}usehttps is {tls!r}"
    wanted = urlsplit(endpoint)
    https = "1" if wanted.scheme == "https" else "0"
    if not host or "/" in host:
        remedy = f"annotate it with the host and port alone, like {wanted.netloc or 'minio:9000'}"
        return problem(what, remedy)
    if endpoint and (host != wanted.netloc or tls != https):
        remedy = f"to agree, {ANNOTATION}endpoint={wanted.netloc} and {ANNOTATION}usehttps={https!r}"
        return warning(f"{what}, while AWS_ENDPOINT_URL is {endpoint}", remedy)
    return ok(what)


def workloads(cluster: Cluster, namespace: str) -> Iterator[Finding]:
    """Tell whether the store and MLflow run, where the namespace has them, and what stands behind them."""
    apps = f"/apis/apps/v1/namespaces/{namespace}"
    found = {
        (item["metadata"].get("labels") or {}).get(PART, item["metadata"]["name"]): item
        for kind in ("deployments", "statefulsets")
        for item in cluster.items(f"{apps}/{kind}")
    }
    names = ("AWS_ENDPOINT_URL", "MLFLOW_TRACKING_URI")
    own = {name: _own_service(_endpoint(cluster, namespace, name), namespace) for name in names}
    behind = {service: _behind(cluster, namespace, service) for service in own.values() if service}
    for variable, service in own.items():
        if service and behind[service] not in found:
            what = f"{variable} names {service}, behind which there is no Deployment or StatefulSet in {namespace}"
            yield warning(what, "apply the overlay that holds it, or correct ConfigMap slipway")
    for name in sorted({"minio", "seaweedfs", "postgres", "mlflow", *behind.values()} & set(found)):
        yield _available(cluster, name, found[name])


def _behind(cluster: Cluster, namespace: str, service: str) -> str:
    """Return the part whose pods a Service leads to; by its own name, if it does not say."""
    found = cluster.find(f"/api/v1/namespaces/{namespace}/services/{service}") or {}
    return str((found.get("spec", {}).get("selector") or {}).get(PART, service))


def _available(cluster: Cluster, name: str, workload: Json) -> Finding:
    wanted, ready = workload["spec"].get("replicas", 1), workload.get("status", {}).get("readyReplicas", 0)
    if ready >= wanted:
        return ok(f"{name}: {ready} of {wanted} pods ready")
    namespace = workload["metadata"]["namespace"]
    selector = ",".join(f"{key}={value}" for key, value in workload["spec"]["selector"]["matchLabels"].items())
    reason = of_pods(cluster, cluster.items(f"/api/v1/namespaces/{namespace}/pods", labelSelector=selector))
    what = f"{name}: {ready} of {wanted} pods ready"
    if reason is None:
        return problem(what, f"kubectl describe pods -n {namespace} -l {selector}")
    return problem(f"{what}; {reason.what}", reason.remedy)


def _endpoint(cluster: Cluster, namespace: str, name: str) -> str:
    found = cluster.find(f"/api/v1/namespaces/{namespace}/configmaps/slipway") or {}
    return str((found.get("data") or {}).get(name, ""))


def _own_service(url: str, namespace: str) -> str | None:
    """Return the Service of this namespace that a URL names, None where it names something else."""
    first, _, rest = (urlsplit(url).hostname or "").partition(".")
    return first if first and (not rest or rest.split(".")[0] == namespace) else None
