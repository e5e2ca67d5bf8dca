import pytest
from manifests.render import Rendering
from manifests.rules.selectors import selectors
from manifests.steps import Step

OTHER = {"matchLabels": {"app.kubernetes.io/name": "webb"}}

BROKEN = [
    ("service/web", "spec selector", OTHER["matchLabels"], "selector selects no pods: app.kubernetes.io/name=webb"),
    ("poddisruptionbudget/digits", "spec selector matchLabels component", "predictors", "selector selects no pods"),
    ("networkpolicy/web", "spec podSelector", OTHER, "podSelector selects no pods"),
    ("networkpolicy/web", "spec ingress 0 from 0 podSelector", OTHER, "ingress.from selects no pods"),
    ("podmonitor/digits", "spec selector", OTHER, "selector selects no pods"),
    ("networkpolicy/web", "spec podSelector", {"matchExpressions": [
        {"key": "app.kubernetes.io/name", "operator": "In", "values": ["webb"]}]}, "app.kubernetes.io/name In"),
]  # fmt: skip


@pytest.mark.parametrize(("place", "path", "value", "said"), BROKEN, ids=lambda value: str(value)[:40])
def test_a_selector_that_selects_nothing_is_found(broken, place, path, value, said):
    [(rule, where, text)] = broken.change(place, path, value).found()
    assert (rule, where) == ("dangling", place)
    assert said in text


@pytest.mark.parametrize(
    "selector",
    [
        {},
        {"matchExpressions": [{"key": "app.kubernetes.io/name", "operator": "Exists"}]},
        {"matchExpressions": [{"key": "app.kubernetes.io/name", "operator": "NotIn", "values": ["other"]}]},
        {"matchLabels": {"pipelines.kubeflow.org/v2_component": "true"}},
        {"matchLabels": {"workflows.argoproj.io/workflow": "run"}},
        {"matchLabels": {"batch.kubernetes.io/job-name": "promote"}},
        {"matchLabels": {"serving.kserve.io/inferenceservice": "digits", "app.kubernetes.io/name": "predictor"}},
    ],
    ids=str,
)
def test_a_selector_that_selects_a_pod_of_any_kind_is_no_finding(broken, selector):
    assert broken.change("networkpolicy/web", "spec podSelector", selector).found() == []


def test_pods_of_another_namespace_are_not_selected(broken):
    for place in ("poddisruptionbudget/digits", "podmonitor/digits"):
        broken.change(place, "metadata namespace", "elsewhere")
    assert {where for _, where, _ in broken.found()} == {"poddisruptionbudget/digits", "podmonitor/digits"}
    broken.change("poddisruptionbudget/digits", "metadata namespace", "slipway")
    assert len(broken.found()) == 1
    assert broken.change("podmonitor/digits", "spec namespaceSelector", {"matchNames": ["slipway"]}).found() == []


def test_a_service_monitor_selects_services(broken):
    monitor = {
        "kind": "ServiceMonitor",
        "metadata": {"name": "web", "namespace": "slipway"},
        "spec": {"selector": {"matchLabels": {"app.kubernetes.io/name": "web"}}},
    }
    broken.documents.append(monitor)
    assert [(rule, where) for rule, where, _ in broken.found()] == [("dangling", "servicemonitor/web")]
    broken.change("service/web", "metadata labels", {"app.kubernetes.io/name": "web"})
    assert broken.found() == []


def test_steps_of_pipelines_are_pods_too(broken):
    broken.change("networkpolicy/web", "spec podSelector", {"matchLabels": {"app.kubernetes.io/name": "trainer"}})
    assert len(list(selectors(Rendering("test", broken.documents)))) == 1
    step = Step("training", "exec-train", {}, {"podMetadata": {"labels": {"app.kubernetes.io/name": "trainer"}}})
    assert list(selectors(Rendering("test", broken.documents, (step,)))) == []


def test_a_label_that_clients_put_on_later_must_be_spelt_alike_at_both_ends(broken):
    client = {"matchLabels": {"slipway.dev/web": "client"}}
    broken.change("networkpolicy/web", "spec ingress 0 from 0 podSelector", client)
    assert [(rule, where) for rule, where, _ in broken.found()] == [("dangling", "networkpolicy/web")]
    policy = {"kind": "NetworkPolicy", "metadata": {"name": "clients", "namespace": "slipway"}}
    broken.documents.append({**policy, "spec": {"podSelector": client, "policyTypes": ["Egress"]}})
    assert broken.found() == []
    broken.change("networkpolicy/clients", "spec podSelector", {"matchLabels": {"slipway.dev/web": "clients"}})
    assert {where for _, where, _ in broken.found()} == {"networkpolicy/web", "networkpolicy/clients"}
