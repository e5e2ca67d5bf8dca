import pytest
from manifests.pods import lift, merge
from manifests.podsecurity import violations

SPEC = {"containers": [{"name": "a", "image": "x"}]}
TEMPLATE = {"metadata": {"labels": {"app": "a"}, "annotations": {"note": "b"}}, "spec": SPEC}


def owner(kind, spec):
    return {"kind": kind, "metadata": {"name": "it", "namespace": "here"}, "spec": spec}


@pytest.mark.parametrize(
    ("document", "lasting"),
    [
        *[
            (owner(kind, {"template": TEMPLATE}), True)
            for kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")
        ],
        (owner("Job", {"template": TEMPLATE}), False),
        (owner("CronJob", {"jobTemplate": {"spec": {"template": TEMPLATE}}}), False),
        *[
            (
                owner(
                    kind, {"template": {"spec": {"replicatedJobs": [{"template": {"spec": {"template": TEMPLATE}}}]}}}
                ),
                False,
            )
            for kind in ("TrainingRuntime", "ClusterTrainingRuntime")
        ],
        (
            {
                "kind": "Pod",
                "metadata": {"name": "it", "namespace": "here", "labels": {"app": "a"}, "annotations": {"note": "b"}},
                "spec": SPEC,
            },
            True,
        ),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else "",
)
def test_every_workload_holds_its_pod(document, lasting):
    [pod] = lift([document])
    [container] = pod.containers
    assert (pod.where, pod.namespace, pod.account) == (f"{document['kind'].lower()}/it", "here", "default")
    assert (pod.labels["app"], pod.annotations) == ("a", {"note": "b"})
    assert (container.name, container.lasting, container.where) == ("a", lasting, f"{pod.where}[a]")


def test_a_jobs_pod_has_the_jobs_name_as_a_label():
    [pod] = lift([owner("Job", {"template": TEMPLATE})])
    assert pod.labels == {"app": "a", "job-name": "it", "batch.kubernetes.io/job-name": "it"}


@pytest.mark.parametrize("kind", ["ConfigMap", "Service", ""])
def test_other_objects_hold_no_pod(kind):
    assert lift([owner(kind, {"template": TEMPLATE})]) == []


@pytest.fixture
def predictor(good):
    return next(pod for pod in lift(good) if pod.where == "inferenceservice/digits")


def test_a_predictors_pod_is_its_runtimes_with_the_service_laid_over_it(good, predictor):
    [container] = predictor.containers
    assert container.name == "kserve-container"
    assert container.spec["image"].startswith("slipway/web:")
    assert "storageUri" not in container.spec
    assert predictor.spec["automountServiceAccountToken"] is False
    assert not {"model", "minReplicas", "labels", "deploymentStrategy"} & predictor.spec.keys()
    assert predictor.labels == {
        "app": "isvc.digits-predictor",
        "app.kubernetes.io/name": "predictor",
        "component": "predictor",
        "serving.kserve.io/inferenceservice": "digits",
    }
    assert violations(predictor.spec) == []


def test_what_the_service_says_of_the_container_wins(good):
    service = next(each for each in good if each["kind"] == "InferenceService")
    service["spec"]["predictor"]["model"] |= {"image": "mine", "env": [{"name": "A", "value": "1"}]}
    service["spec"]["predictor"]["containers"] = [{"name": "sidecar", "image": "other"}]
    pod = next(pod for pod in lift(good) if pod.where == "inferenceservice/digits")
    assert {container.name: container.spec["image"] for container in pod.containers} == {
        "kserve-container": "mine",
        "sidecar": "other",
    }


def test_a_canary_is_a_pod_of_its_own(good):
    service = next(each for each in good if each["kind"] == "InferenceService")
    service["spec"]["canary"] = [{"trafficPercent": 10, "predictor": {"name": "new", "model": {"image": "newer"}}}]
    images = [
        c.spec["image"][:5] for pod in lift(good) if pod.where == "inferenceservice/digits" for c in pod.containers
    ]
    assert images == ["slipw", "newer"]


def test_a_runtime_that_nobody_uses_is_judged_by_itself(good):
    used = [pod for pod in lift(good) if pod.owner["kind"] == "ServingRuntime"]
    [alone] = lift([each for each in good if each["kind"] == "ServingRuntime"])
    assert used == []
    assert (alone.where, alone.whole) == ("servingruntime/slipway", False)


def test_a_storage_container_prepares_any_pod(good):
    [pod] = [pod for pod in lift(good) if pod.owner["kind"] == "ClusterStorageContainer"]
    [container] = pod.containers
    assert (container.name, container.lasting, pod.whole) == ("storage-initializer", False, False)


@pytest.mark.parametrize(
    ("base", "over", "merged"),
    [
        ({"a": 1, "b": 2}, {"b": 3}, {"a": 1, "b": 3}),
        (
            [{"name": "a", "x": 1}],
            [{"name": "a", "y": 2}, {"name": "b"}],
            [{"name": "a", "x": 1, "y": 2}, {"name": "b"}],
        ),
        (
            {"ports": [{"containerPort": 1, "name": "a"}]},
            {"ports": [{"containerPort": 1, "name": "b"}]},
            {"ports": [{"containerPort": 1, "name": "b"}]},
        ),
        (["a"], ["b"], ["b"]),
        (None, {"a": 1}, {"a": 1}),
    ],
)
def test_named_things_are_merged_one_by_one_and_plain_lists_are_replaced(base, over, merged):
    assert merge(base, over) == merged
