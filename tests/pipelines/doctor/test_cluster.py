import json

import kube_scene
import pytest

from pipelines.doctor import cluster as checks

KSERVE = "/apis/serving.kserve.io"
STORAGE = f"{KSERVE}/v1alpha1/clusterstoragecontainers/default"


@pytest.fixture
def platform(server):
    kube_scene.platform(server)
    return server


def levels(findings) -> list[str]:
    return [finding.level for finding in findings]


@pytest.mark.parametrize(
    ("minor", "level"), [("29", "problem"), ("30", "ok"), ("34+", "ok")], ids=["older", "oldest", "a provider's"]
)
def test_the_version_of_the_api_server_is_compared(minor, level):
    told = {"major": "1", "minor": minor, "gitVersion": f"v1.{minor}.0"}
    assert levels(checks.version("https://here", told)) == [level]


def test_a_whole_platform_is_well(platform, cluster):
    findings = [finding for check in checks.checks(cluster) for finding in check()]
    assert set(levels(findings)) == {"ok"}
    told = [finding.what for finding in findings]
    assert "KServe's controller is available, its default mode is Knative; ours say Standard by annotation" in told
    assert "KEDA is installed" in told
    assert "Gateway API is not installed (optional)" in told


def test_kserve_is_missed(server, cluster):
    (finding,) = checks.kserve(cluster)
    assert (finding.level, finding.what) == ("problem", "KServe is not installed")


def test_half_a_kserve_is_told(platform, cluster):
    platform.objects[f"{KSERVE}/v1alpha1"]["resources"] = [{"name": "servingruntimes"}]
    lacks, controller = checks.kserve(cluster)
    assert lacks.what == "KServe's API lacks clusterservingruntimes, clusterstoragecontainers"
    assert controller.level == "ok"


@pytest.mark.parametrize("mode", ["Standard", "RawDeployment"])
def test_a_standard_default_needs_no_annotation(platform, cluster, mode):
    settings = platform.objects["/api/v1/namespaces/kserve/configmaps/inferenceservice-config"]
    settings["data"]["deploy"] = json.dumps({"defaultDeploymentMode": mode})
    controller = next(iter(checks._controller(cluster)))
    assert controller.what == f"KServe's controller is available, its default mode is {mode}"


def test_a_controller_that_is_down_is_a_problem(platform, cluster):
    deployment = "/apis/apps/v1/namespaces/kserve/deployments/kserve-controller-manager"
    platform.objects[deployment]["status"] = {}
    assert [f.what for f in checks.kserve(cluster) if f.level == "problem"] == [
        "KServe's controller is not available; changes of InferenceServices are refused"
    ]
    del platform.objects[deployment]
    assert "KServe's controller is not in the namespace kserve" in [f.what for f in checks.kserve(cluster)]


def test_a_storage_container_that_restricted_refuses_is_told_with_what_it_lacks(platform, cluster):
    platform.objects[STORAGE]["spec"]["container"]["securityContext"] = {"runAsNonRoot": True}
    (finding,) = checks.storage_containers(cluster)
    assert finding.level == "warning"
    assert "lacks allowPrivilegeEscalation: false, capabilities.drop: [ALL], seccompProfile" in finding.what


def test_one_hardened_storage_container_is_enough(platform, cluster):
    own = {"container": {"securityContext": kube_scene.HARDENED}, "supportedUriFormats": [{"prefix": "s3://"}]}
    platform.objects[STORAGE]["spec"]["container"]["securityContext"] = {}
    platform.put(STORAGE.replace("default", "slipway"), {"spec": own})
    (finding,) = checks.storage_containers(cluster)
    assert (finding.level, finding.what) == ("ok", "ClusterStorageContainer slipway passes restricted Pod Security")


def test_a_storage_container_for_s3_is_found_by_its_pattern_and_missed(platform, cluster):
    platform.objects[STORAGE]["spec"]["supportedUriFormats"] = [{"regex": "s3://[a-z]+/.*"}]
    assert levels(checks.storage_containers(cluster)) == ["ok"]
    platform.objects[STORAGE]["disabled"] = True
    (finding,) = checks.storage_containers(cluster)
    assert finding.what == "no ClusterStorageContainer fetches s3://"


def test_what_scales_and_stores_is_missed(platform, cluster):
    platform.objects["/apis/storage.k8s.io/v1/storageclasses/local-path"]["metadata"]["annotations"] = {}
    del platform.objects["/apis/metrics.k8s.io/v1beta1/nodes"]
    assert levels(checks.storage_class(cluster)) == ["warning"]
    assert levels(checks.metrics_server(cluster)) == ["warning"]
