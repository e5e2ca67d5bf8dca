"""A Kubernetes cluster as the tests see it: kubectl, the local overlay, pods to ask from, and loads from inside."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
LOCAL = ROOT / "kustomize" / "overlays" / "local"
NAMESPACE, SERVICE = "slipway", "digits"
#: The pod that asks, and its image.
ASKER, CLIENT = "asker", "slipway-test/client:dev"
#: What every pod of a restricted namespace has to say.
RESTRICTED = {
    "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
}  # fmt: skip
NOBODY = {
    "runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"},
}  # fmt: skip
PODS = f"serving.kserve.io/inferenceservice={SERVICE}"
RUNTIME = "slipway-onnx"
#: Where KServe notes the package that a pod is made for.
SOURCE = "internal.serving.kserve.io/storage-initializer-sourceuri"


class Cluster:
    """The cluster of ``$KUBECONFIG``.

    Args:
        folder: For what is rendered.
        images: Replacements for public images, by name.
    """

    def __init__(self, folder: Path, images: Mapping[str, str]) -> None:
        self.folder, self.images = folder, images
        #: Seconds from the apply of the local overlay to the first ready predictor.
        self.ready_after = 0.0

    # --- kubectl -----------------------------------------------------------------------------------------------------

    def run(self, *arguments: str, stdin: str | None = None, check: bool = True, seconds: int = 120) -> str:
        """Run kubectl and return what it prints; an error shows what it says."""
        done = subprocess.run(
            ["kubectl", *arguments], input=stdin, capture_output=True, text=True, timeout=seconds, check=False
        )
        if check and done.returncode:
            raise AssertionError(f"kubectl {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout if check else done.stdout + done.stderr

    def k(self, *arguments: str, **options: Any) -> str:
        """Run kubectl in the namespace."""
        return self.run("--namespace", NAMESPACE, *arguments, **options)

    def get(self, *what: str) -> dict[str, Any]:
        """Return objects of the namespace as they are."""
        found: dict[str, Any] = json.loads(self.k("get", *what, "--output", "json"))
        return found

    def pods(self, selector: str = PODS) -> list[dict[str, Any]]:
        """Return pods by labels."""
        return list(self.get("pods", "--selector", selector)["items"])

    def ready(self, selector: str = PODS) -> int:
        """Return how many pods are ready and not on their way out."""
        return sum(
            any(
                condition["type"] == "Ready" and condition["status"] == "True"
                for condition in pod["status"].get("conditions", [])
            )
            for pod in self.pods(selector)
            if "deletionTimestamp" not in pod["metadata"]
        )

    def until(self, what: str, holds: Callable[[], Any], seconds: float = 120) -> Any:
        """Wait until something holds and return it; after that time, fail and say what was waited for."""
        end = time.monotonic() + seconds
        while not (found := holds()):
            if time.monotonic() > end:
                raise AssertionError(
                    f"waited {seconds:.0f} s for {what}\n{self.k('get', 'pods,isvc', '-o', 'wide', check=False)}"
                )
            time.sleep(1)
        return found

    # --- the state ---------------------------------------------------------------------------------------------------

    def lacks(self) -> str:
        """Return what the cluster lacks to be of use, as a sentence, or nothing."""
        if "isvc" not in self.run("api-resources", "--api-group=serving.kserve.io", check=False, seconds=30):
            return f"the cluster of {os.environ['KUBECONFIG']} does not answer, or has no KServe"
        return ""

    def taken(self) -> bool:
        """Return whether there is a namespace of our name already."""
        return bool(self.run("get", "namespace", NAMESPACE, "--ignore-not-found", "--output", "name"))

    def prepare(self) -> None:
        """Make the volumes that a host-path provisioner would make for root alone, and nothing else."""
        self.clear()
        classes = json.loads(self.run("get", "storageclass", "--output", "json"))["items"]
        if any(found["provisioner"] == "kubernetes.io/host-path" for found in classes):
            self.run("apply", "--filename", "-", stdin=yaml.safe_dump_all(map(_volume, ("minio", "postgres"))))

    def clear(self) -> None:
        """Remove the namespace and what belongs to it."""
        self.run("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=180s", seconds=200)
        self.run("delete", "persistentvolume", "slipway-minio", "slipway-postgres", "--ignore-not-found", check=False)

    def overlay(self, name: str = "local", **more: Any) -> Path:
        """Return a folder to apply: an overlay with this cluster's images, and what more a test wants of it."""
        folder = self.folder / f"{name}-{len(list(self.folder.iterdir()))}"
        folder.mkdir()
        base = os.path.relpath(ROOT / "kustomize" / "overlays" / name, folder)
        images = [_image(image, replacement) for image, replacement in self.images.items()]
        content = {"resources": [base], "images": images} | more
        (folder / "kustomization.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
        return folder

    def apply_local(self) -> str:
        """Apply the local overlay."""
        return self.run("apply", "--kustomize", str(self.overlay()))

    def bring_up(self, seconds: float = 300) -> None:
        """Apply the local overlay, and wait until the InferenceService answers and the training Job is done."""
        begun, job = time.monotonic(), ("job", "train-digits")
        self.apply_local()
        self.until("the InferenceService to be ready", self.ready, seconds)
        self.ready_after = time.monotonic() - begun
        self.until("the training Job", lambda: self.get(*job).get("status", {}).get("succeeded"), seconds)

    def settle(self, seconds: float = 180) -> None:
        """Bring the local overlay back, and wait for one ready predictor that serves it."""
        self.run(
            "delete", "inferenceservice", SERVICE, "--namespace", NAMESPACE, "--ignore-not-found", check=False
        ) if not self.ready() else ""
        self.apply_local()
        self.until("settled predictors", lambda: self.rolled() and self.ready() == len(self.pods()), seconds)

    def rolled(self, count: int | None = None) -> bool:
        """Tell whether predictors run what is asked for, and nothing else: package, image, and as many as given."""
        service, runtime = self.get("inferenceservice", SERVICE), self.get("servingruntime", RUNTIME)
        deployment = self.get("deployment", f"{SERVICE}-predictor")
        spec, status, template = deployment["spec"], deployment["status"], deployment["spec"]["template"]
        counts = {status.get(name) for name in ("replicas", "updatedReplicas", "readyReplicas")}
        return (
            status.get("observedGeneration") == deployment["metadata"]["generation"]
            and counts == {count or spec["replicas"]} == {spec["replicas"]}
            and template["metadata"]["annotations"][SOURCE] == service["spec"]["predictor"]["model"]["storageUri"]
            and template["spec"]["containers"][0]["image"] == runtime["spec"]["containers"][0]["image"]
        )

    # --- asking from inside ------------------------------------------------------------------------------------------

    def asker(self) -> str:
        """Return the name of a pod that may ask predictors, made when it is first wanted."""
        if ASKER not in self.k("get", "pods", "--output", "name"):
            self.k("apply", "--filename", "-", stdin=yaml.safe_dump(_asker()))
            self.k("wait", "--for=condition=Ready", f"pod/{ASKER}", "--timeout=120s", seconds=130)
        return ASKER

    def inside(self, *command: str, stdin: str | None = None, seconds: int = 300) -> str:
        """Run a command in that pod."""
        options = ["--stdin"] if stdin is not None else []
        return self.k("exec", *options, self.asker(), "--", *command, stdin=stdin, seconds=seconds)

    def put(self, name: str, content: bytes) -> str:
        """Put a file into that pod; return its path."""
        path = f"/tmp/{name}"
        self.inside(
            "python3", "-c", f"import sys; open({path!r}, 'wb').write(sys.stdin.buffer.read())", stdin=content.decode()
        )
        return path

    def load(
        self, body: bytes, seconds: float, clients: int, pause_ms: float = 0, model: str = SERVICE, fresh: int = 50
    ) -> "Load":
        """Start a load on the InferenceService from inside, through its Service; see ``images/client/load.py``."""
        path = self.put(f"body-{len(body)}.json", body)
        url = f"http://{model}-predictor/v2/models/{model}/infer"
        command = ["python3", "/app/load.py", url, path, str(seconds), str(clients), str(pause_ms), str(fresh)]
        return Load(
            subprocess.Popen(
                ["kubectl", "--namespace", NAMESPACE, "exec", "--stdin", self.asker(), "--", *command],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            ),
            seconds,
        )  # fmt: skip


class Load:
    """A load that runs, and how it went."""

    def __init__(self, process: "subprocess.Popen[str]", seconds: float) -> None:
        self._process, self._seconds = process, seconds

    @property
    def running(self) -> bool:
        """Whether it still asks."""
        return self._process.poll() is None

    def stop(self) -> dict[str, Any]:
        """End it before its time and return what it found."""
        if self._process.stdin:
            self._process.stdin.close()
        return self.result()

    def result(self) -> dict[str, Any]:
        """Wait for its end and return what it found."""
        # Not communicate(), which would close its standard input and so end it; what it prints is short.
        self._process.wait(timeout=self._seconds + 60)
        with self._process:
            assert self._process.stdout and self._process.stderr
            output, errors = self._process.stdout.read(), self._process.stderr.read()
        if self._process.returncode:
            raise AssertionError(f"the load ended with {self._process.returncode}: {errors[-2000:]}")
        found: dict[str, Any] = json.loads(output)
        return found


def request(rows: int = 1) -> bytes:
    """Return a body that asks the digits model about so many rows."""
    example = [0, 0, 5, 13, 9, 1, 0, 0, 0, 0, 13, 15, 10, 15, 5, 0, 0, 3, 15, 2, 0, 11, 8, 0, 0, 4, 12, 0, 0, 8, 8, 0]
    example += [0, 5, 8, 0, 0, 9, 8, 0, 0, 4, 11, 0, 1, 12, 7, 0, 0, 2, 14, 5, 10, 12, 0, 0, 0, 0, 6, 13, 10, 0, 0, 0]
    tensor = {"name": "image", "shape": [rows, 8, 8], "datatype": "FP32", "data": example * rows}
    return json.dumps({"inputs": [tensor]}).encode()


def _image(image: str, replacement: str) -> dict[str, str]:
    name, _, tag = replacement.rpartition(":")
    return {"name": image, "newName": name, "newTag": tag}


def _volume(name: str) -> dict[str, Any]:
    path = Path("/var/tmp/slipway-volumes") / name  # on the node, which is this machine
    subprocess.run(["rm", "-rf", str(path)], check=True)
    path.mkdir(parents=True)
    path.chmod(0o777)
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": NAMESPACE, "name": f"data-{name}-0"}
    return {
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": f"slipway-{name}"},
        "spec": {
            "capacity": {"storage": "20Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "standard",
            "persistentVolumeReclaimPolicy": "Retain", "claimRef": claim,
            "hostPath": {"path": str(path), "type": "Directory"},
        },
    }  # fmt: skip


def _asker() -> dict[str, Any]:
    """Return a pod that may ask predictors: it carries the label for that, and keeps to the rules of the namespace."""
    container = {
        "name": "asker", "image": CLIENT, "imagePullPolicy": "IfNotPresent", "securityContext": RESTRICTED,
        "resources": {"requests": {"cpu": "50m", "memory": "256Mi"}, "limits": {"memory": "512Mi"}},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # in the pod
    }  # fmt: skip
    return {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": ASKER, "labels": {"slipway.dev/predictor": "client"}},
        "spec": {
            "terminationGracePeriodSeconds": 1, "automountServiceAccountToken": False, "containers": [container],
            "securityContext": NOBODY,
            "volumes": [{"name": "tmp", "emptyDir": {}}],
        },
    }  # fmt: skip
