"""What Kubeflow Trainer and its machines would do, step by step: one each time that somebody asks for the pods."""

from collections.abc import Callable, Iterable
from typing import Any

from kube_server import KubeServer

Json = dict[str, Any]
NAMESPACE = "slipway"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
TRAINER = f"/apis/trainer.kubeflow.org/v1alpha1/namespaces/{NAMESPACE}"
RUNTIME = f"{TRAINER}/trainingruntimes/slipway"
LIMITS = {"memory": "2Gi"}
#: No scene is longer.
MOST_LOOKS = 200
Step = Callable[["Scene"], None]


class Scene:
    """A cluster with Kubeflow Trainer and our runtime.

    Args:
        server: Its API server.
        steps: What happens.
    """

    def __init__(self, server: KubeServer, steps: Iterable[Step] = ()) -> None:
        self.server, self.steps, self.asked = server, list(steps), 0
        container = {"name": "node", "resources": {"requests": {"cpu": "1"}, "limits": LIMITS}}
        pods = {"template": {"spec": {"template": {"spec": {"containers": [container]}}}}}
        server.put(RUNTIME, {"spec": {"template": {"spec": {"replicatedJobs": [pods]}}}})
        server.before = self._asked

    def _asked(self, _: KubeServer, request: str) -> None:
        if request == f"GET {PODS}" and self.jobs():
            self.asked += 1
            if self.steps:
                self.steps.pop(0)(self)
            assert self.asked < MOST_LOOKS, "nobody noticed how it ended"

    def jobs(self) -> list[Json]:
        """Return the TrainJobs."""
        return [found for path, found in self.server.objects.items() if path.startswith(f"{TRAINER}/trainjobs/")]

    @property
    def job(self) -> Json:
        """The one TrainJob."""
        (found,) = self.jobs()
        return found

    def take_away(self) -> None:
        """Delete the TrainJob, as the cluster does with what a lost pod owned."""
        for path in [path for path in self.server.objects if path.startswith(f"{TRAINER}/trainjobs/")]:
            del self.server.objects[path]

    def pod(self, name: str, *, index: int = 0, attempt: int = 0, **status: Any) -> Json:
        """Make a pod of the TrainJob, or change it."""
        job = self.job["metadata"]["name"]
        labels = {
            "jobset.sigs.k8s.io/jobset-name": job,
            "jobset.sigs.k8s.io/restart-attempt": str(attempt),
            "batch.kubernetes.io/job-completion-index": str(index),
        }
        spec = {"containers": [{"name": "node", "resources": {"limits": LIMITS}}]}
        content = {"metadata": {"labels": labels, "creationTimestamp": name}, "spec": spec, "status": status}
        return self.server.put(f"{PODS}/{name}", content)

    def lose(self, name: str) -> None:
        """Take a pod away."""
        del self.server.objects[f"{PODS}/{name}"]

    def write(self, name: str, *lines: str) -> None:
        """Let a pod say lines, each a tenth of a second after the one before."""
        log = self.server.lines.setdefault(f"{PODS}/{name}/log?container=node", [])
        for line in lines:
            log.append((f"2026-01-02T03:04:{len(log) / 10:012.9f}Z", line))

    def end(self, how: str, reason: str = "AllJobsCompleted", message: str = "jobset completed") -> None:
        """Let the TrainJob end."""
        condition = {"type": how, "status": "True", "reason": reason, "message": message}
        self.job["status"] = {"conditions": [condition]}
