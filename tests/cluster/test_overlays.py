"""Staging and production before the real API server and KServe's webhooks, in a namespace of their own."""

import json

import pytest
import yaml

NAMESPACE = "slipway-overlays"


@pytest.fixture(scope="module")
def place(cluster):
    """A namespace with the rights of ours, where nothing is."""
    labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}
    cluster.run("apply", "--filename", "-", stdin=yaml.safe_dump(namespace))
    yield NAMESPACE
    cluster.run("delete", "namespace", NAMESPACE, seconds=180)


@pytest.mark.parametrize("overlay", ["local", "staging", "production"])
def test_the_api_server_and_its_webhooks_take_every_object(cluster, place, overlay):
    known = {
        (f"{found['group']}/{found['version']}".lstrip("/"), found["kind"])
        for found in map(_resource, cluster.run("api-resources", "--no-headers").splitlines())
    }
    rendered = cluster.run("kustomize", str(cluster.overlay(overlay, namespace=place)))
    documents = [document for document in yaml.safe_load_all(rendered) if document]
    taken = [each for each in documents if (each["apiVersion"], each["kind"]) in known]
    left = sorted({each["kind"] for each in documents if each not in taken})
    said = cluster.run("apply", "--server-side", "--dry-run=server", "--filename", "-", stdin=yaml.safe_dump_all(taken))
    lines = [line for line in said.splitlines() if "serverside-applied (server dry run)" in line]
    assert len(lines) == len(taken)
    print(f"{overlay}: {len(taken)} objects taken; the cluster knows no {', '.join(left) or 'others'}")
    assert "InferenceService" not in left, json.dumps(left)


def _resource(line: str) -> dict[str, str]:
    """Return what a line of ``kubectl api-resources`` says; short names may be missing."""
    fields = line.split()
    version, kind = fields[-3], fields[-1]
    group, _, version = version.rpartition("/")
    return {"group": group, "version": version, "kind": kind}
