"""The dashboard: each panel asks for something that exists, of a data source that its reader chooses."""

import json
import re
from pathlib import Path

import yaml
from promql import unknown

MONITORING = Path(__file__).parents[3] / "manifests/monitoring"
BOARD = json.loads((MONITORING / "dashboard.json").read_text())
RULES = yaml.safe_load((MONITORING / "rules.yaml").read_text())
RECORDED = {rule["record"] for group in RULES["spec"]["groups"] for rule in group["rules"] if "record" in rule}
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
CHOSEN = {"type": "prometheus", "uid": "${datasource}"}


def test_panels_have_ids_and_places_of_their_own():
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(set(ids)) == len(ids)
    taken = [
        (x, y)
        for panel in BOARD["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(taken)) == len(taken) and max(x for x, _ in taken) < 24


def test_every_panel_asks_and_has_a_title():
    assert PANELS
    for panel in PANELS:
        assert panel["title"] and panel["targets"]
        assert all(target["expr"] for target in panel["targets"])
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


def test_the_data_source_is_a_variable_everywhere():
    variables = {variable["name"]: variable for variable in BOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    asking = [*PANELS, *(target for panel in PANELS for target in panel["targets"])]
    asking += [variable for variable in variables.values() if variable["type"] == "query"]
    assert {json.dumps(each["datasource"]) for each in asking} == {json.dumps(CHOSEN)}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(BOARD)))
    assert used - {"__rate_interval"} == set(variables)


def test_a_panel_reads_only_what_a_predictor_exports_or_a_rule_records(exported):
    for panel in PANELS:
        for target in panel["targets"]:
            assert unknown(target["expr"], exported, RECORDED) == set(), panel["title"]
            shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            assert shown <= {"pod"}.union(*exported.values()), panel["title"]
