"""Alerts, scalers and dashboards must ask for series that someone exports."""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from manifests.documents import Found, Node, at, listed, where
from manifests.render import Rendering

PAGE = Path(__file__).parents[3] / "docs" / "predictor.md"
#: Series of kube-state-metrics, the kubelet, MinIO and Prometheus itself that we ask for.
OTHERS = frozenset(
    {
        "up", "scrape_duration_seconds", "ALERTS", "ALERTS_FOR_STATE",
        "container_cpu_usage_seconds_total", "container_cpu_cfs_periods_total",
        "container_cpu_cfs_throttled_periods_total", "container_memory_working_set_bytes",
        "container_network_receive_bytes_total", "container_network_transmit_bytes_total",
        "kube_deployment_spec_replicas", "kube_deployment_status_replicas", "kube_deployment_status_replicas_available",
        "kube_deployment_status_replicas_updated", "kube_deployment_status_observed_generation",
        "kube_deployment_metadata_generation",
        "kube_horizontalpodautoscaler_spec_max_replicas", "kube_horizontalpodautoscaler_status_current_replicas",
        "kube_job_status_failed", "kube_job_failed", "kube_cronjob_status_last_successful_time",
        "kube_persistentvolumeclaim_info", "kubelet_volume_stats_available_bytes",
        "kubelet_volume_stats_capacity_bytes",
        "kube_pod_container_resource_limits", "kube_pod_container_resource_requests",
        "kube_pod_container_status_last_terminated_reason", "kube_pod_container_status_restarts_total",
        "kube_pod_container_status_waiting_reason", "kube_pod_info", "kube_pod_labels", "kube_pod_status_phase",
        "kube_pod_status_ready", "kube_statefulset_replicas", "kube_statefulset_status_replicas_ready",
        "process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "process_max_fds",
        "process_start_time_seconds",
    }
)  # fmt: skip
WORDS = frozenset(
    [
        "and",
        "or",
        "unless",
        "on",
        "ignoring",
        "group_left",
        "group_right",
        "by",
        "without",
        "bool",
        "offset",
        "start",
        "end",
        "inf",
        "nan",
        "atan2",
    ]
)
ROW = re.compile(r"^\| `(\w+)` \|", re.MULTILINE)
TABLES = re.compile(r"^\| metric \|.*\n(?:\|.*\n)+", re.MULTILINE)
COUNTED = re.compile(r"`(slipway_\w+)` counts")
#: What is no name of a series: texts, label matchers, ranges, label lists, variables and remarks.
NOISE = (
    re.compile(r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'|`[^`]*`"),
    re.compile(r"\{[^{}]*\}"),
    re.compile(r"\[[^\[\]]*\]"),
    re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^()]*\)", re.IGNORECASE),
    re.compile(r"\$\w+"),
    re.compile(r"#.*"),
)
NAME = re.compile(r"(?<![\w.:])[a-zA-Z_:][\w:]*(?!\s*\(|[\w:])")


def metrics(rendering: Rendering) -> Found:
    """Find queries that ask for a series which neither our predictor nor a recording rule nor the cluster exports."""
    recorded = {rule["record"] for rule in _rules(rendering) if "record" in rule}
    for place, query in queries(rendering):
        for name in series(query):
            if name not in recorded and name not in OTHERS and name not in exported():
                yield place, f"asks for {name}, which nothing exports", f"take a name of docs/{PAGE.name}"


def series(query: str) -> list[str]:
    """Return the names of the series that a PromQL query (or Grafana's ``label_values``) asks for, in order."""
    for noise in NOISE:
        query = noise.sub(" ", query)
    if "label_values" in query:
        query = query.rpartition(",")[0]
    return list(dict.fromkeys(name for name in NAME.findall(query) if name.lower() not in WORDS))


def queries(rendering: Rendering) -> Iterator[tuple[str, str]]:
    """Yield every PromQL query with the object that asks it."""
    for rules in rendering.of("PrometheusRule"):
        for rule in _rules_of(rules):
            yield where(rules, str(rule.get("alert") or rule.get("record"))), str(rule.get("expr", ""))
    for scaled in rendering.of("ScaledObject", "InferenceService"):
        for asked in _asked(scaled):
            yield where(scaled), str(asked.get("query", ""))
    for settings in rendering.of("ConfigMap"):
        if "grafana_dashboard" in at(settings, "metadata", "labels"):
            for name, text in at(settings, "data").items():
                for query in _dashboard(json.loads(text)):
                    yield where(settings, name), query


def _asked(scaled: Node) -> Iterator[Node]:
    for trigger in listed(scaled, "spec", "triggers"):
        if trigger.get("type") == "prometheus":
            yield at(trigger, "metadata")
    for metric in listed(scaled, "spec", "predictor", "autoScaling", "metrics"):
        if at(metric, "external", "metric").get("backend") == "prometheus":
            yield at(metric, "external", "metric")


@cache
def exported() -> frozenset[str]:
    """Return the series of our predictor: the names of its documentation, which a test holds against a real server."""
    from serving.monitoring.metrics import Metrics

    page = PAGE.read_text(encoding="utf-8")
    names = {name for table in TABLES.findall(page) for name in ROW.findall(table)} | set(COUNTED.findall(page))
    histograms = {family.name for family in Metrics().collect() if family.type == "histogram"}
    parts = {f"{name}_{part}" for name in histograms for part in ("bucket", "sum", "count")}
    # Nothing has the bare name of a histogram: a query for it finds nothing, for ever.
    return frozenset(names - histograms | parts)


def _rules(rendering: Rendering) -> Iterator[Node]:
    for rules in rendering.of("PrometheusRule"):
        yield from _rules_of(rules)


def _rules_of(rules: Node) -> Iterator[Node]:
    for group in listed(rules, "spec", "groups"):
        yield from listed(group, "rules")


def _dashboard(node: Any) -> Iterator[str]:
    # The "query" of a variable that chooses a data source is the kind of the source.
    if isinstance(node, dict) and node.get("type") != "datasource":
        for key, value in node.items():
            if key in {"expr", "query", "definition"} and isinstance(value, str):
                yield value
            else:
                yield from _dashboard(value)
    elif isinstance(node, list):
        for value in node:
            yield from _dashboard(value)
