"""An API server of Kubernetes on loopback, as far as a client of a few objects can tell.

It keeps objects as JSON by their path, answers lists with selectors, logs and the proxy, and applies on the server's
side with field managers and conflicts as the real one does. It runs no controller: what those would do is the test's
scenario, set in :attr:`KubeServer.applied` and :attr:`KubeServer.before`.
"""

import copy
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

Json = dict[str, Any]
CORE = {"configmaps", "events", "namespaces", "pods", "secrets", "serviceaccounts"}
COLLECTION = re.compile(r"/(\w+)$")
KINDS = CORE | {
    "clusterstoragecontainers", "deployments", "inferenceservices", "replicasets", "statefulsets", "storageclasses",
    "trainjobs",
}  # fmt: skip


class KubeServer(ThreadingHTTPServer):
    """The server.

    Attributes:
        objects: By path.
        texts: Logs by path and container, like ``/api/v1/namespaces/n/pods/p/log?container=c``.
        lines: Logs by the same, as lines with the times at which they were written, for who asks for times.
        forbidden: Pattern of the paths that this account may not use.
        unknown: Pattern of the paths whose kinds this cluster does not have.
        outage: So many of the next requests are answered that the server is not available.
        before: Called with the server and each request, as method and path, before it is answered.
        broken: The error with which that ended; every request is refused from then on.
        applied: Called with the server after an object was applied: what controllers do then.
        owners: Which manager owns which field, by path of the object.
        asked: Every request, as method and path.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.objects: dict[str, Json] = {}
        self.texts: dict[str, str] = {}
        self.lines: dict[str, list[tuple[str, str]]] = {}
        self.forbidden = self.unknown = r"(?!)"
        self.outage = 0
        self.broken = ""
        self.before: Callable[[KubeServer, str], None] = lambda *_: None
        self.applied: Callable[[KubeServer], None] = lambda _: None
        self.owners: dict[str, dict[str, str]] = {}
        self.asked: list[str] = []
        self.tokens: set[str | None] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def put(self, path: str, content: Json) -> Json:
        """Keep an object; its metadata are completed from its path."""
        kept = copy.deepcopy(content)
        metadata = kept.setdefault("metadata", {})
        metadata.setdefault("name", path.rpartition("/")[2])
        metadata.setdefault("uid", f"uid-of-{path}")
        if match := re.search(r"/namespaces/([\w-]+)/", path):
            metadata.setdefault("namespace", match[1])
        self.objects[path] = kept
        return kept

    def log(self, place: str, query: dict[str, list[str]]) -> str | None:
        """Return a log; times, and from when on in whole seconds, as kubelet does."""
        if place not in self.lines:
            return self.texts.get(place)
        since = query.get("sinceTime", [""])[0][:19]
        mark = query.get("timestamps") == ["true"]
        return "".join(
            f"{moment} {text}\n" if mark else f"{text}\n" for moment, text in self.lines[place] if moment >= since
        )

    def list(self, path: str, query: dict[str, list[str]]) -> Json:
        inside = [o for key, o in self.objects.items() if key.rpartition("/")[0] == path]
        for labels in query.get("labelSelector", []):
            wanted = dict(pair.split("=") for pair in labels.split(","))
            inside = [o for o in inside if wanted.items() <= (o["metadata"].get("labels") or {}).items()]
        for fields in query.get("fieldSelector", []):
            inside = [o for o in inside if all(_at(o, *pair.split("=")) for pair in fields.split(","))]
        return {"kind": "List", "items": inside}

    def create(self, collection: str, content: Json) -> tuple[int, Json]:
        """Create: a name that is taken is a conflict."""
        path = f"{collection}/{content['metadata']['name']}"
        if path in self.objects:
            return 409, _status(409, "AlreadyExists", f"{path} already exists")
        return 201, self.put(path, content)

    def apply(self, path: str, fields: Json, manager: str, *, force: bool, dry_run: bool) -> tuple[int, Json]:
        """Apply: unless by force, another manager's other value is a conflict; so is a uid that no object has."""
        live = self.objects.get(path)
        if live is None or fields["metadata"].get("uid") not in (None, live["metadata"]["uid"]):
            return 409, _status(409, "Conflict", "uid mismatch: no existing object was found")
        leaves, owners = dict(_leaves(fields["spec"], ".spec")), self.owners.setdefault(path, {})
        held = dict(_leaves(live["spec"], ".spec"))
        conflicts = [f for f, v in leaves.items() if owners.get(f, manager) != manager and held.get(f) != v]
        if conflicts and not force:
            causes = [
                {"reason": "FieldManagerConflict", "field": field, "message": f'conflict with "{owners[field]}"'}
                for field in conflicts
            ]
            told = f"Apply failed with {len(causes)} conflicts"
            return 409, _status(409, "Conflict", told, {"causes": causes})
        changed = copy.deepcopy(live)
        _merge(changed["spec"], fields["spec"])
        if not dry_run:
            changed["metadata"]["generation"] += changed["spec"] != live["spec"]
            self.objects[path] = changed
            owners.update(dict.fromkeys(leaves, manager))
            self.applied(self)
        return 200, changed


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield the fields of an object; a list whose entries have names is keyed by them."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(inner, f"{path}.{name}")
    elif isinstance(value, list) and all(isinstance(entry, dict) and "name" in entry for entry in value):
        for entry in value:
            yield from _leaves(entry, f'{path}[name="{entry["name"]}"]')
    else:
        yield path, value


def _merge(live: Json, fields: Json) -> None:
    for name, value in fields.items():
        if isinstance(value, dict):
            _merge(live.setdefault(name, {}), value)
        elif isinstance(value, list):
            names = {entry["name"] for entry in value}
            live[name] = [entry for entry in live.get(name) or [] if entry["name"] not in names] + value
        else:
            live[name] = value


def _at(value: Any, path: str, wanted: str) -> bool:
    for name in path.split("."):
        value = value.get(name, {})
    return value == wanted


def _status(code: int, reason: str, message: str, details: Json | None = None) -> Json:
    return {
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message,
        **({"details": details} if details else {}),
    }  # fmt: skip


class Handler(BaseHTTPRequestHandler):
    """The routes."""

    server: KubeServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path, query = self._asked()
        found = self.server.objects.get(path)
        if path.endswith("/log"):
            text = self.server.log(f"{path}?container={query['container'][0]}", query)
            return self._answer(*((200, text) if text is not None else (404, _status(404, "NotFound", "no log"))))
        if found is None and (match := COLLECTION.search(path)) and match[1] in KINDS:
            return self._answer(200, self.server.list(path, query))
        return self._answer(*((200, found) if found else (404, _status(404, "NotFound", f"{path} not found"))))

    def do_PATCH(self) -> None:
        path, query = self._asked()
        fields = self._content()
        if self.headers["content-type"] == "application/merge-patch+json" and path in self.server.objects:
            self.server.objects[path]["metadata"].update(fields["metadata"])
            return self._answer(200, self.server.objects[path])
        if self.headers["content-type"] != "application/apply-patch+yaml":
            return self._answer(415, _status(415, "UnsupportedMediaType", "this is no apply"))
        force, dry_run = query.get("force") == ["true"], query.get("dryRun") == ["All"]
        return self._answer(*self.server.apply(path, fields, query["fieldManager"][0], force=force, dry_run=dry_run))

    def do_POST(self) -> None:
        path, _ = self._asked()
        content = self._content()
        if self._refused(path):
            return self._answer(0, {})
        return self._answer(*self.server.create(path, content))

    def do_DELETE(self) -> None:
        path, _ = self._asked()
        if self._refused(path):
            return self._answer(0, {})
        found = self.server.objects.pop(path, None)
        return self._answer(*((200, found) if found else (404, _status(404, "NotFound", f"{path} not found"))))

    def _content(self) -> Json:
        content: Json = json.loads(self.rfile.read(int(self.headers["content-length"])))
        return content

    def _refused(self, path: str) -> bool:
        return self.server.outage > 0 or any(
            re.search(each, path) for each in (self.server.forbidden, self.server.unknown)
        )

    def _asked(self) -> tuple[str, dict[str, list[str]]]:
        parts = urlsplit(self.path)
        self.server.asked.append(f"{self.command} {unquote(parts.path)}")
        try:
            self.server.before(self.server, self.server.asked[-1])
        except Exception as error:  # noqa: BLE001 (whatever is wrong with a test must not look like an outage)
            self.server.broken = repr(error)
        self.server.tokens.add(self.headers.get("authorization"))
        return unquote(parts.path), parse_qs(parts.query)

    def _answer(self, status: int, content: Json | str) -> None:
        path = unquote(urlsplit(self.path).path)
        if re.search(self.server.forbidden, path):
            status, content = 403, _status(403, "Forbidden", f"{path} is forbidden: no rule allows it")
        if re.search(self.server.unknown, path):
            status, content = 404, "404 page not found\n"
        if self.server.broken:
            status, content = 400, _status(400, "BadRequest", f"the scene of this test broke: {self.server.broken}")
        elif self.server.outage:
            self.server.outage -= 1
            status, content = 503, _status(503, "ServiceUnavailable", "the server is currently unavailable")
        raw = (content if isinstance(content, str) else json.dumps(content)).encode()
        self.send_response(status)
        self.send_header("content-type", "text/plain" if isinstance(content, str) else "application/json")
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@contextmanager
def running(folder: Path) -> Iterator[KubeServer]:
    """Serve nothing yet on a free port of loopback; ``folder`` gets a kubeconfig of that name."""
    with KubeServer() as server:
        (folder / "kubeconfig").write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "here",
                    "clusters": [{"name": "here", "cluster": {"server": server.url}}],
                    "users": [{"name": "me", "user": {"token": "a-token"}}],
                    "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
                }
            )
        )
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
