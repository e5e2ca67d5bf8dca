import socket
from pathlib import Path

import kube_scene
import pytest

from components import kube
from components.kube import Cluster, ClusterError, NoClusterError

SLIPWAY = "/api/v1/namespaces/slipway"


def test_the_account_of_the_kubeconfig_asks(server, cluster):
    server.put(SLIPWAY, {})
    assert cluster.get(SLIPWAY)["metadata"]["name"] == "slipway"
    assert server.tokens == {"Bearer a-token"}


def test_what_does_not_exist_is_none_and_what_is_forbidden_an_error(server, cluster):
    assert cluster.find(SLIPWAY) is None
    server.forbidden = "/secrets"
    with pytest.raises(ClusterError, match="GET .*/secrets/slipway.* forbidden.*; give this account the right") as told:
        cluster.find(f"{SLIPWAY}/secrets/slipway")
    assert told.value.status == 403


def test_a_list_is_filtered_by_the_server(server, cluster):
    for name in ("digits", "iris"):
        server.put(f"{SLIPWAY}/pods/{name}", {"metadata": {"labels": {"app": name}}})
    assert [pod["metadata"]["name"] for pod in cluster.items(f"{SLIPWAY}/pods", labelSelector="app=iris")] == ["iris"]


def test_a_field_of_another_manager_is_a_conflict_and_stays(server, cluster):
    kube_scene.service(server)
    fields = {"metadata": {}, "spec": {"predictor": {"model": {"storageUri": "s3://other/"}}}}
    server.owners[kube_scene.SERVICE] = {".spec.predictor.model.storageUri": "argocd-controller"}
    with pytest.raises(ClusterError) as told:
        cluster.apply(kube_scene.SERVICE, fields, "me")
    assert told.value.status == kube.CONFLICT
    assert cluster.get(kube_scene.SERVICE)["spec"]["predictor"]["model"]["storageUri"] == kube_scene.uri(kube_scene.OLD)


def test_a_server_that_is_gone_is_named(tmp_path, monkeypatch, server, cluster):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        text = (tmp_path / "kubeconfig").read_text()
        (tmp_path / "kubeconfig").write_text(text.replace(server.url, f"http://127.0.0.1:{taken.getsockname()[1]}"))
        with pytest.raises(ClusterError, match=r"http://127.0.0.1:\d+ can't be reached .*; check the kubeconfig"):
            Cluster.connect().get("/version")


def test_an_answer_that_is_no_json_is_no_api_server(server, cluster):
    server.texts[f"{SLIPWAY}/pods/x/log?container=c"] = "<html>a login page</html>"
    with pytest.raises(ClusterError, match="answered no JSON"):
        cluster.get(f"{SLIPWAY}/pods/x/log", container="c")


def test_without_a_kubeconfig_and_outside_a_pod_there_is_no_cluster(tmp_path, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.setattr(kube, "ACCOUNT", tmp_path / "token")
    with pytest.raises(NoClusterError, match=r"no kubeconfig .*/none, and this is no pod; set KUBECONFIG"):
        Cluster.connect()


def test_a_kubeconfig_without_a_context_is_told(tmp_path, monkeypatch):
    Path(tmp_path / "kubeconfig").write_text("apiVersion: v1\nkind: Config\n")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    with pytest.raises(ClusterError, match="can't be used: .*current-context"):
        Cluster.connect()
