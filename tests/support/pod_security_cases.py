"""Pods that the restricted Pod Security standard of Kubernetes 1.34 admits or refuses, each a change of a sound one.

The table is the standard as its documentation says it. A checker is held against it, and so is a real API server:
every pod is one that the server would create but for the standard, unless the case says otherwise.
"""

import copy
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

Pod = dict[str, Any]

CONTAINER: Pod = {
    "name": "main",
    "image": "registry.example/app:1",
    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
}
SOUND: Pod = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "case"},
    "spec": {
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "initContainers": [{**CONTAINER, "name": "init"}],
        "containers": [CONTAINER],
    },
}
KINDS = ("containers", "initContainers")
SYSCTLS = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
]
UNSAFE_SYSCTLS = ("kernel.msgmax", "net.core.somaxconn", "net.ipv4.tcp_mtu_probing")
CAPABILITIES = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
    "NET_ADMIN",
    "NET_RAW",
    "SYS_PTRACE",
    "SYS_TIME",
    "ALL",
]
#: Sources of a volume that restricted pods may have.
VOLUMES: dict[str, Any] = {
    "configMap": {"name": "x"},
    "csi": {"driver": "inline.example"},
    "downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]},
    "emptyDir": {},
    "ephemeral": {
        "volumeClaimTemplate": {
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        }
    },
    "persistentVolumeClaim": {"claimName": "x"},
    "projected": {"sources": [{"configMap": {"name": "x"}}]},
    "secret": {"secretName": "x"},
}
OTHER_VOLUMES: dict[str, Any] = {
    "hostPath": {"path": "/var"},
    "nfs": {"server": "nfs.example", "path": "/x"},
    "iscsi": {"targetPortal": "10.0.0.1:3260", "iqn": "iqn.2001-04.example:x", "lun": 0},
    "rbd": {"monitors": ["10.0.0.1"], "image": "x"},
    "cephfs": {"monitors": ["10.0.0.1"]},
    "glusterfs": {"endpoints": "x", "path": "x"},
    "fc": {"targetWWNs": ["50060e801049cfd1"], "lun": 0},
    "azureFile": {"secretName": "x", "shareName": "x"},
    "azureDisk": {"diskName": "x", "diskURI": "https://disk.example/x.vhd"},
    "awsElasticBlockStore": {"volumeID": "x"},
    "gcePersistentDisk": {"pdName": "x"},
    "cinder": {"volumeID": "x"},
    "flexVolume": {"driver": "example/x"},
    "flocker": {"datasetName": "x"},
    "portworxVolume": {"volumeID": "x"},
    "quobyte": {"registry": "10.0.0.1:7861", "volume": "x"},
    "scaleIO": {"gateway": "https://gateway.example", "system": "x", "secretRef": {"name": "x"}, "volumeName": "x"},
    "storageos": {"volumeName": "x"},
    "vsphereVolume": {"volumePath": "x"},
    "gitRepo": {"repository": "https://git.example/x"},
}


class Case(NamedTuple):
    """A pod and what the restricted standard says of it.

    Attributes:
        name: Of the case.
        pod: A whole Pod object.
        allowed: Whether the standard admits it.
        creatable: Whether an API server would create it if the standard did not refuse it; ephemeral containers and
            some fields are refused by the server's own validation.
    """

    name: str
    pod: Pod
    allowed: bool
    creatable: bool = True


def cases() -> list[Case]:
    """Return all cases; their names are unique."""
    groups = (_whole(), _namespaces(), _capabilities(), _volumes(), _context(), _sysctls(), _ports_and_hosts(),
              _windows(), _ephemeral())  # fmt: skip
    return [case for group in groups for case in group]


def changed(path: str, value: Any, base: Pod = SOUND) -> Pod:
    """Return a sound pod with the value that a path of keys leads to; ``...`` takes it out."""
    # Not a deep copy: that would keep what two containers share.
    pod: Pod = json.loads(json.dumps(base))
    node: Any = pod
    *keys, last = [int(key) if key.isdigit() else key for key in path.split()]
    for key in keys:
        node = node[key] if isinstance(node, list) else node.setdefault(key, {})
    if value is ...:
        del node[last]
    else:
        node[last] = value
    return pod


def _spec(name: str, path: str, value: Any, *, allowed: bool, creatable: bool = True) -> Case:
    return Case(name, changed(f"spec {path}", value), allowed, creatable)


def _each(name: str, path: str, value: Any, *, allowed: bool, creatable: bool = True) -> Iterator[Case]:
    for kind in KINDS:
        yield _spec(f"{name}-{kind}", f"{kind} 0 {path}", value, allowed=allowed, creatable=creatable)


def _whole() -> Iterator[Case]:
    yield Case("sound", copy.deepcopy(SOUND), allowed=True)
    yield _spec("no-pod-context", "securityContext", ..., allowed=False)
    yield from _each("no-container-context", "securityContext", ..., allowed=False)
    context = {
        **CONTAINER["securityContext"],
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    pod = changed("spec securityContext", ...)
    for kind in KINDS:
        pod = changed(f"spec {kind} 0 securityContext", context, pod)
    yield Case("all-in-containers", pod, allowed=True)
    yield Case("all-but-init-in-containers", changed("spec initContainers 0 securityContext", {}, pod), allowed=False)


def _namespaces() -> Iterator[Case]:
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        for value in (True, False):
            yield _spec(f"{field}-{value}".lower(), field, value, allowed=not value)
    yield _spec("host-users-false", "hostUsers", value=False, allowed=True)
    yield _spec("share-process-namespace", "shareProcessNamespace", value=True, allowed=True)
    for value in (True, False):
        for kind in KINDS:
            context = {"privileged": value, "capabilities": {"drop": ["ALL"]}}
            # A privileged container that may not escalate is a contradiction that the server refuses first.
            context |= {} if value else {"allowPrivilegeEscalation": False}
            name = f"privileged-{value}-{kind}".lower()
            yield _spec(name, f"{kind} 0 securityContext", context, allowed=not value)


def _capabilities() -> Iterator[Case]:
    for name in CAPABILITIES:
        yield from _each(f"add-{name.lower()}", "securityContext capabilities add", [name], allowed=False)
    yield from _each("add-net-bind", "securityContext capabilities add", ["NET_BIND_SERVICE"], allowed=True)
    yield from _each("add-prefixed", "securityContext capabilities add", ["CAP_NET_BIND_SERVICE"], allowed=False)
    yield from _each("drop-none", "securityContext capabilities", {}, allowed=False)
    yield from _each("drop-some", "securityContext capabilities drop", ["NET_RAW", "SYS_ADMIN"], allowed=False)
    yield from _each("drop-lower", "securityContext capabilities drop", ["all"], allowed=False)
    yield from _each("drop-all-and-more", "securityContext capabilities drop", ["ALL", "NET_RAW"], allowed=True)
    for value in (True, ...):
        said = "unset" if value is ... else "true"
        yield from _each(f"escalation-{said}", "securityContext allowPrivilegeEscalation", value, allowed=False)


def _volumes() -> Iterator[Case]:
    for kind, source in VOLUMES.items():
        yield _spec(f"volume-{kind.lower()}", "volumes", [{"name": "x", kind: source}], allowed=True)
    for kind, source in OTHER_VOLUMES.items():
        yield _spec(f"volume-{kind.lower()}", "volumes", [{"name": "x", kind: source}], allowed=False)
    yield _spec("volume-without-type", "volumes", [{"name": "x"}], allowed=True)
    two = [{"name": "x", "emptyDir": {}}, {"name": "y", "hostPath": {"path": "/var"}}]
    yield _spec("volume-second", "volumes", two, allowed=False)


def _context() -> Iterator[Case]:
    for value in (False, ...):
        said = "unset" if value is ... else "false"
        yield _spec(f"root-{said}", "securityContext runAsNonRoot", value, allowed=False)
    yield from _each("root-false", "securityContext runAsNonRoot", value=False, allowed=False)
    yield from _each("root-true", "securityContext runAsNonRoot", value=True, allowed=True)
    pod = changed("spec securityContext runAsNonRoot", value=False)
    for kind in KINDS:
        pod = changed(f"spec {kind} 0 securityContext runAsNonRoot", value=True, base=pod)
    yield Case("root-false-and-all-containers-true", pod, allowed=False)
    for user in (0, 1, 65532):
        yield _spec(f"user-{user}", "securityContext runAsUser", user, allowed=user > 0)
        yield from _each(f"user-{user}", "securityContext runAsUser", user, allowed=user > 0)
    yield _spec("group-0", "securityContext runAsGroup", 0, allowed=True)
    for name in ("seccompProfile", "appArmorProfile"):
        for profile in (
            {"type": "RuntimeDefault"},
            {"type": "Localhost", "localhostProfile": "x"},
            {"type": "Unconfined"},
        ):
            said, good = f"{name}-{profile['type']}".lower(), profile["type"] != "Unconfined"
            yield _spec(said, f"securityContext {name}", profile, allowed=good)
            yield from _each(said, f"securityContext {name}", profile, allowed=good)
    yield _spec("seccomp-unset", "securityContext seccompProfile", ..., allowed=False)
    for value in ("runtime/default", "localhost/x", "unconfined"):
        notes = {"container.apparmor.security.beta.kubernetes.io/main": value}
        name = f"apparmor-annotation-{value.partition('/')[0]}"
        # The server wants annotation and field to agree, and fills the field in.
        yield Case(name, changed("metadata annotations", notes), value != "unconfined", creatable=False)
    yield from _selinux()
    yield from _each("proc-mount-default", "securityContext procMount", "Default", allowed=True)
    # Only pods in a user namespace may ask for it, and whether those are excepted is a gate of the cluster.
    yield from _each("proc-mount-unmasked", "securityContext procMount", "Unmasked", allowed=False, creatable=False)


def _selinux() -> Iterator[Case]:
    for kind in ("container_t", "container_init_t", "container_kvm_t", "container_engine_t", "spc_t", "unconfined_t"):
        good = kind.startswith("container_")
        yield _spec(f"selinux-{kind}", "securityContext seLinuxOptions", {"type": kind}, allowed=good)
        yield from _each(f"selinux-{kind}", "securityContext seLinuxOptions", {"type": kind}, allowed=good)
    yield _spec("selinux-level", "securityContext seLinuxOptions", {"level": "s0:c1,c2"}, allowed=True)
    for field in ("user", "role"):
        yield _spec(f"selinux-{field}", "securityContext seLinuxOptions", {field: "x"}, allowed=False)
        yield from _each(f"selinux-{field}", "securityContext seLinuxOptions", {field: "x"}, allowed=False)


def _sysctls() -> Iterator[Case]:
    for name in (*SYSCTLS, *UNSAFE_SYSCTLS):
        value = [{"name": name, "value": "1"}]
        yield _spec(f"sysctl-{name}", "securityContext sysctls", value, allowed=name in SYSCTLS)


def _ports_and_hosts() -> Iterator[Case]:
    for port in (0, 8080):
        ports = [{"containerPort": 8080, "hostPort": port}]
        yield from _each(f"host-port-{port}", "ports", ports, allowed=port == 0)
    actions = {"httpGet": {"path": "/", "port": 8080}, "tcpSocket": {"port": 8080}}
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        for action, asked in actions.items():
            said = f"{probe}-{action}".lower()
            yield _spec(said, f"containers 0 {probe}", {action: asked}, allowed=True)
            hosted = {action: {**asked, "host": "127.0.0.1"}}
            yield _spec(f"{said}-host", f"containers 0 {probe}", hosted, allowed=False)
    for hook in ("postStart", "preStop"):
        for action, asked in actions.items():
            hosted = {hook: {action: {**asked, "host": "10.0.0.1"}}}
            yield _spec(f"{hook}-{action}-host".lower(), "containers 0 lifecycle", hosted, allowed=False)
        yield _spec(f"{hook}-sleep".lower(), "containers 0 lifecycle", {hook: {"sleep": {"seconds": 5}}}, allowed=True)


def _windows() -> Iterator[Case]:
    container = {"name": "main", "image": CONTAINER["image"]}
    spec = {"os": {"name": "windows"}, "securityContext": {"runAsNonRoot": True}, "containers": [container]}
    pod = {**copy.deepcopy(SOUND), "spec": spec}
    yield Case("windows", pod, allowed=True)
    yield Case("windows-root", changed("spec securityContext", {}, pod), allowed=False)
    hosted = changed("spec securityContext windowsOptions", {"hostProcess": True}, pod)
    yield Case("windows-host-process", changed("spec hostNetwork", value=True, base=hosted), allowed=False)
    hosted = changed("spec containers 0 securityContext", {"windowsOptions": {"hostProcess": True}}, pod)
    yield Case("windows-host-process-container", changed("spec hostNetwork", value=True, base=hosted), allowed=False)


def _ephemeral() -> Iterator[Case]:
    debugger = {**CONTAINER, "name": "debugger"}
    yield _spec("ephemeral", "ephemeralContainers", [debugger], allowed=True, creatable=False)
    for name, context in (
        ("none", {}),
        ("privileged", {"privileged": True}),
        ("capability", {"capabilities": {"drop": ["ALL"], "add": ["SYS_PTRACE"]}, "allowPrivilegeEscalation": False}),
        ("root", {**CONTAINER["securityContext"], "runAsUser": 0}),
    ):
        broken = [{**debugger, "securityContext": context}]
        yield _spec(f"ephemeral-{name}", "ephemeralContainers", broken, allowed=False, creatable=False)
