"""Every place renders, and nothing in it is ignored, refused or unsafe; what may talk to what is what was meant."""

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "hack"))

from manifests.documents import Node  # noqa: E402  # the path comes first
from manifests.network import Endpoint, matrix  # noqa: E402  # see above
from manifests.render import render  # noqa: E402  # see above

OVERLAYS = ("local", "production", "staging")
every_overlay = pytest.mark.parametrize("overlay", OVERLAYS)
#: Of the ends that are asked about.
CLIENT = {"slipway.dev/object-store": "client", "slipway.dev/mlflow": "client"}
STEP = {"pipelines.kubeflow.org/v2_component": "true"}
PREDICTOR = {"app.kubernetes.io/name": "predictor", "component": "predictor", "slipway.dev/object-store": "client"}
MLFLOW = {"app.kubernetes.io/name": "mlflow", "slipway.dev/object-store": "client"}


@cache
def documents(overlay: str) -> list[Node]:
    if not shutil.which("kubectl"):
        pytest.skip("no kubectl on the PATH")
    return render(ROOT / "kustomize" / "overlays" / overlay).documents


def test_there_are_no_other_overlays():
    assert {folder.name for folder in (ROOT / "kustomize" / "overlays").iterdir()} == set(OVERLAYS)


def test_the_lint_finds_nothing_that_is_not_waived():
    documents("local")
    done = subprocess.run(
        [sys.executable, ROOT / "hack" / "lint-manifests"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


@every_overlay
def test_an_overlay_is_only_its_difference(overlay):
    lines = [
        line
        for path in (ROOT / "kustomize" / "overlays" / overlay).glob("*.yaml")
        for line in path.read_text().splitlines()
        if line.strip() and not line.lstrip().startswith("#")
    ]
    print(f"{overlay}: {len(lines)} lines of YAML")
    assert len(lines) < 80


@every_overlay
def test_every_object_is_in_the_namespace_that_it_is_for(overlay):
    outside = {"Namespace"}
    assert {
        document["metadata"].get("namespace") for document in documents(overlay) if document["kind"] not in outside
    } == {"slipway"}


@every_overlay
def test_the_address_of_the_package_and_the_digest_that_is_expected_agree(overlay):
    service = next(document for document in documents(overlay) if document["kind"] == "InferenceService")
    model = service["spec"]["predictor"]["model"]
    expected = {item["name"]: item["value"] for item in model["env"]}["SLIPWAY_DIGEST"]
    assert model["storageUri"] == f"s3://models/digits/sha256-{expected}/"


@pytest.mark.parametrize(("overlay", "store"), [("local", "minio"), ("production", "seaweedfs")])
def test_who_may_reach_whom_is_what_was_meant(overlay, store):
    sources = {
        "trainer": Endpoint({**CLIENT, "app.kubernetes.io/name": "trainer", "slipway.dev/predictor": "client"}),
        "step": Endpoint(STEP),
        "step elsewhere": Endpoint(STEP, namespace="kubeflow"),
        "predictor": Endpoint(PREDICTOR),
        "mlflow": Endpoint(MLFLOW),
        "postgres": Endpoint({"app.kubernetes.io/name": "postgres"}),
        "store": Endpoint({"app.kubernetes.io/name": store}),
        "asker": Endpoint({"slipway.dev/predictor": "client"}),
        "stranger": Endpoint({"app": "stranger"}),
        "stranger elsewhere": Endpoint({"app": "stranger"}, namespace="default"),
        "prometheus": Endpoint({"app.kubernetes.io/name": "prometheus"}, namespace="monitoring"),
    }  # fmt: skip
    targets = {
        "store": (Endpoint({"app.kubernetes.io/name": store}), 9000),
        "mlflow": (Endpoint(MLFLOW), 5000),
        "postgres": (Endpoint({"app.kubernetes.io/name": "postgres"}), 5432),
        "predictor": (Endpoint(PREDICTOR), 8080),
        "predictor gRPC": (Endpoint(PREDICTOR), 8081),
        "API server": (Endpoint(address="10.96.0.1"), 443),
        "metadata of the cloud": (Endpoint(address="169.254.169.254"), 80),
        "internet": (Endpoint(address="192.0.2.1"), 80),
    }
    asked, outside = {"predictor", "predictor gRPC"}, {"API server", "metadata of the cloud", "internet"}
    assert matrix(documents(overlay), sources, targets) == {
        "trainer": {"store", "mlflow", "API server"} | asked if overlay == "local" else {"store", "mlflow"} | asked,
        "step": {"store", "mlflow", "API server"},
        "step elsewhere": {"store", "mlflow"} | outside,
        "predictor": {"store"},
        "mlflow": {"store", "postgres"},
        "postgres": set(),
        "store": set(),
        "asker": asked,
        "stranger": set(),
        # What another namespace opens to its own pods is not ours to say.
        "stranger elsewhere": outside,
        "prometheus": {"predictor"} | outside,
    }


def test_a_custom_resource_is_held_against_its_definition():
    if not os.environ.get("SLIPWAY_CRDS"):
        pytest.skip("SLIPWAY_CRDS names no folder of CustomResourceDefinitions")
    documents("local")
    done = subprocess.run(
        [sys.executable, ROOT / "hack" / "lint-manifests"], capture_output=True, text=True, check=False
    )
    assert "were not held against a schema" not in done.stderr
