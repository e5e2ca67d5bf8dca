"""One TrainJob of Kubeflow Trainer: made, found again by its name, and taken away.

Its TrainingRuntime ``slipway`` (``manifests/trainer``) says what its pods are. See
https://www.kubeflow.org/docs/components/trainer/.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from components import kube
from components.config import Config
from components.console import say
from components.kube import CONFLICT, FORBIDDEN, NOT_FOUND, Cluster, ClusterError, Json

API = "trainer.kubeflow.org/v1alpha1"
RUNTIME = "slipway"
#: The container of the machines' pods, by the contract of Kubeflow Trainer.
CONTAINER = "node"
GPU = "nvidia.com/gpu"
#: Kubernetes names a pod ``<name>-node-0-<index>-<5 letters>``, in at most 63 letters.
LONGEST_NAME = 26
POLL_SECONDS = 2.0
#: Where a pod finds its own name; a host's is cut where it is long.
POD_NAMES = ("KFP_POD_NAME", "POD_NAME", "HOSTNAME")
#: An API server may be away for so long, and pods may take so long to go.
OUTAGE_SECONDS, REMOVAL_SECONDS = 300.0, 120.0
TOO_MANY_REQUESTS, SERVER_ERROR = 429, 500

T = TypeVar("T")


def shape(config: Config, uri: str) -> Json:
    """Return what a TrainJob says about its machines.

    Args:
        config: One model's.
        uri: Of the folder with the work.
    """
    settings: Any = config.train
    each = settings.processes // settings.machines
    wanted: Json = {
        "numNodes": settings.machines,
        "numProcPerNode": each,
        "command": ["python3", "-m", "components.machines", uri],
    }
    return wanted | ({"resourcesPerNode": {"limits": {GPU: str(each)}}} if settings.device == "cuda" else {})


@dataclass(frozen=True)
class Job:
    """A TrainJob, there or not.

    Attributes:
        cluster: Where.
        namespace: This pod's; ``slipway`` outside of one.
        name: Follows from the model's name and the training's key, so that a retry finds it.
    """

    cluster: Cluster
    namespace: str
    name: str

    @classmethod
    def connect(cls, model: str, key: str) -> "Job":
        """Return the TrainJob of a training on the cluster that this process may talk to.

        Raises:
            NoClusterError: There is none.
        """
        inside = kube.ACCOUNT.with_name("namespace")
        namespace = inside.read_text(encoding="utf-8").strip() if inside.is_file() else "slipway"
        return cls(Cluster.connect(), namespace, f"train-{model[:LONGEST_NAME].rstrip('-')}-{key[:12]}")

    @property
    def path(self) -> str:
        """Where the API server has it."""
        return f"{self._path('trainjobs')}/{self.name}"

    def find(self) -> Json | None:
        """Return it as it is, None where there is none."""
        return patient(lambda: self.cluster.find(self.path))

    def pods(self) -> list[Json]:
        """Return its pods."""
        where = f"/api/v1/namespaces/{self.namespace}/pods"
        return patient(lambda: self.cluster.items(where, labelSelector=f"jobset.sigs.k8s.io/jobset-name={self.name}"))

    def start(self, trainer: Json) -> None:
        """Make it, or go on with the one that runs.

        Args:
            trainer: As ``shape`` returns it.

        Raises:
            ClusterError: There is no Kubeflow Trainer, no TrainingRuntime, or a right is missing.
        """
        resources = self._resources(trainer)
        found, owners = self._told(lambda: self.cluster.find(self.path)), self._owners()
        if found and _is_other(found, trainer):
            self.remove()
            found = None
        if found:
            say(f"TrainJob {self.name} runs already; goes on with it")
            self._told(lambda: self.cluster.merge(self.path, {"metadata": {"ownerReferences": owners}}))
            return
        content = {
            "apiVersion": API,
            "kind": "TrainJob",
            "metadata": {
                "name": self.name,
                "ownerReferences": owners,
                "labels": {"app.kubernetes.io/part-of": "slipway"},
            },
            "spec": {
                "runtimeRef": {"apiGroup": API.partition("/")[0], "kind": "TrainingRuntime", "name": RUNTIME},
                "trainer": trainer | resources,
            },
        }
        try:
            self._told(lambda: self.cluster.create(self._path("trainjobs"), content))
        except ClusterError as error:
            if error.status != CONFLICT:  # the answer to the first of two calls was lost
                raise
        say(f"TrainJob {self.name}: {trainer['numNodes']} machines with {trainer['numProcPerNode']} processes each")

    def remove(self) -> None:
        """Delete it, and wait until its pods are gone; what hinders that is said, and does not hide another error."""
        end = time.monotonic() + REMOVAL_SECONDS
        try:
            patient(lambda: self.cluster.delete(self.path, propagationPolicy="Foreground"))
            while self.find() is not None and time.monotonic() < end:
                time.sleep(POLL_SECONDS / 4)
        except ClusterError as error:
            if error.status == FORBIDDEN:  # who may not delete could not create: one Role gives both
                return
            say(f"TrainJob {self.name} may still be there: {error}; kubectl delete trainjob {self.name}")

    def _resources(self, trainer: Json) -> Json:
        """Return the runtime's resources with the GPUs: what a TrainJob asks for replaces what its runtime does."""
        runtime = self._told(lambda: self.cluster.get(f"{self._path('trainingruntimes')}/{RUNTIME}"))
        if "resourcesPerNode" not in trainer:
            return {}
        jobs = runtime["spec"]["template"]["spec"]["replicatedJobs"]
        pods = (job["template"]["spec"]["template"]["spec"] for job in jobs)
        said = next(
            each.get("resources", {}) for pod in pods for each in pod["containers"] if each["name"] == CONTAINER
        )
        limits = said.get("limits", {}) | trainer["resourcesPerNode"]["limits"]
        return {"resourcesPerNode": {**said, "limits": limits}}

    def _owners(self) -> list[Json]:
        """Return the pod of this process, with which the TrainJob goes; none outside of one."""
        name = next((value for name in POD_NAMES if (value := os.environ.get(name))), "")
        if not kube.ACCOUNT.is_file() or not name:
            return []
        pod = self._told(lambda: self.cluster.find(f"/api/v1/namespaces/{self.namespace}/pods/{name}"))
        return [{"apiVersion": "v1", "kind": "Pod", "name": name, "uid": pod["metadata"]["uid"]}] if pod else []

    def _path(self, kind: str) -> str:
        return f"/apis/{API}/namespaces/{self.namespace}/{kind}"

    def _told(self, call: Callable[[], T]) -> T:
        """Call the API server, and say of the usual reasons for a refusal what to do."""
        try:
            return patient(call)
        except ClusterError as error:
            if error.status == NOT_FOUND and not error.body:
                what = f"the cluster {self.cluster.url} has no Kubeflow Trainer (TrainJob, {API}): install it"
            elif error.status == NOT_FOUND:
                what = f"there is no TrainingRuntime {RUNTIME} in namespace {self.namespace}: apply manifests/trainer"
            elif error.status == FORBIDDEN:
                what = f"this account may not run TrainJobs ({error}): apply manifests/trainer"
            else:
                raise
            message = f"{what}, or train on one machine with train.machines=1"
            raise ClusterError(message, error.status, error.body) from None


def patient(call: Callable[[], T]) -> T:
    """Call the API server, again while it is away or busy."""
    end = time.monotonic() + OUTAGE_SECONDS
    while True:
        try:
            return call()
        except ClusterError as error:
            passing = error.status in (0, TOO_MANY_REQUESTS) or error.status >= SERVER_ERROR
            if not passing or time.monotonic() > end:
                raise
            time.sleep(POLL_SECONDS)


def ended(job: Json) -> Json | None:
    """Return the condition, ``Complete`` or ``Failed``, with which a TrainJob ended; None while it runs."""
    conditions = job.get("status", {}).get("conditions") or []
    return next(
        (each for each in conditions if each["type"] in ("Complete", "Failed") and each["status"] == "True"), None
    )


def _is_other(job: Json, trainer: Json) -> bool:
    """Return whether a TrainJob is on its way out, at its end, or of another shape."""
    said = job["spec"].get("trainer", {})
    same = all(said.get(name) == trainer[name] for name in ("numNodes", "numProcPerNode", "command"))
    return "deletionTimestamp" in job["metadata"] or ended(job) is not None or not same
