"""A Kubeflow Pipelines API on loopback that keeps the real server's contract for what a client of runs needs.

It refuses what the real one refuses (unknown or missing parameters, wrong types, a malformed specification) and answers
with the fields and enums of ``apis/v2beta1``. It executes nothing: how a run goes is the test's scenario.
"""

import json
import re
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TYPES: dict[str, tuple[type, ...]] = {
    "STRING": (str,),
    "STRUCT": (dict,),
    "LIST": (list,),
    "BOOLEAN": (bool,),
    "NUMBER_INTEGER": (int, float),
    "NUMBER_DOUBLE": (int, float),
}


@dataclass
class Scenario:
    """How a run goes.

    Attributes:
        moments: What successive looks at the run show: its state and the state of each step by display name.
        logs: By pod name as Kubernetes knows it; other pods have none.
        outage: Looks at the run that find the server gone, before the first moment is shown.
        busy: Looks at the run after that which are answered with this status, one each.
        silence: Seconds for which each look at the run gets no answer.
        greeting: What the health check answers, by content type; a login page is HTML.
        refusal: Status and message with which the run is refused, whatever it holds.
    """

    moments: list[tuple[str, dict[str, str]]]
    logs: dict[str, str] = field(default_factory=dict)
    outage: int = 0
    busy: list[int] = field(default_factory=list)
    silence: float = 0
    greeting: str = "application/json"
    refusal: tuple[int, str] | None = None


class RefusedError(Exception):
    """A request that the real server would refuse."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class KfpServer(ThreadingHTTPServer):
    """The server.

    Attributes:
        created: The bodies of all runs that were created.
        tokens: The values of all Authorization headers.
    """

    daemon_threads = True

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.scenario = scenario
        self.experiments: dict[str, dict[str, Any]] = {}
        self.created: list[dict[str, Any]] = []
        self.runs: dict[str, dict[str, Any]] = {}
        self.tokens: set[str | None] = set()
        self.looks = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def experiment(self, body: dict[str, Any]) -> dict[str, Any]:
        if not body.get("display_name"):
            raise RefusedError(400, "Invalid input error: Experiment name is empty")
        entry = {"experiment_id": str(uuid.uuid4()), "display_name": body["display_name"], "storage_state": "AVAILABLE"}
        self.experiments[entry["experiment_id"]] = entry
        return entry

    def run(self, body: dict[str, Any]) -> dict[str, Any]:
        if self.scenario.refusal:
            raise RefusedError(*self.scenario.refusal)
        if body.get("experiment_id") not in self.experiments:
            raise RefusedError(404, f"Experiment {body.get('experiment_id')} not found")
        if not body.get("display_name"):
            raise RefusedError(400, "Invalid input error: Run name is empty")
        check(body)
        self.created.append(body)
        run_id = str(uuid.uuid4())
        self.runs[run_id] = {**body, "run_id": run_id, "created_at": "2026-01-01T00:00:00Z"}
        return {**self.runs[run_id], "state": "PENDING"}

    def look(self, run_id: str) -> dict[str, Any]:
        if run_id not in self.runs:
            raise RefusedError(404, f"Run {run_id} not found")
        index = min(self.looks, len(self.scenario.moments) - 1)
        self.looks += 1
        state, steps = self.scenario.moments[index]
        return {**self.runs[run_id], "state": state, "run_details": {"task_details": details(run_id, steps)}}


def check(body: dict[str, Any]) -> None:
    """Refuse a run as the real server would, before anything is created."""
    spec = (body.get("pipeline_spec") or {}).get("pipeline_spec")
    if not isinstance(spec, dict) or not {"root", "components", "deploymentSpec", "schemaVersion"} <= set(spec):
        raise RefusedError(400, "Invalid input error: Failed to get a template with the pipeline spec manifest")
    defined = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    given = (body.get("runtime_config") or {}).get("parameters") or {}
    if unknown := sorted(set(given) - set(defined)):
        told = f"parameter(s) provided are not required by pipeline: {', '.join(unknown)}"
        raise RefusedError(400, f"Invalid input error: {told}")
    for name, definition in defined.items():
        required = "defaultValue" not in definition and not definition.get("isOptional")
        if required and name not in given:
            raise RefusedError(400, f"Invalid input error: parameter {name} is not optional, yet has no value")
        kind = definition["parameterType"]
        # By exact type: JSON's true is no number, although Python's is.
        if name in given and type(given[name]) not in TYPES[kind]:
            raise RefusedError(400, f"Invalid input error: input parameter {name} requires type {kind}")
    platform = body["pipeline_spec"].get("platform_spec", {}).get("platforms", {}).get("kubernetes", {})
    executors = platform.get("deploymentSpec", {}).get("executors", {})
    if strangers := sorted(set(executors) - set(spec["deploymentSpec"]["executors"])):
        raise RefusedError(400, f"Invalid input error: platform spec of unknown executors {strangers}")


def details(run_id: str, steps: dict[str, str]) -> list[dict[str, Any]]:
    """Return task details as the server lists them: nameless drivers in between, pods named without their infix."""
    listed: list[dict[str, Any]] = []
    for number, (name, state) in enumerate(steps.items(), 1):
        task = {"run_id": run_id, "task_id": f"{name}-task", "state": state, "start_time": "2026-01-01T00:00:00Z"}
        listed.append({"run_id": run_id, "task_id": f"driver-{number}", "state": "SUCCEEDED"})
        listed.append({**task, "display_name": name, "child_tasks": [{"pod_name": f"training-x7f2p-{number}"}]})
    return listed


class Handler(BaseHTTPRequestHandler):
    """The routes."""

    server: KfpServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        if path == "/apis/v2beta1/healthz":
            self._send(200, b'{"multi_user": false, "pipeline_store": "database"}', self.server.scenario.greeting)
        elif path == "/apis/v2beta1/experiments":
            self._answer(200, {"experiments": self._matching(query)})
        elif match := re.fullmatch(r"/apis/v2beta1/experiments/([\w-]+)", path):
            self._guard(lambda: self.server.experiments.get(match[1]) or _missing(path))
        elif match := re.fullmatch(r"/apis/v2beta1/runs/([\w-]+)", path):
            self._look(match[1])
        elif match := re.fullmatch(r"/apis/v1alpha1/runs/([\w-]+)/nodes/([\w-]+)/log", path):
            # The real one has sent its status before it looks for the pod: an error comes with 200, too.
            missing = json.dumps({"error_message": f'pods "{match[2]}" not found', "error_details": "BadRequestError"})
            self._send(200, self.server.scenario.logs.get(match[2], missing).encode(), "text/plain")
        else:
            self._answer(404, _error(5, "Not Found"))

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        routes = {"/apis/v2beta1/experiments": self.server.experiment, "/apis/v2beta1/runs": self.server.run}
        route = routes.get(urlsplit(self.path).path)
        if route is None:
            self._answer(404, _error(5, "Not Found"))
        elif self.headers.get("content-type") != "application/json":
            self._answer(415, _error(3, "Unsupported Media Type"))
        else:
            self._guard(lambda: route(json.loads(raw)))

    def _look(self, run_id: str) -> None:
        scenario = self.server.scenario
        time.sleep(scenario.silence)
        if scenario.outage > 0:
            scenario.outage -= 1
            self.close_connection = True
        elif scenario.busy:
            self._answer(scenario.busy.pop(0), _error(14, "try again"))
        else:
            self._guard(lambda: self.server.look(run_id))

    def _matching(self, query: dict[str, list[str]]) -> list[dict[str, Any]]:
        predicates = json.loads(query.get("filter", ['{"predicates": []}'])[0])["predicates"]
        names = {p.get("string_value", p.get("stringValue")) for p in predicates}
        return [entry for entry in self.server.experiments.values() if not names or entry["display_name"] in names]

    def _guard(self, action: Any) -> None:
        try:
            self._answer(200, action())
        except RefusedError as error:
            self._answer(error.status, _error(5 if error.status == 404 else 3, str(error)))
        except ValueError:
            self._answer(400, _error(3, "the body is not JSON"))

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        self._send(status, json.dumps(content).encode(), "application/json")

    def _send(self, status: int, content: bytes, kind: str) -> None:
        self.server.tokens.add(self.headers.get("authorization"))
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


def _missing(path: str) -> Any:
    raise RefusedError(404, f"{path} not found")


def _error(code: int, message: str) -> dict[str, Any]:
    return {"error": message, "message": message, "code": code, "details": []}


@contextmanager
def running(scenario: Scenario) -> Iterator[KfpServer]:
    """Serve a scenario on a free port of loopback."""
    with KfpServer(scenario) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
