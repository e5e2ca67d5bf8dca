"""The restricted Pod Security standard of Kubernetes 1.34, baseline included, for a pod that nobody has created yet.

Each function is one control of the standard and yields what breaks it: where in the pod, and what it is. Defaults
of a cluster (a PodSecurity exemption, an admission webhook) are out of sight.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from manifests.documents import Node, at, listed

CAPABILITIES = frozenset(
    [
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    ]
)
SYSCTLS = frozenset(
    {"kernel.shm_rmid_forced"}
    | {
        f"net.ipv4.{name}"
        for name in (
            "ip_local_port_range", "ip_local_reserved_ports", "ip_unprivileged_port_start", "ping_group_range",
            "tcp_fin_timeout", "tcp_keepalive_intvl", "tcp_keepalive_probes", "tcp_keepalive_time", "tcp_rmem",
            "tcp_syncookies", "tcp_wmem",
        )
    }
)  # fmt: skip
SELINUX_TYPES = frozenset({"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"})
VOLUMES = frozenset(
    ["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"]
)
PROFILES = frozenset({"RuntimeDefault", "Localhost"})
APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
PROBES = ("livenessProbe", "readinessProbe", "startupProbe")

#: Where in the pod (the name of a container, or nothing for the pod itself), and what is wrong.
Broken = Iterator[tuple[str, str]]


class Violation(NamedTuple):
    """A broken control.

    Attributes:
        control: Its name in the standard.
        container: That breaks it; empty where the pod itself does.
        what: Is wrong.
    """

    control: str
    container: str
    what: str


def violations(spec: Node, annotations: Node | None = None) -> list[Violation]:
    """Return what in a pod the restricted standard refuses.

    Args:
        spec: The PodSpec.
        annotations: Of the pod; AppArmor was set there before 1.30.
    """
    pod: Node = {"metadata": {"annotations": annotations or {}}, "spec": spec}
    windows = at(spec, "os").get("name") == "windows"
    controls = BASELINE | (RESTRICTED if windows else RESTRICTED | LINUX)
    return [Violation(name, container, what) for name, control in controls.items() for container, what in control(pod)]


def _containers(pod: Node) -> Iterator[tuple[str, Node]]:
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for container in listed(pod, "spec", kind):
            yield str(container.get("name", "")), container


def _contexts(pod: Node) -> Iterator[tuple[str, Node]]:
    yield "", at(pod, "spec", "securityContext")
    for name, container in _containers(pod):
        yield name, at(container, "securityContext")


def _host_process(pod: Node) -> Broken:
    for name, context in _contexts(pod):
        if at(context, "windowsOptions").get("hostProcess"):
            yield name, "windowsOptions.hostProcess is true"


def _host_namespaces(pod: Node) -> Broken:
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if pod["spec"].get(field):
            yield "", f"{field} is true"


def _privileged(pod: Node) -> Broken:
    for name, container in _containers(pod):
        if at(container, "securityContext").get("privileged"):
            yield name, "privileged is true"


def _added_capabilities(pod: Node) -> Broken:
    for name, container in _containers(pod):
        for capability in listed(container, "securityContext", "capabilities", "add"):
            if capability not in CAPABILITIES:
                yield name, f"capability {capability} is added"


def _host_path(pod: Node) -> Broken:
    for volume in listed(pod, "spec", "volumes"):
        if "hostPath" in volume:
            yield "", f"volume {volume.get('name')} is a hostPath"


def _host_ports(pod: Node) -> Broken:
    for name, container in _containers(pod):
        for port in listed(container, "ports"):
            if port.get("hostPort"):
                yield name, f"hostPort {port['hostPort']} is taken"


def _app_armor(pod: Node) -> Broken:
    for name, context in _contexts(pod):
        profile = at(context, "appArmorProfile").get("type")
        if profile is not None and profile not in PROFILES:
            yield name, f"appArmorProfile is {profile}"
    for key, value in at(pod, "metadata", "annotations").items():
        if key.startswith(APPARMOR) and value not in {"", "runtime/default"} and not value.startswith("localhost/"):
            yield key.removeprefix(APPARMOR), f"AppArmor's annotation is {value}"


def _selinux(pod: Node) -> Broken:
    for name, context in _contexts(pod):
        options = at(context, "seLinuxOptions")
        if options.get("type", "") not in SELINUX_TYPES:
            yield name, f"seLinuxOptions.type is {options['type']}"
        for field in ("user", "role"):
            if options.get(field):
                yield name, f"seLinuxOptions.{field} is set"


def _proc_mount(pod: Node) -> Broken:
    for name, container in _containers(pod):
        mount = at(container, "securityContext").get("procMount")
        if mount not in {None, "Default"}:
            yield name, f"procMount is {mount}"


def _unconfined(pod: Node) -> Broken:
    for name, context in _contexts(pod):
        profile = at(context, "seccompProfile").get("type")
        if profile is not None and profile not in PROFILES:
            yield name, f"seccompProfile is {profile}"


def _sysctls(pod: Node) -> Broken:
    for sysctl in listed(pod, "spec", "securityContext", "sysctls"):
        if sysctl.get("name") not in SYSCTLS:
            yield "", f"sysctl {sysctl.get('name')} is set"


def _hosts(pod: Node) -> Broken:
    for name, container in _containers(pod):
        handlers = {probe: at(container, probe) for probe in PROBES}
        handlers |= {f"lifecycle.{hook}": at(container, "lifecycle", hook) for hook in ("postStart", "preStop")}
        for place, handler in handlers.items():
            for action in ("httpGet", "tcpSocket"):
                if host := at(handler, action).get("host"):
                    yield name, f"{place}.{action}.host is {host}"


def _volume_types(pod: Node) -> Broken:
    for volume in listed(pod, "spec", "volumes"):
        # A volume of no type becomes an emptyDir before anyone looks; the baseline has its own word on a hostPath.
        for kind in sorted(volume.keys() - {"name", "hostPath"} - VOLUMES):
            yield "", f"volume {volume.get('name')} is of type {kind}"


def _escalation(pod: Node) -> Broken:
    for name, container in _containers(pod):
        if at(container, "securityContext").get("allowPrivilegeEscalation") is not False:
            yield name, "allowPrivilegeEscalation is not false"


def _non_root(pod: Node) -> Broken:
    whole = at(pod, "spec", "securityContext").get("runAsNonRoot")
    if whole is False:
        yield "", "runAsNonRoot is false"
    for name, container in _containers(pod):
        if not at(container, "securityContext").get("runAsNonRoot", whole):
            yield name, "runAsNonRoot is not true"


def _root_user(pod: Node) -> Broken:
    for name, context in _contexts(pod):
        if context.get("runAsUser") == 0:
            yield name, "runAsUser is 0"


def _seccomp(pod: Node) -> Broken:
    whole = at(pod, "spec", "securityContext", "seccompProfile").get("type")
    for name, container in _containers(pod):
        if at(container, "securityContext", "seccompProfile").get("type", whole) is None:
            yield name, "seccompProfile is not set"


def _dropped_capabilities(pod: Node) -> Broken:
    for name, container in _containers(pod):
        capabilities = at(container, "securityContext", "capabilities")
        if "ALL" not in listed(capabilities, "drop"):
            yield name, "capabilities.drop lacks ALL"
        for capability in listed(capabilities, "add"):
            if capability in CAPABILITIES - {"NET_BIND_SERVICE"}:
                yield name, f"capability {capability} is added"


Controls = dict[str, Callable[[Node], Broken]]
BASELINE: Controls = {
    "hostProcess": _host_process,
    "hostNamespaces": _host_namespaces,
    "privileged": _privileged,
    "capabilities": _added_capabilities,
    "hostPath": _host_path,
    "hostPorts": _host_ports,
    "appArmor": _app_armor,
    "seLinux": _selinux,
    "procMount": _proc_mount,
    "seccomp": _unconfined,
    "sysctls": _sysctls,
    "probeHosts": _hosts,
}
RESTRICTED: Controls = {"volumeTypes": _volume_types, "runAsNonRoot": _non_root, "runAsUser": _root_user}
#: Controls that say nothing to pods for Windows.
LINUX: Controls = {
    "allowPrivilegeEscalation": _escalation,
    "restrictedSeccomp": _seccomp,
    "restrictedCapabilities": _dropped_capabilities,
}
