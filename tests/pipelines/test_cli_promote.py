"""``slipway promote`` with a real package in a real store; the cluster's API server is one on loopback."""

import os
from pathlib import Path

import kube_scene
import pytest

from components.store import open_store
from pipelines import proof
from pipelines.cli import main


@pytest.fixture
def published(bucket, sealed) -> str:
    """The URI of a package in the store."""
    store = open_store(bucket)
    for path in Path(sealed.path).iterdir():
        store.put(f"tiny/sha256-{sealed.digest}/{path.name}", path)
    return f"{bucket}/tiny/sha256-{sealed.digest}/"


@pytest.fixture
def told(server, capsys, monkeypatch):
    """Runs ``slipway promote ... --service digits``; returns exit code, output and error."""
    monkeypatch.setattr(proof, "POLL_SECONDS", 0.01)
    before = dict(os.environ)

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["promote", *arguments, "--service", "digits"])
        return code, *capsys.readouterr()

    yield run
    os.environ.clear()
    os.environ.update(before)


def test_a_package_is_verified_applied_and_proven(server, told, published, sealed):
    kube_scene.service(server)
    server.applied = lambda server: kube_scene.roll(server, sealed.digest)
    code, out, err = told(published.rstrip("/"))
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        f"package   {published}, whole and unchanged",
        f"service   slipway/digits, before: {kube_scene.uri(kube_scene.OLD)}",
        f"rollout   2 of 2 new pods ready, 2 pods in all; digits-2-a, digits-2-b: sha256:{sealed.digest[:12]}",
        f"serving   sha256:{sealed.digest}",
    ]
    assert server.objects[kube_scene.SERVICE]["spec"]["predictor"]["model"]["storageUri"] == published


def test_a_dry_run_changes_nothing(server, told, published):
    kube_scene.service(server)
    code, out, _ = told(published, "--dry-run")
    assert code == 0
    assert out.endswith("checked   the API server would take it; nothing was changed\n")
    model = server.objects[kube_scene.SERVICE]["spec"]["predictor"]["model"]
    assert model["storageUri"] == kube_scene.uri(kube_scene.OLD)


def test_a_damaged_package_never_reaches_the_cluster(server, told, published, bucket, tmp_path):
    kube_scene.service(server)
    (tmp_path / "graph").write_bytes(b"something else")
    open_store(bucket).put(f"{published.removeprefix(f'{bucket}/')}model.onnx", tmp_path / "graph")
    code, _, err = told(published)
    assert code == 2
    assert "is not the package that was sealed; changed: model.onnx" in err
    assert not any(line.startswith("PATCH") for line in server.asked)


def test_a_package_that_nobody_signed_is_refused_where_a_signature_is_asked_for(server, told, published, tmp_path):
    from modelpackage import new_keys

    kube_scene.service(server)
    new_keys(tmp_path / "keys")
    code, _, err = told(published, "--public-keys", str(tmp_path / "keys" / "public.pem"))
    assert code == 2
    assert "sign" in err
    assert not any(line.startswith("PATCH") for line in server.asked)


def test_a_service_that_does_not_exist_is_told_before_anything_is_fetched(server, told):
    code, _, err = told(kube_scene.uri(kube_scene.NEW))
    assert code == 2
    assert err.startswith("slipway: InferenceService digits does not exist in namespace slipway; apply its manifest")


def test_a_reference_that_is_neither_name_nor_place_is_told(server, told):
    code, _, err = told("digits")
    assert code == 2
    assert "digits is neither NAME@ALIAS nor s3://bucket/name/sha256-...; slipway models shows them" in err


def test_an_alias_is_resolved_by_mlflow(server, told, published, sealed, tmp_path, monkeypatch):
    from components.tracking import Tracking

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    client = Tracking(uri).client
    client.create_registered_model("tiny")
    tags = {"slipway.digest": sealed.digest}
    client.create_model_version("tiny", source=published, tags=tags, await_creation_for=None)
    client.set_registered_model_alias("tiny", "champion", "1")
    kube_scene.service(server)
    code, out, _ = told("tiny@champion", "--dry-run")
    assert code == 0
    assert out.startswith(f"package   {published}, whole and unchanged\n")
    code, _, err = told("tiny@challenger", "--dry-run")
    assert code == 2
    assert "tiny@challenger is no registered model" in err
