"""One apply of the local overlay: all of it comes up on its own, a second one changes nothing, and bytes agree."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime

import pytest
from cluster import NAMESPACE, Cluster
from cluster_packages import Publisher
from cluster_rollouts import served


@pytest.fixture(scope="module")
def publisher(applied: Cluster) -> Iterator[Publisher]:
    """A pod that may ask the cluster's MLflow."""
    found = Publisher(applied)
    found.start()
    yield found
    found.stop()


def test_one_apply_makes_everything_ready_without_a_hand(applied):
    job = applied.get("job", "train-digits")["status"]
    begun = json.loads(applied.run("get", "namespace", NAMESPACE, "--output", "json"))["metadata"]["creationTimestamp"]
    trained = datetime.fromisoformat(job["completionTime"]) - datetime.fromisoformat(begun)
    print(
        f"one apply of the local overlay: ready predictor after {applied.ready_after:.0f} s; from the namespace to the "
        f"end of the training Job {trained.total_seconds():.0f} s"
    )
    for what in ("statefulset/minio", "statefulset/postgres", "deployment/mlflow", "deployment/digits-predictor"):
        applied.k("rollout", "status", what, "--timeout=120s", seconds=130)
    conditions = {
        each["type"]: each["status"] for each in applied.get("inferenceservice", "digits")["status"]["conditions"]
    }
    assert conditions["Ready"] == "True"
    assert job["succeeded"] == 1


def versions(cluster: Cluster, folder: str) -> dict[tuple[str, str], str]:
    """Return of each object that an overlay names what changes with what it asks for, and not with its status."""
    found = json.loads(cluster.run("get", "--kustomize", folder, "--output", "json"))["items"]
    return {
        (each["kind"], each["metadata"]["name"]): str(
            each["metadata"].get("generation", each["metadata"]["resourceVersion"])
        )
        for each in found
    }


def test_a_second_apply_changes_nothing(settled):
    folder = str(settled.overlay())
    settled.run("diff", "--kustomize", folder)  # it ends with 1 where something differs
    before = versions(settled, folder)
    settled.run("apply", "--kustomize", folder)
    assert versions(settled, folder) == before
    assert len(before) > 30


def test_the_training_job_passes_the_gate_and_publishes_what_the_overlay_asks_for(applied):
    log = applied.k("logs", "job/train-digits", "--container", "train")
    assert log.splitlines()[-1] == "passed"
    assert f"s3://models/digits/sha256-{served(applied)}/" in log
    promoted = applied.k("logs", "job/train-digits", "--container", "promote")
    assert promoted.splitlines()[-1] == f"serving   sha256:{served(applied)}"


def test_mlflow_in_the_cluster_knows_the_version_by_its_digest(applied, publisher):
    told = publisher.slipway("models", "digits")
    assert re.search(rf"^digits +\d+ +.*champion.* {served(applied)[:12]} ", told, re.MULTILINE), told
    assert served(applied) in publisher.slipway("trace", "digits@champion")


def test_the_trainer_may_not_take_a_package_away(publisher):
    remove = (
        "import os; from minio import Minio; "
        "s = Minio(endpoint='object-store:9000', secure=False, access_key=os.environ['AWS_ACCESS_KEY_ID'], "
        "secret_key=os.environ['AWS_SECRET_ACCESS_KEY']); "
        "f = next(s.list_objects(bucket_name='models', prefix='digits/sha256-', recursive=True)); "
        "s.remove_object(bucket_name='models', object_name=f.object_name)"
    )
    with pytest.raises(AssertionError, match="AccessDenied"):
        publisher.run("python3", "-c", remove)


@pytest.mark.slow
@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the component image has Python 3.11; this is another one")
def test_training_in_the_cluster_gives_the_bytes_of_a_laptop(applied, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "pipelines", "run", "configs/digits.yaml"],
        env={key: value for key, value in os.environ.items() if not key.startswith(("SLIPWAY_", "MLFLOW_", "AWS_"))}
        | {"SLIPWAY_HOME": str(tmp_path)},
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"/digits/sha256-{served(applied)}/\n" in done.stdout
