"""The rules by name; a rule is a function of a rendering that yields where, what is wrong, and what to do.

To add one, write such a function in the module of its family (or a new one) and list it here.
"""

from collections.abc import Callable

from manifests.documents import Finding, Found
from manifests.render import Rendering
from manifests.rules.access import rbac
from manifests.rules.images import image_mutable
from manifests.rules.kserve import kserve_ignored
from manifests.rules.metrics import metrics
from manifests.rules.pipelines import kfp_steps
from manifests.rules.ports import service_ports
from manifests.rules.references import references
from manifests.rules.secrets import secret_plain
from manifests.rules.selectors import selectors
from manifests.rules.workloads import probes, resources, security_context

RULES: dict[str, tuple[Callable[[Rendering], Found], ...]] = {
    "kserve-ignored": (kserve_ignored,),
    "image-mutable": (image_mutable,),
    "probes": (probes,),
    "resources": (resources,),
    "security-context": (security_context,),
    "rbac": (rbac,),
    "dangling": (selectors, service_ports, references),
    "secret-plain": (secret_plain,),
    "metrics": (metrics,),
    "kfp-steps": (kfp_steps,),
}


def findings(rendering: Rendering) -> list[Finding]:
    """Return what the rules find in a rendering, each once."""
    found = [
        Finding(name, *finding) for name, checks in RULES.items() for check in checks for finding in check(rendering)
    ]
    return list(dict.fromkeys(found))
