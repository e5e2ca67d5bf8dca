"""The steps of compiled pipelines run in the same namespace as everything else, and must be as sound."""

from manifests.documents import Found, Node, at, listed
from manifests.render import Rendering
from manifests.rules.images import DIGEST, moving_tag
from manifests.rules.secrets import literal_secrets
from manifests.steps import Step

#: The names that the compiler writes since 2.14, which may hold parameters of the run.
ASKED = ("resourceCpuRequest", "resourceCpuLimit", "resourceMemoryRequest", "resourceMemoryLimit")


def kfp_steps(rendering: Rendering) -> Found:
    """Find steps without resources, that may run as root, that change by themselves, or that hold a secret."""
    for step in rendering.steps:
        for what, remedy in _unsound(step):
            yield step.where, what, remedy


def _unsound(step: Step) -> list[tuple[str, str]]:
    container: Node = step.container
    found = [
        (f"has no {name}", "call set_cpu_* and set_memory_* on the task")
        for name in ASKED
        if not at(container, "resources").get(name)
    ]
    if not at(step.platform, "securityContext").get("runAsNonRoot"):
        found.append(("may run as root", "call kubernetes.set_security_context(task, run_as_non_root=True)"))
    image = str(container.get("image", ""))
    if not DIGEST.match(image) and (what := moving_tag(image)):
        found.append((what, "name a version or a digest"))
    if "pip install" in " ".join([*listed(container, "command"), *listed(container, "args")]):
        found.append(("runs pip install", "fill the image and say install_kfp_package=False"))
    return found + [(what, "use kubernetes.use_secret_as_env") for what in literal_secrets(container)]
