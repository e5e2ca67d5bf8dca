"""Whatever names another object must name one that the rendering makes, or that is said to be made elsewhere."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from manifests.documents import Found, Node, annotations, at, kind_of, listed, name_of, namespace_of, where
from manifests.pods import PARTS, Pod, parts
from manifests.render import Rendering

#: On whatever makes Secrets while it runs: their names, with commas between them.
CREATES = "slipway.dev/creates"
STORAGE_SECRET = "serving.kserve.io/storageSecretName"  # noqa: S105  # an annotation's name
#: What a cluster has by itself.
BUILT_IN = {
    "ConfigMap": {"kube-root-ca.crt"},
    "ServiceAccount": {"default"},
    "ClusterRole": {"admin", "edit", "view", "cluster-admin"},
    "PriorityClass": {"system-cluster-critical", "system-node-critical"},
}
REMEDIES = {
    "Secret": f"make it, with an ExternalSecret or a Job that is annotated {CREATES}",
    "Volume": "add the volume to the pod",
}


class Reference(NamedTuple):
    """The name of another object, and of a key in it, if one is asked for."""

    where: str
    kind: str
    name: str
    namespace: str
    key: str = ""


def references(rendering: Rendering) -> Found:
    """Find references to objects, keys and volumes that there are not."""
    secrets = set(made_secrets(rendering))
    for reference in _all(rendering):
        if reference.kind == "Secret" and reference.name in secrets:
            continue
        if reference.name in BUILT_IN.get(reference.kind, ()) or reference.name.startswith("system:"):
            continue
        target = rendering.find(reference.kind, reference.name, reference.namespace) or _made_by_kserve(
            rendering, reference
        )
        if target is None:
            remedy = REMEDIES.get(reference.kind, "make it, or correct the name")
            yield reference.where, f"names the {reference.kind} {reference.name}, which nothing makes", remedy
        elif reference.key and reference.key not in at(target, "data") | at(target, "stringData"):
            what = f"names the key {reference.key}, which the {reference.kind} {reference.name} has not"
            yield reference.where, what, f"spell it as the {reference.kind} does"
    yield from _volumes(rendering)


def made_secrets(rendering: Rendering) -> Iterator[str]:
    """Yield the names of Secrets that are made while things run."""
    for document in rendering.documents:
        yield from (name.strip() for name in str(annotations(document).get(CREATES, "")).split(","))
        spec = at(document, "spec")
        match kind_of(document):
            case "ExternalSecret":
                yield str(at(spec, "target").get("name") or name_of(document))
            case "SealedSecret":
                yield str(at(spec, "template", "metadata").get("name") or name_of(document))
            case "Certificate":
                yield str(spec.get("secretName", ""))


def _made_by_kserve(rendering: Rendering, reference: Reference) -> Node | None:
    if reference.kind in {"Service", "Deployment"}:
        for service in rendering.of("InferenceService"):
            bases = {str(part.get("name") or name_of(service)) for _, part in parts(service)} | {name_of(service)}
            names = {f"{base}-{part}" for base in bases for part in PARTS}
            if reference.name in names | ({name_of(service)} if reference.kind == "Service" else set()):
                return service
    return None


def _all(rendering: Rendering) -> Iterator[Reference]:
    for pod in rendering.pods:
        yield from _of_pod(pod)
    for document in rendering.documents:
        names = _OF_KIND.get(kind_of(document))
        for kind, name, *namespace in names(document) if names else ():
            if name:
                yield Reference(where(document), kind, name, (namespace or [namespace_of(document)])[0])


def _of_pod(pod: Pod) -> Iterator[Reference]:
    here = pod.where
    for container in pod.containers:
        for kind, name, key in _of_container(container.spec):
            yield Reference(container.where, kind, name, pod.namespace, key)
    for volume in listed(pod.spec, "volumes"):
        for kind, name in _of_volume(volume):
            yield Reference(here, kind, name, pod.namespace)
    for secret in listed(pod.spec, "imagePullSecrets"):
        yield Reference(here, "Secret", str(secret.get("name")), pod.namespace)
    yield Reference(here, "ServiceAccount", pod.account, pod.namespace)
    if priority := pod.spec.get("priorityClassName"):
        yield Reference(here, "PriorityClass", str(priority), "")


def _of_container(container: Node) -> Iterator[tuple[str, str, str]]:
    sources = {"ConfigMap": ("configMapKeyRef", "configMapRef"), "Secret": ("secretKeyRef", "secretRef")}
    for kind, (by_key, whole) in sources.items():
        for variable in listed(container, "env"):
            source = at(variable, "valueFrom", by_key)
            if source and not source.get("optional"):
                yield kind, str(source.get("name")), str(source.get("key", ""))
        for each in listed(container, "envFrom"):
            if whole in each and not each[whole].get("optional"):
                yield kind, str(each[whole].get("name")), ""


def _of_volume(volume: Node) -> Iterator[tuple[str, str]]:
    for source in (volume, *listed(volume, "projected", "sources")):
        for field, kind, name in (
            ("configMap", "ConfigMap", "name"),
            ("secret", "Secret", "secretName" if source is volume else "name"),
            ("persistentVolumeClaim", "PersistentVolumeClaim", "claimName"),
        ):
            if field in source and not source[field].get("optional"):
                yield kind, str(source[field].get(name))


def _volumes(rendering: Rendering) -> Found:
    """What a pod mounts must be a volume of it, or a claim that its StatefulSet makes."""
    for pod in rendering.pods:
        volumes = {volume.get("name") for volume in listed(pod.spec, "volumes")}
        volumes |= {name_of(claim) for claim in listed(pod.owner, "spec", "volumeClaimTemplates")}
        for container in pod.containers if pod.whole else ():
            for mount in listed(container.spec, "volumeMounts"):
                if mount.get("name") not in volumes:
                    yield container.where, f"mounts the volume {mount.get('name')}, which there is not", "add it"


def _scaled(document: Node) -> Iterator[tuple[str, ...]]:
    target = at(document, "spec", "scaleTargetRef")
    yield str(target.get("kind", "Deployment")), str(target.get("name", ""))
    for trigger in listed(document, "spec", "triggers"):
        reference = at(trigger, "authenticationRef")
        yield str(reference.get("kind", "TriggerAuthentication")), str(reference.get("name", ""))


def _binding(document: Node) -> Iterator[tuple[str, ...]]:
    role = at(document, "roleRef")
    yield str(role.get("kind")), str(role.get("name"))
    for subject in listed(document, "subjects"):
        if kind_of(subject) == "ServiceAccount":
            yield "ServiceAccount", str(subject.get("name")), str(subject.get("namespace", namespace_of(document)))


def _account(document: Node) -> Iterator[tuple[str, ...]]:
    for secret in (*listed(document, "secrets"), *listed(document, "imagePullSecrets")):
        yield "Secret", str(secret.get("name"))


def _service(document: Node) -> Iterator[tuple[str, ...]]:
    yield "Secret", str(annotations(document).get(STORAGE_SECRET, ""))
    for _, part in parts(document):
        # A ServingRuntime of the namespace wins over one of the cluster; what is made here has a namespace.
        yield "ServingRuntime", str(at(part, "model").get("runtime", ""))


def _route(document: Node) -> Iterator[tuple[str, ...]]:
    for rule in listed(document, "spec", "rules"):
        for backend in listed(rule, "backendRefs"):
            yield str(backend.get("kind", "Service")), str(backend.get("name", ""))
    for parent in listed(document, "spec", "parentRefs"):
        if parent.get("namespace", namespace_of(document)) == namespace_of(document):
            yield str(parent.get("kind", "Gateway")), str(parent.get("name", ""))


def _trigger(document: Node) -> Iterator[tuple[str, ...]]:
    for reference in listed(document, "spec", "secretTargetRef"):
        yield "Secret", str(reference.get("name", ""))


def _stateful(document: Node) -> Iterator[tuple[str, ...]]:
    yield "Service", str(at(document, "spec").get("serviceName", ""))


def _external(document: Node) -> Iterator[tuple[str, ...]]:
    store = at(document, "spec", "secretStoreRef")
    if store.get("kind", "SecretStore") == "SecretStore":
        yield "SecretStore", str(store.get("name", ""))


_OF_KIND: dict[str, Callable[[Node], Iterator[tuple[str, ...]]]] = {
    **dict.fromkeys(("HorizontalPodAutoscaler", "ScaledObject"), _scaled),
    **dict.fromkeys(("RoleBinding", "ClusterRoleBinding"), _binding),
    **dict.fromkeys(("HTTPRoute", "GRPCRoute"), _route),
    "ServiceAccount": _account,
    "InferenceService": _service,
    "TriggerAuthentication": _trigger,
    "StatefulSet": _stateful,
    "ExternalSecret": _external,
}
