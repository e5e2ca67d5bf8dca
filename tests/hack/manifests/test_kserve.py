import pytest

SERVICE = "inferenceservice/digits"
NOTES = "metadata annotations"
MODE = f"{NOTES} serving.kserve.io/deploymentMode"
CLASS = f"{NOTES} serving.kserve.io/autoscalerClass"

STANDARD = [
    ("spec predictor canaryTrafficPercent", 10, "canaryTrafficPercent is ignored"),
    ("spec predictor containerConcurrency", 4, "containerConcurrency is ignored"),
    ("spec predictor scaleMetric", "concurrency", "scaleMetric concurrency is ignored"),
    ("spec predictor scaleMetric", "rps", "scaleMetric rps is ignored"),
    ("spec predictor autoScaling", {"behavior": {"scaleUp": {}}}, "autoScaling.behavior is ignored"),
    ("spec predictor minReplicas", 0, "minReplicas 0 becomes 1"),
    ("spec predictor batcher", {"maxBatchSize": 8}, "batcher serves v1 alone"),
    (f"{NOTES} serving.kserve.io/enable-prometheus-scraping", "true", "names a port that only Knative has"),
    (f"{NOTES} serving.kserve.io/enable-metric-aggregation", "true", "needs Knative's proxy"),
    (f"{NOTES} autoscaling.knative.dev/target", "4", "annotation autoscaling.knative.dev/target is for Knative alone"),
    ("spec predictor annotations autoscaling.knative.dev/min-scale", "1", "autoscaling.knative.dev/min-scale is for"),
    ("spec canary", [{"trafficPercent": 10, "predictor": {"name": "new"}}], "splits no traffic"),
    ("spec predictor onnx", {}, "onnx is the old way"),
    ("spec predictor deploymentStrategy rollingUpdate maxUnavailable", "0", "maxUnavailable '0' is neither"),
    ("spec predictor model storageUri", "s3://models/digits/latest/", "is not content-addressed"),
    ("spec predictor model storageUri", f"s3://models/digits/sha256-{'a' * 64}", "is not content-addressed"),
    ("spec predictor model storageUri", f"pvc://models/digits/sha256-{'a' * 64}/", "is not content-addressed"),
    (MODE, ..., "no deploymentMode: the cluster's default decides"),
    (MODE, "RawDeployment", "RawDeployment is the old name"),
    (MODE, "Quick", "there is no mode Quick"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "said"), STANDARD, ids=lambda value: str(value)[:60])
def test_a_field_that_standard_mode_ignores_is_named(broken, path, value, said):
    [(rule, where, text)] = broken.change(SERVICE, path, value).found()
    assert (rule, where) == ("kserve-ignored", SERVICE)
    assert said in text


def test_sound_manifests_have_no_finding(broken):
    assert broken.found() == []


@pytest.fixture
def keda(broken):
    return broken.change(SERVICE, CLASS, "keda")


def test_with_keda_scaling_to_zero_is_no_finding(keda):
    assert keda.change(SERVICE, "spec predictor minReplicas", 0).found() == []


def test_with_keda_only_the_stabilization_window_of_a_behaviour_counts(keda):
    behaviour = {"scaleDown": {"stabilizationWindowSeconds": 60}}
    assert keda.change(SERVICE, "spec predictor autoScaling", {"behavior": behaviour}).found() == []
    behaviour["scaleDown"]["selectPolicy"] = "Max"
    [(rule, _, text)] = keda.change(SERVICE, "spec predictor autoScaling", {"behavior": behaviour}).found()
    assert rule == "kserve-ignored"
    assert "behavior.scaleDown.selectPolicy does not reach KEDA" in text


def test_with_keda_a_scale_metric_is_refused(keda):
    [(rule, _, text)] = keda.change(SERVICE, "spec predictor scaleMetric", "cpu").found()
    assert (rule, "refused with KEDA" in text) == ("kserve-ignored", True)


def test_with_a_gateway_a_canary_is_no_finding(broken):
    broken.documents.append({"kind": "Gateway", "metadata": {"name": "public", "namespace": "slipway"}})
    broken.change(SERVICE, "spec canary", [{"trafficPercent": 10, "predictor": {"name": "new"}}])
    assert broken.found() == []


def test_a_canary_is_judged_as_the_predictor_is(broken):
    broken.documents.append({"kind": "Gateway", "metadata": {"name": "public", "namespace": "slipway"}})
    model = {"storageUri": "s3://models/digits/new/"}
    broken.change(SERVICE, "spec canary", [{"trafficPercent": 10, "predictor": {"name": "new", "model": model}}])
    [(rule, _, text)] = broken.found()
    assert (rule, "s3://models/digits/new/" in text) == ("kserve-ignored", True)


@pytest.fixture
def knative(broken):
    broken.change(SERVICE, "spec predictor deploymentStrategy", ...)
    return broken.change(SERVICE, MODE, "Knative")


KNATIVE = [
    (SERVICE, "spec predictor deploymentStrategy", {"type": "Recreate"}, "deploymentStrategy is refused"),
    (SERVICE, "spec predictor terminationGracePeriodSeconds", 60, "terminationGracePeriodSeconds is refused"),
    (SERVICE, "spec canary", [{"predictor": {"name": "new"}}], "spec.canary is refused"),
    (SERVICE, CLASS, "keda", "autoscalerClass keda works in Standard mode alone"),
    ("servingruntime/slipway", "spec containers 0 lifecycle", {"preStop": {"sleep": {"seconds": 5}}}, "lifecycle"),
    ("servingruntime/slipway", "spec containers 0 ports 1", {"containerPort": 8081}, "2 ports are refused"),
]  # fmt: skip


@pytest.mark.parametrize(("place", "path", "value", "said"), KNATIVE, ids=lambda value: str(value)[:60])
def test_a_field_that_knative_mode_refuses_is_named(knative, place, path, value, said):
    [(rule, where, text)] = knative.change(place, path, value).found()
    assert (rule, where) == ("kserve-ignored", SERVICE)
    assert said in text


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec predictor canaryTrafficPercent", 10),
        ("spec predictor containerConcurrency", 4),
        ("spec predictor minReplicas", 0),
        (f"{NOTES} autoscaling.knative.dev/target", "4"),
    ],
)
def test_what_knative_mode_knows_is_no_finding(knative, path, value):
    assert knative.change(SERVICE, path, value).found() == []


def test_a_runtime_whose_server_has_another_name_is_found(broken):
    found = broken.change("servingruntime/slipway", "spec containers 0 name", "server").found()
    assert ("kserve-ignored", "servingruntime/slipway") in {(rule, where) for rule, where, _ in found}
