"""The rules: what they read exists, each alert is explained, and promtool sees each of them fire and hold still."""

import re
import shutil
import subprocess
from itertools import chain
from pathlib import Path

import pytest
import yaml
from promql import labels, metrics, unknown

from serving.errors import STATUS

ROOT = Path(__file__).parents[3]
RULES = yaml.safe_load((ROOT / "manifests/monitoring/rules.yaml").read_text())
SCENARIOS = Path(__file__).with_name("rules.test.yaml")
ALL = list(chain.from_iterable(group["rules"] for group in RULES["spec"]["groups"]))
ALERTS = {rule["alert"]: rule for rule in ALL if "alert" in rule}
RECORDED = {rule["record"] for rule in ALL if "record" in rule}
#: Answers that a client can't help; 501 is a request for what the protocol has and this server does not.
FAULTS = (500, 503, 504)


def firing() -> list[tuple[str, set[str]]]:
    """Each time of each scenario, and the alerts that fire then."""
    tests = yaml.safe_load(SCENARIOS.read_text())["tests"]
    return [
        (test["name"], {name for sample in case["exp_samples"] for name in re.findall('="(.*?)"', sample["labels"])})
        for test in tests
        for case in test["promql_expr_test"]
        if "ALERTS" in case["expr"]
    ]


def test_promtool_finds_every_scenario_as_it_is_told(tmp_path):
    if not (promtool := shutil.which("promtool")):
        pytest.skip("no promtool on the PATH; it comes with Prometheus")
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(RULES["spec"]))
    shutil.copy(SCENARIOS, tmp_path)
    for verb in (["check", "rules", "rules.yaml"], ["test", "rules", SCENARIOS.name]):
        run = subprocess.run([promtool, *verb], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
        assert run.returncode == 0, run.stdout + run.stderr


def test_every_alert_fires_in_a_scenario_and_holds_still_in_the_same_one_or_in_one_of_its_metrics():
    assert set(ALERTS) == set().union(*(alerts for _, alerts in firing()))
    quiet = {name for name, alerts in firing() if not alerts}
    for alert in ALERTS:
        fires = {name for name, alerts in firing() if alert in alerts}
        assert fires & quiet, f"{alert} is not seen both firing and not"


@pytest.mark.parametrize("rule", ALL, ids=lambda rule: rule.get("alert") or rule["record"])
def test_a_rule_reads_only_what_a_predictor_exports_or_another_rule_records(rule, exported):
    assert unknown(rule["expr"], exported, RECORDED) == set()


@pytest.mark.parametrize("alert", sorted(ALERTS))
def test_an_alert_says_what_it_is_and_where_to_read_on(alert):
    assert set(ALERTS[alert]["annotations"]) == {"summary", "description", "runbook"}
    assert ALERTS[alert]["labels"]["severity"] in ("critical", "warning")
    page, _, anchor = ALERTS[alert]["annotations"]["runbook"].partition("#")
    headings = re.findall(r"^#+ (.*)$", (ROOT / page).read_text(), re.MULTILINE)
    assert anchor == alert.lower() and alert in headings


def test_the_page_explains_no_alert_that_does_not_exist():
    headings = re.findall(r"^#+ (Slipway\w+)$", (ROOT / "docs/monitoring.md").read_text(), re.MULTILINE)
    assert sorted(headings) == sorted(ALERTS)


@pytest.mark.parametrize("status", STATUS.values(), ids=lambda status: status.reason)
def test_faults_are_the_codes_of_the_server_s_own_errors(status):
    patterns = {found for rule in ALL for found in re.findall(r'code=~"(50\[.*?)"', rule["expr"])}
    assert len(patterns) == 1
    counts = re.compile(patterns.pop()).fullmatch
    assert bool(counts(status.code("rest"))) == (status.http in FAULTS)
    if status.http in FAULTS:
        assert counts(status.code("grpc"))


def test_the_reasons_of_refusals_are_the_predictor_s():
    used = {found for rule in ALL for found in re.findall(r'reason="(.*?)"', rule["expr"])}
    assert used
    assert used <= {status.reason for status in STATUS.values()}


def test_the_memory_limit_is_the_runtime_s():
    runtime = yaml.safe_load((ROOT / "manifests/serving/runtime.yaml").read_text())
    limit = runtime["spec"]["containers"][0]["resources"]["limits"]["memory"]
    expression = next(rule["expr"] for rule in ALL if rule.get("record") == "slipway:memory_limit:bytes")
    assert expression == f"vector({limit.removesuffix('Mi')} * 1024 * 1024)"


def test_the_names_in_an_expression_are_found():
    expression = 'sum by (a, le) (rate(x_total{b=~"c|d"}[5m])) > 0.01 * job:y:rate5m offset 15m or vector(1)'
    assert metrics(expression) == {"x_total", "job:y:rate5m"}
    assert labels(expression) == {"a", "b", "le"}
    assert unknown(expression, {"x_total": {"b", "le"}}, set()) == {"a", "job:y:rate5m"}
