import kube_scene
import pytest
from kube_scene import APPS, CORE, NAMESPACE

from pipelines.doctor import namespace


@pytest.fixture
def filled(server):
    kube_scene.namespace(server)
    return server


def found(cluster, *, level: str | None = None) -> list[str]:
    findings = [finding for check in namespace.checks(cluster, NAMESPACE) for finding in check()]
    return [finding.what for finding in findings if level in (None, finding.level)]


def test_a_whole_namespace_is_well_and_no_secret_is_told(filled, cluster):
    assert found(cluster) == found(cluster, level="ok")
    assert "Secret models-reader has AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY" in found(cluster)
    for value in filled.objects[f"{CORE}/secrets/slipway"]["data"].values():
        assert value not in "".join(found(cluster))


def test_of_a_namespace_that_is_not_there_nothing_else_is_told(server, cluster):
    assert found(cluster) == ["namespace slipway does not exist"]


def test_an_empty_namespace_lacks_all_of_it(server, cluster):
    kube_scene.namespace(server)
    for path in [path for path in server.objects if path.startswith(f"{CORE}/")]:
        del server.objects[path]
    assert found(cluster, level="problem") == [
        "ConfigMap slipway does not exist",
        "Secret slipway does not exist",
        "Secret models-reader does not exist",
        "service account predictor does not exist",
    ]


def test_pod_security_that_is_not_enforced_is_a_warning(filled, cluster):
    filled.objects[f"/api/v1/namespaces/{NAMESPACE}"]["metadata"]["labels"] = {}
    assert found(cluster, level="warning") == ["namespace slipway enforces no Pod Security"]


def test_keys_that_are_missing_or_empty_are_named(filled, cluster):
    del filled.objects[f"{CORE}/configmaps/slipway"]["data"]["SLIPWAY_STORE"]
    filled.objects[f"{CORE}/secrets/slipway"]["data"] = {"AWS_ACCESS_KEY_ID": "a2V5", "AWS_SECRET_ACCESS_KEY": ""}
    assert found(cluster, level="problem") == [
        "ConfigMap slipway has no SLIPWAY_STORE",
        "Secret slipway has no AWS_SECRET_ACCESS_KEY",
    ]


def test_an_account_that_does_not_list_the_secret_fetches_without_credentials(filled, cluster):
    filled.objects[f"{CORE}/serviceaccounts/predictor"]["secrets"] = [{"name": "other"}]
    (told,) = found(cluster, level="problem")
    assert "does not list secret models-reader" in told


@pytest.mark.parametrize("endpoint", ["http://minio:9000", "minio:9000/", ""], ids=["scheme", "slash", "absent"])
def test_the_stores_address_is_host_and_port_alone(filled, cluster, endpoint):
    annotations = filled.objects[f"{CORE}/secrets/models-reader"]["metadata"]["annotations"]
    annotations["serving.kserve.io/s3-endpoint"] = endpoint
    (told,) = found(cluster, level="problem")
    assert repr(endpoint) in told


def test_two_places_for_one_store_are_told(filled, cluster):
    filled.objects[f"{CORE}/secrets/models-reader"]["metadata"]["annotations"].pop("serving.kserve.io/s3-usehttps")
    (told,) = found(cluster, level="warning")
    assert "s3-usehttps is '1', while AWS_ENDPOINT_URL is http://minio:9000" in told


def test_a_store_that_is_not_ready_is_told_with_its_reason(filled, cluster):
    filled.objects[f"{APPS}/statefulsets/minio"]["status"] = {"readyReplicas": 0}
    (told,) = found(cluster, level="problem")
    assert told == "minio: 0 of 1 pods ready"
    condition = {"type": "PodScheduled", "status": "False", "message": "unbound immediate PersistentVolumeClaims"}
    labels = {"labels": {"app.kubernetes.io/name": "minio"}}
    filled.put(f"{CORE}/pods/minio-0", {"metadata": labels, "status": {"conditions": [condition]}})
    (told,) = found(cluster, level="problem")
    assert told == "minio: 0 of 1 pods ready; pod minio-0 is not scheduled: unbound immediate PersistentVolumeClaims"


def test_a_store_that_is_named_and_not_there_is_told_and_one_elsewhere_is_not(filled, cluster):
    del filled.objects[f"{APPS}/statefulsets/minio"]
    (told,) = found(cluster, level="warning")
    assert told == "AWS_ENDPOINT_URL names minio, behind which there is no Deployment or StatefulSet in slipway"
    settings = filled.objects[f"{CORE}/configmaps/slipway"]["data"]
    secret = filled.objects[f"{CORE}/secrets/models-reader"]["metadata"]["annotations"]
    settings["AWS_ENDPOINT_URL"] = "http://minio.storage:9000"
    secret["serving.kserve.io/s3-endpoint"] = "minio.storage:9000"
    assert found(cluster, level="warning") == []


def test_what_may_not_be_read_is_a_warning(filled, cluster):
    from pipelines.doctor import diagnose

    filled.forbidden = "/secrets/"
    findings = list(diagnose(namespace.checks(cluster, NAMESPACE)))
    assert {finding.level for finding in findings if "secrets" in finding.what} == {"warning"}


def test_the_store_is_found_behind_a_service_of_another_name(filled, cluster):
    settings = filled.objects[f"{CORE}/configmaps/slipway"]["data"]
    secret = filled.objects[f"{CORE}/secrets/models-reader"]["metadata"]["annotations"]
    settings["AWS_ENDPOINT_URL"] = "http://object-store:9000"
    secret["serving.kserve.io/s3-endpoint"] = "object-store:9000"
    filled.put(f"{CORE}/services/object-store", {"spec": {"selector": {"app.kubernetes.io/name": "minio"}}})
    assert found(cluster, level="warning") == []
    assert "minio: 1 of 1 pods ready" in found(cluster)
