"""Runs the compiled pipeline on a Kubeflow Pipelines server: submit, follow, and end with the run's own exit code.

The stock client does the submitting. What it lacks is here: it exits with 0 after a failed run, and says neither which
step failed nor why.
"""

import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
import yaml
from kfp_server_api.exceptions import ApiException
from urllib3.exceptions import HTTPError

from pipelines.errors import RunError, error_of
from pipelines.local import ERROR, PASSED, REFUSED

with warnings.catch_warnings():
    # kfp announces which servers it works with whenever it is used.
    warnings.simplefilter("ignore", FutureWarning)
    from kfp.client import Client

POLL_SECONDS = 3.0
#: How often in a row the server may be out of reach while a run goes on, with growing pauses: four minutes or more.
MOST_LOSSES = 12
LONGEST_PAUSE_SECONDS = 30.0
REQUEST_SECONDS = 15.0
ENDED = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")
#: A task's detail names a pod without what its template adds to the name; with retries it adds more.
POD_INFIXES = ("", "system-container-impl-", "retry-system-container-impl-")
#: The log route answers 200 before it looks for the pod; for one that is not there the body is this error.
NO_LOG = '{"error_message":'
TOO_MANY_REQUESTS = 429


def submit(
    package: Path,
    arguments: Mapping[str, Any],
    *,
    endpoint: str,
    experiment: str,
    run_name: str | None,
    namespace: str,
    service_account: str | None,
    token: str | None,
    cache: bool,
    timeout_seconds: float,
    say: Callable[[str], None],
) -> int:
    """Submit a compiled pipeline and wait for its end.

    Args:
        package: The compiled file.
        arguments: Pipeline parameters.
        endpoint: URL of the server's API.
        experiment: Its name; created on demand.
        service_account: Of the run's pods; the server chooses without.
        run_name: What the run is called; by the pipeline and the time without.
        namespace: Kubernetes namespace of the run.
        token: Bearer token, or none.
        cache: Whether results of equal earlier steps may be used where the pipeline allows it.
        timeout_seconds: When to stop waiting; the run goes on.
        say: Called with each line for the user.

    Returns:
        0 passed, 1 refused by the gate, 2 anything else.

    Raises:
        RunError: The server can't be reached or refuses the run.
    """
    if not endpoint.startswith(("http://", "https://")):
        raise RunError(f"--endpoint {endpoint} must start with http:// or https://")
    server = Server(endpoint.rstrip("/"), token)
    server.greet()
    with _explained(server.endpoint), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        client = Client(host=server.endpoint, namespace=namespace, existing_token=token)
        created = client.create_run_from_pipeline_package(
            str(package),
            arguments=dict(arguments),
            run_name=run_name,
            experiment_name=experiment,
            namespace=namespace,
            service_account=service_account,
            # None leaves each step's own choice; True would cache what must not be cached.
            enable_caching=None if cache else False,
        )
    say(f"run       {server.page(created.run_id)}")
    run = _follow(server, created.run_id, step_names(package), timeout_seconds, say)
    return _conclude(server, run, step_names(package), say)


@dataclass(frozen=True)
class Server:
    """What is asked of a server beside the stock client, which would wait for an answer without end.

    Attributes:
        endpoint: Its URL, without a slash at the end.
        token: Bearer token, or none.
    """

    endpoint: str
    token: str | None = field(repr=False)

    def greet(self) -> None:
        """Make sure that a Kubeflow Pipelines API answers there.

        Raises:
            RunError: It does not.
        """
        try:
            answer = self._get("apis/v2beta1/healthz")
        except requests.RequestException:
            raise RunError(f"can't reach {self.endpoint}; check --endpoint, and the port-forward to it") from None
        kind = answer.headers.get("content-type", "nothing")
        # A login page is a good answer, too, but of something else.
        if not answer.ok or not kind.startswith("application/json"):
            raise RunError(
                f"{self.endpoint} answers {answer.status_code} ({kind}), unlike Kubeflow Pipelines; "
                "check --endpoint and token"
            )

    def run(self, run_id: str) -> dict[str, Any] | None:
        """Return the run, or none while the server is out of reach; a server that is starting again answers 5xx.

        Raises:
            RunError: The server does not show this run.
        """
        try:
            answer = self._get(f"apis/v2beta1/runs/{run_id}")
            run: dict[str, Any] | None = answer.json() if answer.ok else None
        except requests.RequestException:
            return None
        if 400 <= answer.status_code < 500 and answer.status_code != TOO_MANY_REQUESTS:  # noqa: PLR2004 (client errors)
            raise RunError(
                f"{self.endpoint} no longer shows the run {run_id}: {answer.status_code} {answer.reason}; look at "
                f"{self.page(run_id)}, and check the token"
            )
        return run

    def page(self, run_id: str) -> str:
        """Return where a run can be looked at."""
        return f"{self.endpoint}/#/runs/details/{run_id}"

    def log(self, run_id: str, pods: Iterator[str]) -> str | None:
        """Return the first log that tells an error, else the first log, else none."""
        logs = []
        for pod in pods:
            try:
                answer = self._get(f"apis/v1alpha1/runs/{run_id}/nodes/{pod}/log")
            except requests.RequestException:
                continue
            text = answer.content.decode("utf-8", "replace")
            if answer.ok and text.strip() and not text.startswith(NO_LOG):
                logs.append(text)
        telling = (log for log in logs if "[slipway] error:" in log or "Traceback (most recent call last)" in log)
        return next(telling, next(iter(logs), None))

    def _get(self, path: str) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return requests.get(f"{self.endpoint}/{path}", headers=headers, timeout=REQUEST_SECONDS)


@contextmanager
def _explained(endpoint: str) -> Iterator[None]:
    """Turn what the stock client raises into one line."""
    try:
        yield
    except ApiException as error:
        reason = " ".join(str(error.body or error.reason).split())[:500]
        raise RunError(f"{endpoint} refused the run with {error.status}: {reason}") from None
    except HTTPError:
        raise RunError(f"lost {endpoint} while submitting; the run may or may not exist, look there") from None


def step_names(package: Path) -> set[str]:
    """Return the display names of a compiled pipeline's steps: what runs in a container, not groups and drivers."""
    spec = next(yaml.safe_load_all(package.read_text(encoding="utf-8")))
    components = spec["components"]
    tasks = [
        task
        for component in (spec["root"], *components.values())
        for task in component.get("dag", {}).get("tasks", {}).values()
    ]
    return {task["taskInfo"]["name"] for task in tasks if "executorLabel" in components[task["componentRef"]["name"]]}


def _follow(
    server: Server, run_id: str, names: set[str], timeout_seconds: float, say: Callable[[str], None]
) -> dict[str, Any]:
    """Poll until the run ends; say when a step changes its state."""
    start = time.monotonic()
    known: dict[str, tuple[str, float]] = {}
    losses = 0
    while True:
        run = server.run(run_id)
        losses = 0 if run else losses + 1
        if losses > MOST_LOSSES:
            raise RunError(f"lost {server.endpoint}; the run goes on there unwatched, look at {server.page(run_id)}")
        for task in _tasks(run or {}, names):
            _tell(task["display_name"], task.get("state", "PENDING"), known, say)
        if run and run.get("state") in ENDED:
            return run
        if time.monotonic() - start > timeout_seconds:
            state = run.get("state") if run else "out of reach"
            raise RunError(
                f"the run {run_id} is {state} after {timeout_seconds:g} s and goes on; --timeout waits longer"
            )
        time.sleep(min(POLL_SECONDS * max(losses, 1), LONGEST_PAUSE_SECONDS))


def _details(run: Mapping[str, Any]) -> list[dict[str, Any]]:
    return (run.get("run_details") or {}).get("task_details") or []


def _tasks(run: Mapping[str, Any], names: set[str]) -> list[dict[str, Any]]:
    return [task for task in _details(run) if task.get("display_name") in names]


def _tell(name: str, state: str, known: dict[str, tuple[str, float]], say: Callable[[str], None]) -> None:
    before = known.get(name)
    if before and before[0] == state:
        return
    since = before[1] if before else time.monotonic()
    known[name] = (state, since)
    if state not in ("PENDING", "SKIPPED"):
        say(f"{name:<9} {state.lower():<9} {time.monotonic() - since:6.1f} s")


def _conclude(server: Server, run: Mapping[str, Any], names: set[str], say: Callable[[str], None]) -> int:
    if run["state"] == "SUCCEEDED":
        say("passed")
        return PASSED
    failed = [task for task in _tasks(run, names) if task.get("state") == "FAILED"]
    if not failed:
        say(f"the run is {run['state']}; no step says why, look at {server.page(run['run_id'])}")
        return ERROR
    task = failed[-1]
    log = server.log(run["run_id"], _pods(task, _details(run)))
    cause = error_of(log) if log else "its log is not to be had; look at its pod"
    if task["display_name"] == "refuse":
        say(cause)
        return REFUSED
    say(f"{task['display_name']} failed: {cause}")
    return ERROR


def _pods(task: Mapping[str, Any], details: list[dict[str, Any]]) -> Iterator[str]:
    """Yield every name that a task's pods may have, the last attempt first."""
    children = list(task.get("child_tasks") or [])
    ids = {child.get("task_id") for child in children} - {None}
    children += [
        child for detail in details if detail.get("task_id") in ids for child in detail.get("child_tasks") or []
    ]
    shown = [name for name in (entry.get("pod_name") for entry in (task, *children)) if name]
    for name in reversed(shown):
        workflow, _, number = name.rpartition("-")
        for infix in POD_INFIXES:
            yield f"{workflow}-{infix}{number}"
