"""Training on two machines by Kubeflow Trainer: one is lost and costs no byte, and a cancelled run leaves none.

Needs torch in the steps' image: ``SLIPWAY_CLUSTER_TORCH`` names one that the nodes have (as shipped,
``slipway/component-gpu:0.1.0``), or a folder of the one node with the libraries of a Python that has torch.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster import NAMESPACE, ROOT, Cluster
from cluster_packages import IMAGE, Publisher

NAME, JOB = "digits-machines", "train-machines"
TORCH = os.environ.get("SLIPWAY_CLUSTER_TORCH", "slipway/component-gpu:0.1.0")
MACHINES = "app.kubernetes.io/name=training-machine"
SETTINGS = (
    f"name={NAME}", "train.model=mnist_cnn", "train.processes=2", "train.threads=1", "train.device=cpu",
    "train.checkpoint_seconds=1", "gate.minimum=0.5",
)  # fmt: skip
Json = dict[str, Any]

pytestmark = pytest.mark.minutes


@pytest.fixture(scope="module")
def machines(applied: Cluster) -> Iterator[Cluster]:
    """The cluster with our TrainingRuntime and the rights to it."""
    if "trainjobs" not in applied.run("api-resources", "--api-group=trainer.kubeflow.org", check=False, seconds=30):
        pytest.skip("the cluster has no Kubeflow Trainer")
    made = [
        each for each in rendered(applied) if each["metadata"]["name"] in ("slipway", "trainer", "training-machines")
    ]
    made = [each for each in made if each["kind"] in ("TrainingRuntime", "Role", "RoleBinding", "NetworkPolicy")]
    for each in made:
        if each["kind"] == "TrainingRuntime":
            (job,) = each["spec"]["template"]["spec"]["replicatedJobs"]
            give_torch(job["template"]["spec"]["template"]["spec"])
    applied.run("apply", "--filename", "-", stdin=yaml.safe_dump_all([*made, *libraries()]))
    yield applied
    applied.run("delete", "--ignore-not-found", "--filename", "-", stdin=yaml.safe_dump_all([*made, *libraries()]))


@pytest.fixture
def job(machines: Cluster) -> Iterator[Any]:
    """Starts a Job that trains; it is gone afterwards."""
    (given,) = [
        each for each in rendered(machines) if each["kind"] == "Job" and each["metadata"]["name"] == "train-digits"
    ]

    def start(*settings: str) -> None:
        wanted = deepcopy(given)
        wanted["metadata"] = {"name": JOB, "namespace": NAMESPACE}
        wanted["spec"]["backoffLimit"] = 0
        pod = wanted["spec"]["template"]["spec"]
        (container,) = [each for each in pod.pop("initContainers") if each["name"] == "train"]
        container["args"] = ["run", "configs/digits.yaml", *(f"--set={each}" for each in (*SETTINGS, *settings))]
        pod |= {"containers": [container], "restartPolicy": "Never"}
        give_torch(pod)
        machines.run("apply", "--filename", "-", stdin=yaml.safe_dump(wanted))

    yield start
    machines.k("delete", "job", JOB, "--ignore-not-found", "--cascade=foreground", "--timeout=120s", seconds=130)


def rendered(cluster: Cluster) -> list[Json]:
    """Return what the local overlay is with the component for machines."""
    component = os.path.relpath(ROOT / "kustomize" / "components" / "trainer", cluster.folder / "x")
    folder = cluster.overlay(namespace=NAMESPACE, components=[component])
    return list(yaml.safe_load_all(cluster.run("kustomize", str(folder))))


def give_torch(pod: Json) -> None:
    """Let the containers of a pod have torch."""
    for container in pod["containers"]:
        if not TORCH.startswith("/"):
            container["image"] = TORCH
            continue
        container["image"] = IMAGE
        container.setdefault("env", []).append({"name": "PYTHONPATH", "value": "/app:/torch"})
        container["volumeMounts"].append({"name": "torch", "mountPath": "/torch", "readOnly": True})
    if TORCH.startswith("/"):
        pod["volumes"].append({"name": "torch", "persistentVolumeClaim": {"claimName": "torch", "readOnly": True}})


def libraries() -> list[Json]:
    """Return the volume of the folder with torch, where it is one."""
    if not TORCH.startswith("/"):
        return []
    plain = {"accessModes": ["ReadOnlyMany"], "storageClassName": ""}
    path = {"path": str(Path(TORCH).resolve()), "type": "Directory"}
    volume = {"capacity": {"storage": "10Gi"}, "hostPath": path, "claimRef": {"namespace": NAMESPACE, "name": "torch"}}
    claim = {"resources": {"requests": {"storage": "10Gi"}}, "volumeName": "slipway-torch"}
    return [
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "slipway-torch"}, "spec": plain | volume},
        {
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"name": "torch", "namespace": NAMESPACE}, "spec": plain | claim,
        },
    ]  # fmt: skip


def log(cluster: Cluster) -> str:
    return cluster.k("logs", f"job/{JOB}", check=False)


def heard(cluster: Cluster, pattern: str) -> bool:
    """Return whether the Job says something; one that fails has no more to say."""
    told = log(cluster)
    assert "failed" not in cluster.get("job", JOB).get("status", {}), told
    return bool(re.search(pattern, told))


def train_jobs(cluster: Cluster) -> list[Json]:
    return list(cluster.get("trainjobs.trainer.kubeflow.org")["items"])


def alone(folder: Path, *settings: str) -> str:
    """Train on this machine with as many processes, undisturbed, and return the digest."""
    own = {key: value for key, value in os.environ.items() if not key.startswith(("SLIPWAY_", "MLFLOW_", "AWS_"))}
    done = subprocess.run(
        [sys.executable, "-m", "pipelines", "run", "configs/digits.yaml"]
        + [f"--set={each}" for each in (*SETTINGS, *settings)],
        env={**own, "SLIPWAY_HOME": str(folder)}, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return re.search(r"/sha256-([0-9a-f]{64})/", done.stdout)[1]


def test_a_machine_that_is_lost_costs_no_byte(machines, job, tmp_path):
    settings = ("train.epochs=12",)
    job("train.machines=2", "train.device=cpu", *settings)
    machines.until("the third epoch", lambda: heard(machines, r"epoch 3\b"), 300)
    victim = next(
        pod["metadata"]["name"] for pod in machines.pods(MACHINES)
        if pod["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"] == "1"
    )  # fmt: skip
    machines.k("delete", "pod", victim, "--wait=false")
    machines.until("the end", lambda: {"succeeded", "failed"} & set(machines.get("job", JOB).get("status", {})), 600)
    told = log(machines)
    print(told)
    assert told.splitlines()[-1] == "passed"
    assert "a machine was lost; attempt 2 goes on from the last checkpoint" in told
    digest = re.search(rf"s3://models/{NAME}/sha256-([0-9a-f]{{64}})/", told)[1]
    assert train_jobs(machines) == [] and machines.pods(MACHINES) == []
    asker = Publisher(machines)
    asker.start()
    try:
        assert "whole" in asker.slipway("verify", f"s3://models/{NAME}/sha256-{digest}/")
    finally:
        asker.stop()
    if sys.version_info[:2] == (3, 11):  # the image's; another one is another environment, and so another digest
        assert digest == alone(tmp_path, *settings)


@pytest.mark.parametrize("how", ["the Job is deleted", "the pod of the step is gone without a word"])
def test_a_run_that_is_cancelled_takes_its_machines_with_it(machines, job, how):
    job("train.machines=2", "train.device=cpu", "train.epochs=500", "train.patience=500", "seed=1")
    machines.until("an epoch", lambda: heard(machines, r"epoch \d+/500"), 300)
    (found,) = train_jobs(machines)
    (owner,) = found["metadata"]["ownerReferences"]
    if how == "the Job is deleted":
        machines.k("delete", "job", JOB, "--cascade=background")
    else:
        machines.k("delete", "pod", owner["name"], "--force", "--grace-period=0")
    machines.until("the machines to be gone", lambda: not train_jobs(machines) and not machines.pods(MACHINES), 180)
