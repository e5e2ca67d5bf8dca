"""Waits for a TrainJob: says again what its rank 0 says, and tells how it ended."""

import re
import time
from collections.abc import Iterator
from typing import Any

from components.config import Config
from components.console import MARK, say
from components.errors import TrainingError
from components.kube import FORBIDDEN, Cluster, ClusterError, Json
from components.machines.job import CONTAINER, POLL_SECONDS, Job, ended

INDEX, ATTEMPT = "batch.kubernetes.io/job-completion-index", "jobset.sigs.k8s.io/restart-attempt"
OOM = "OOMKilled"
TOLD = re.compile(rf"{re.escape(MARK)} (?P<text>.*)")
#: Enough of a log to hold its last error.
TAIL_LINES = 200


def follow(job: Job, config: Config) -> bool:
    """Wait until a TrainJob is complete; tell whether it is, or is gone instead.

    Raises:
        TrainingError: It failed, or one of its pods needs more memory than it has.
        ClusterError: The API server was away for too long.
    """
    log = Log(job)
    while True:
        found, pods = job.find(), job.pods()
        log.say(pods)
        if found is None:
            say(f"TrainJob {job.name} was deleted while it ran")
            return False
        end = ended(found)
        if end and end["type"] == "Complete":
            return True
        for pod in pods:
            if OOM in {state.get("reason") for state in _ends(pod)}:
                raise TrainingError(_memory(pod, config))
        if end:
            raise TrainingError(_why(job, pods, log, end))
        time.sleep(POLL_SECONDS)


class Log:
    """The lines of rank 0, each said once, in whichever pod it lives.

    Args:
        job: Whose rank 0.
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        #: Time of the last line that was said, by uid of the pod, as the log has it.
        self._last: dict[str, str] = {}
        self._attempt, self._hindrance = "0", ""
        #: The last error that was told.
        self.error = ""

    def say(self, pods: list[Json]) -> None:
        """Say what is new."""
        self._obstacle(pods)
        first = [pod for pod in pods if pod["metadata"].get("labels", {}).get(INDEX) == "0"]
        for pod in sorted(first, key=lambda pod: str(pod["metadata"].get("creationTimestamp"))):
            attempt = pod["metadata"]["labels"].get(ATTEMPT, "0")
            if attempt != self._attempt:
                self._attempt = attempt
                say(f"a machine was lost; attempt {int(attempt) + 1} goes on from the last checkpoint")
            for text in self._new(pod):
                if text.startswith("error: "):
                    self.error = text.removeprefix("error: ")
                else:
                    say(text)

    def _new(self, pod: Json) -> Iterator[str]:
        uid = pod["metadata"]["uid"]
        since = {"sinceTime": self._last[uid]} if uid in self._last else {}
        for line in read(self._job.cluster, pod, timestamps="true", **since).splitlines():
            moment, _, text = line.partition(" ")
            # The server counts in whole seconds, so that it repeats some lines.
            if moment > self._last.get(uid, ""):
                self._last[uid] = moment
                if told := TOLD.fullmatch(text):
                    yield told["text"]

    def _obstacle(self, pods: list[Json]) -> None:
        """Say once what keeps pods from starting."""
        now = next((text for pod in pods if (text := hindrance(pod))), "")
        if now and now != self._hindrance:
            say(f"waits for its machines: {now}")
        self._hindrance = now


def read(cluster: Cluster, pod: Json, **query: str) -> str:
    """Return a pod's log, empty where it has none now.

    Raises:
        ClusterError: This account may not read logs.
    """
    metadata = pod["metadata"]
    path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/log"
    try:
        return cluster.text(path, container=CONTAINER, **query)
    except ClusterError as error:
        if error.status == FORBIDDEN:
            raise
        return ""  # it is still starting, or gone; the next look asks again


def hindrance(pod: Json) -> str:
    """Return what keeps a pod from starting, as Kubernetes says it; empty where nothing does."""
    status, name = pod.get("status", {}), pod["metadata"]["name"]
    for condition in status.get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return f"{name}: {condition.get('message') or condition.get('reason')}"
    for container in status.get("containerStatuses") or []:
        waiting = container.get("state", {}).get("waiting", {})
        if waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
            return f"{name}: {waiting['reason']}: {waiting.get('message', '')}"
    return ""


def _ends(pod: Json) -> list[Json]:
    """Return how the containers of a pod ended, those that did."""
    states = (container.get("state", {}) for container in pod.get("status", {}).get("containerStatuses") or [])
    return [state["terminated"] for state in states if "terminated" in state]


def _memory(pod: Json, config: Config) -> str:
    settings: Any = config.train
    limits = (each.get("resources", {}).get("limits", {}) for each in pod["spec"]["containers"])
    limit = next((each["memory"] for each in limits if "memory" in each), "its node's")
    return (
        f"pod {pod['metadata']['name']} was killed because it needs more memory than {limit} ({OOM}); try half of "
        f"train.batch_size={settings.batch_size}, --set train.batch_size={settings.batch_size // 2}, or give "
        "TrainingRuntime slipway more memory"
    )


def _why(job: Job, pods: list[Json], log: Log, end: Json) -> str:
    """Return the last error that a pod told, else how one ended, else what the TrainJob says."""
    failed = [pod for pod in pods if pod.get("status", {}).get("phase") == "Failed"]
    for pod in failed:
        lines = read(job.cluster, pod, tailLines=str(TAIL_LINES)).splitlines()
        told = [found["text"] for line in lines if (found := TOLD.fullmatch(line))]
        if errors := [text for text in told if text.startswith("error: ")]:
            return errors[-1].removeprefix("error: ")
    if log.error:
        return log.error
    said = f"TrainJob {job.name} failed: {end.get('reason')}: {end.get('message')}"
    for pod in failed:
        for state in _ends(pod):
            if state.get("exitCode"):
                how = f"exit code {state['exitCode']}, {state.get('reason')}"
                return f"{said}; pod {pod['metadata']['name']} ended with {how}; its log may say more"
    return said
