"""Write the pods of a namespace as targets into a file, again every second: discover.py NAMESPACE FILE.

Debian builds Prometheus without discovery in Kubernetes. This finds what that would find, under the same names, with
the rights of the pod's service account.
"""

import json
import os
import re
import ssl
import sys
import time
from collections.abc import Iterator
from http import HTTPStatus
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
META = "__meta_kubernetes_"


def main(namespace: str, file: Path) -> None:
    """Write for as long as the process lives; a question that fails is asked again."""
    while True:
        try:
            found = [target for pod in pods(namespace) for target in targets(pod)]
            new = file.with_suffix(".new")
            new.write_text(json.dumps(found))
            new.rename(file)
        except (OSError, HTTPException) as error:
            print(f"the API server does not answer: {error}", file=sys.stderr, flush=True)
        time.sleep(1)


def pods(namespace: str) -> list[dict[str, Any]]:
    """Ask the API server."""
    trusted = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], int(os.environ["KUBERNETES_SERVICE_PORT"])
    server = HTTPSConnection(host, port, context=trusted, timeout=10)
    try:
        token = (ACCOUNT / "token").read_text()
        server.request("GET", f"/api/v1/namespaces/{namespace}/pods", headers={"authorization": f"Bearer {token}"})
        answer = server.getresponse()
        content = answer.read()
        if answer.status != HTTPStatus.OK:
            raise HTTPException(f"{answer.status}: {content[:200]!r}")
        return list(json.loads(content)["items"])
    finally:
        server.close()


def targets(pod: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a target for each port of a pod."""
    if not (address := pod["status"].get("podIP")):
        return
    about = pod["metadata"]
    labels = {"namespace": about["namespace"], "pod_name": about["name"], "pod_phase": pod["status"]["phase"]}
    for name, value in about.get("labels", {}).items():
        plain = re.sub(r"[^0-9A-Za-z_]", "_", name)
        labels |= {f"pod_label_{plain}": value, f"pod_labelpresent_{plain}": "true"}
    for container in pod["spec"]["containers"]:
        for port in container.get("ports", []):
            named = labels | {"pod_container_port_name": port.get("name", "")}
            yield {
                "targets": [f"{address}:{port['containerPort']}"],
                "labels": {META + name: value for name, value in named.items()},
            }


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
