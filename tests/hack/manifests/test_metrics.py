import json

import pytest
from manifests.rules.metrics import exported, series


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("up", ["up"]),
        ('sum by (code) (rate(slipway_requests_total{code=~"5..",x="a{b}"}[5m]))', ["slipway_requests_total"]),
        ("a / on (namespace, pod) group_left (node) b", ["a", "b"]),
        ("a and on () b unless c or vector(0)", ["a", "b", "c"]),
        ("sum without (pod) (slipway:errors:ratio) > bool 1e6 offset 5m", ["slipway:errors:ratio"]),
        ("sum(rate(a[$__rate_interval])) by (le)", ["a"]),
        ('label_replace(a, "b", "$1", "c", "(.*)")', ["a"]),
        ("label_values(slipway_package_info{name='x'}, namespace)", ["slipway_package_info"]),
        ("clamp_min(a, b)", ["a", "b"]),
        ("max_over_time((a - b)[1h:5m]) * Inf # c", ["a", "b"]),
        ("1 - 0.99 + NaN", []),
    ],
)
def test_the_series_of_a_query_are_its_names(query, names):
    assert series(query) == names


def test_every_series_that_a_server_counts_is_known(sealed):
    from serving.monitoring.metrics import Metrics

    metrics = Metrics()
    metrics.serve(sealed, "digits", 0.1)
    metrics.requests["rest", "200"] += 1
    samples = {sample.name for family in metrics.collect() for sample in family.samples}
    assert samples >= {"slipway_requests_total", "slipway_package_info", "request_predict_seconds_bucket"}
    assert samples <= exported()


def test_a_histogram_has_no_series_of_its_bare_name():
    assert "request_predict_seconds" not in exported()
    assert "request_predict_seconds_bucket" in exported()
    assert "slipway_prediction_log_rows_total" in exported()


RULE = "spec groups 0 rules 1 expr"


@pytest.mark.parametrize(
    ("place", "path", "value", "where", "said"),
    [
        (
            "prometheusrule/slipway",
            RULE,
            "slipway_request_total > 0",
            "prometheusrule/slipway[Errors]",
            "slipway_request_total",
        ),
        (
            "prometheusrule/slipway",
            RULE,
            "slipway:error:ratio > 0",
            "prometheusrule/slipway[Errors]",
            "slipway:error:ratio",
        ),
        (
            "prometheusrule/slipway",
            RULE,
            "rate(request_predict_seconds[5m]) > 0",
            "prometheusrule/slipway[Errors]",
            "request_predict_seconds,",
        ),
        ("scaledobject/digits", "spec triggers 0 metadata query", "sum(in_flight)", "scaledobject/digits", "in_flight"),
        (
            "configmap/dashboard",
            "data slipway.json",
            json.dumps({"panels": [{"targets": [{"expr": "drift"}]}]}),
            "configmap/dashboard[slipway.json]",
            "asks for drift",
        ),
    ],
)
def test_a_query_for_what_nothing_exports_is_found(broken, place, path, value, where, said):
    [(rule, at, text)] = broken.change(place, path, value).found()
    assert (rule, at) == ("metrics", where)
    assert said in text


def test_the_query_of_an_inference_service_counts(broken):
    metric = {"backend": "prometheus", "query": "sum(in_flight)"}
    scaling = {"metrics": [{"type": "External", "external": {"metric": metric}}]}
    [(rule, at, _)] = broken.change("inferenceservice/digits", "spec predictor autoScaling", scaling).found()
    assert (rule, at) == ("metrics", "inferenceservice/digits")


def test_other_settings_are_no_dashboards(broken):
    broken.change("configmap/dashboard", "metadata labels", ...)
    assert broken.change("configmap/dashboard", "data slipway.json", "no JSON").found() == []


def test_a_variable_of_a_dashboard_asks_for_series_unless_it_chooses_a_data_source(broken):
    def found(**variable):
        text = json.dumps({"templating": {"list": [variable]}})
        return broken.change("configmap/dashboard", "data slipway.json", text).found()

    assert found(type="datasource", query="prometheus") == []
    assert found(type="query", query={"query": "label_values(slipway_package_info, namespace)"}) == []
    [(rule, _, text)] = found(type="query", query={"query": "label_values(package_info, namespace)"})
    assert (rule, "asks for package_info," in text) == ("metrics", True)
