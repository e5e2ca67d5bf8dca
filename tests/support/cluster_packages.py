"""Packages in the object store of a cluster: trained there beside the one of the overlay, or broken on purpose.

All of it happens in a pod with the trainer's image, credentials and labels, so it goes the way that training goes.
"""

import json
import re
from typing import Any

import yaml
from cluster import NOBODY, RESTRICTED, Cluster

PUBLISHER = "publisher"
IMAGE = "slipway/component:0.1.0"

#: Copies a package to another address, with one byte of a file changed if one is named.
COPY = """
import io, os, sys
from urllib.parse import urlsplit
from minio import Minio
source, target, changed = sys.argv[1:]
store = Minio(endpoint=urlsplit(os.environ["AWS_ENDPOINT_URL"]).netloc, secure=False,
              access_key=os.environ["AWS_ACCESS_KEY_ID"], secret_key=os.environ["AWS_SECRET_ACCESS_KEY"])
for found in list(store.list_objects(bucket_name="models", prefix=source)):
    name = found.object_name.rpartition("/")[2]
    content = bytearray(store.get_object(bucket_name="models", object_name=found.object_name).read())
    if name == changed:
        content[len(content) // 2] ^= 1
    store.put_object(bucket_name="models", object_name=target + name, data=io.BytesIO(content), length=len(content))
    print(name)
"""

#: Prints one golden example of a package: the input, the output, and the label that they stand for.
GOLDEN = """
import json, pathlib, sys, tempfile
from components.fetch import fetch
with tempfile.TemporaryDirectory() as folder:
    package = fetch(sys.argv[1], pathlib.Path(folder))
    (image,), (answer,) = (part.values() for part in (package.golden().inputs, package.golden().outputs))
label = package.descriptor.labels[int(answer[0].argmax())]
print(json.dumps({"image": image[0].ravel().tolist(), "probabilities": answer[0].tolist(), "label": label}))
"""


def address(digest: str, name: str = "digits") -> str:
    """Return the place of a package below the bucket."""
    return f"{name}/sha256-{digest}/"


class Publisher:
    """A pod that trains and publishes as the training Job does.

    Args:
        cluster: With the local overlay applied.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def start(self) -> None:
        """Make the pod."""
        self._cluster.k("apply", "--filename", "-", stdin=yaml.safe_dump(_pod()))
        self._cluster.k("wait", "--for=condition=Ready", f"pod/{PUBLISHER}", "--timeout=120s", seconds=130)

    def stop(self) -> None:
        """Remove it."""
        self._cluster.k("delete", "pod", PUBLISHER, "--ignore-not-found", "--wait=false")

    def run(self, *command: str, stdin: str | None = None) -> str:
        """Run a command in the pod."""
        options = ["--stdin"] if stdin is not None else []
        return self._cluster.k("exec", *options, PUBLISHER, "--", *command, stdin=stdin, seconds=300)

    def slipway(self, *arguments: str) -> str:
        """Run the command line in the pod, with the cluster's MLflow."""
        return self.run("python3", "-m", "pipelines", *arguments)

    def train(self, *settings: str, config: str = "digits") -> str:
        """Train a variant and publish it, unknown to MLflow; return its digest."""
        told = self.run(
            "env", "MLFLOW_TRACKING_URI=none", "python3", "-m", "pipelines", "run", f"configs/{config}.yaml",
            *(f"--set={setting}" for setting in settings),
        )  # fmt: skip
        found = re.search(r"^package +s3://models/.+/sha256-([0-9a-f]{64})/$", told, re.MULTILINE)
        assert found, told
        return found[1]

    def copy(self, source: str, target: str, changed: str = "") -> None:
        """Put the files of a package at another address, with one byte of one file changed if it is named."""
        self.run("python3", "-", source, target, changed, stdin=COPY)

    def golden(self, digest: str) -> dict[str, Any]:
        """Return a golden example of a package: ``image``, ``probabilities`` and ``label``."""
        told = self.run("python3", "-", f"s3://models/{address(digest)}", stdin=GOLDEN)
        found: dict[str, Any] = json.loads(told.splitlines()[-1])
        return found


def _pod() -> dict[str, Any]:
    container = {
        "name": PUBLISHER, "image": IMAGE, "command": ["sleep", "infinity"], "securityContext": RESTRICTED,
        "envFrom": [{"configMapRef": {"name": "slipway"}}, {"secretRef": {"name": "slipway"}}],
        "resources": {"requests": {"cpu": "50m", "memory": "256Mi"}, "limits": {"memory": "2Gi"}},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # in the pod
    }  # fmt: skip
    labels = {"slipway.dev/object-store": "client", "slipway.dev/mlflow": "client"}
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": PUBLISHER, "labels": labels},
        "spec": {
            "terminationGracePeriodSeconds": 1, "automountServiceAccountToken": False, "enableServiceLinks": False,
            "containers": [container],
            "securityContext": NOBODY,
            "volumes": [{"name": "tmp", "emptyDir": {}}],
        },
    }  # fmt: skip
