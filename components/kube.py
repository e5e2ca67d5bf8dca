"""The API server of a cluster: JSON in, JSON out, each call within seconds.

The only module that imports kubernetes, whose client knows every kind of kubeconfig, and a pod's own account. Refused:
a call without a kubeconfig and outside a pod. For ``components/machines`` and for ``doctor`` and ``promote`` of the
command line.
"""

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import urllib3

from components.errors import SlipwayError

CONNECT_SECONDS, READ_SECONDS = 3.0, 10.0
FORBIDDEN, NOT_FOUND, CONFLICT = 403, 404, 409
APPLY, MERGE, JSON = "application/apply-patch+yaml", "application/merge-patch+json", "application/json"
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
Json = dict[str, Any]


class NoClusterError(SlipwayError):
    """Nothing names a cluster."""


class ClusterError(SlipwayError):
    """The API server refused, or can't be reached.

    Attributes:
        status: HTTP's; 0 where there was no answer.
        body: What the server said, as JSON; empty where it was none.
    """

    def __init__(self, message: str, status: int = 0, body: Json | None = None) -> None:
        super().__init__(message)
        self.status, self.body = status, body or {}


class Cluster:
    """A connection to an API server.

    Args:
        client: An ``ApiClient`` of kubernetes.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self.url = str(client.configuration.host)

    @classmethod
    def connect(cls) -> "Cluster":
        """Use ``KUBECONFIG`` or ``~/.kube/config``, else the account of the pod that this runs in.

        Raises:
            NoClusterError: There is none of them.
            ClusterError: The kubeconfig is broken.
        """
        import kubernetes  # type: ignore[import-untyped]  # it comes without types

        file = os.environ.get("KUBECONFIG") or str(Path("~/.kube/config").expanduser())
        try:
            if any(Path(part).is_file() for part in file.split(os.pathsep)):
                return cls(kubernetes.config.new_client_from_config(config_file=file, persist_config=False))
            if ACCOUNT.is_file():
                settings = kubernetes.client.Configuration()
                kubernetes.config.load_incluster_config(client_configuration=settings)
                return cls(kubernetes.client.ApiClient(settings))
        except kubernetes.config.ConfigException as error:
            raise ClusterError(f"the kubeconfig {file} can't be used: {error}; kubectl config view shows it") from None
        raise NoClusterError(f"there is no kubeconfig {file}, and this is no pod; set KUBECONFIG")

    def get(self, path: str, **query: str) -> Json:
        """Return an object.

        Raises:
            ClusterError: There is none, it is forbidden, or the server can't be reached.
        """
        found: Json = self._parsed(path, self._send("GET", path, query))
        return found

    def find(self, path: str, **query: str) -> Json | None:
        """Return an object, None where there is none."""
        try:
            return self.get(path, **query)
        except ClusterError as error:
            if error.status == NOT_FOUND:
                return None
            raise

    def items(self, path: str, **query: str) -> list[Json]:
        """Return the objects of a collection."""
        return list(self.get(path, **query).get("items") or [])

    def text(self, path: str, **query: str) -> str:
        """Return an answer that is no JSON, such as a log."""
        return self._send("GET", path, query).decode("utf-8", errors="replace")

    def apply(self, path: str, fields: Json, manager: str, *, force: bool = False, dry_run: bool = False) -> Json:
        """Apply fields on the server's side, and take none from another manager unless by force.

        Raises:
            ClusterError: Its status is ``CONFLICT`` where another manager owns a field.
        """
        query = {"fieldManager": manager, "force": str(force).lower(), **({"dryRun": "All"} if dry_run else {})}
        return self._parsed(path, self._send("PATCH", path, query, fields, APPLY))

    def create(self, path: str, content: Json) -> Json:
        """Create an object in a collection.

        Raises:
            ClusterError: Its status is ``CONFLICT`` where there is one of this name.
        """
        return self._parsed(path, self._send("POST", path, {}, content))

    def merge(self, path: str, fields: Json) -> Json:
        """Lay fields over an object; a list is replaced as a whole."""
        return self._parsed(path, self._send("PATCH", path, {}, fields, MERGE))

    def delete(self, path: str, **query: str) -> None:
        """Delete an object; one that is not there is deleted already."""
        try:
            self._send("DELETE", path, query)
        except ClusterError as error:
            if error.status != NOT_FOUND:
                raise

    def _send(
        self, method: str, path: str, query: dict[str, str], content: Json | None = None, kind: str = JSON
    ) -> bytes:
        headers = {"Accept": "application/json, */*", "User-Agent": "slipway"}
        body = None if content is None else json.dumps(content).encode()
        if body is not None:
            headers["Content-Type"] = kind
        self._client.update_params_for_auth(headers, [], ["BearerToken"])
        target = f"{self.url}{quote(path, safe='/:')}{'?' + urlencode(query) if query else ''}"
        timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
        try:
            answer = self._client.rest_client.pool_manager.request(
                method, target, body=body, headers=headers, timeout=timeout, retries=False
            )
        except urllib3.exceptions.HTTPError as error:
            raise ClusterError(
                f"the API server {self.url} can't be reached ({type(error).__name__}); check the kubeconfig, the VPN "
                "and that the cluster runs"
            ) from None
        if answer.status >= 300:  # noqa: PLR2004 (HTTP: no success)
            raise _refusal(method, path, answer.status, answer.data)
        return bytes(answer.data)

    def _parsed(self, path: str, raw: bytes) -> Json:
        try:
            found: Json = json.loads(raw)
        except ValueError:
            raise ClusterError(f"{self.url}{path} answered no JSON; check that it is an API server") from None
        return found


def _refusal(method: str, path: str, status: int, raw: bytes) -> ClusterError:
    try:
        body = json.loads(raw)
    except ValueError:
        body = {}
    body = body if isinstance(body, dict) else {}
    told = body.get("message") or raw.decode("utf-8", errors="replace")[:200].strip() or f"status {status}"
    advice = "give this account the right" if status in (401, FORBIDDEN) else "see kubectl get --raw"
    return ClusterError(f"{method} {path}: {told}; {advice}", status, body)
