import hashlib
import json
import re
from pathlib import Path

import httpx
import pytest

from serving.errors import STATUS
from serving.settings import Settings, flag, variable

PAGE = (Path(__file__).parents[2] / "docs" / "predictor.md").read_text()
INFER = "/v2/models/tiny/infer"
#: Metrics, each under its heading; those of the prediction log are only there with one.
HEADINGS = ("Metrics", "Drift", "Live quality")


def table(heading):
    """The rows of the first table under a heading, as lists of cells without backticks."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip().replace("`", "") for cell in row] for row in rows[2:]]


def example(mark):
    return json.loads(re.search(rf"<!-- {mark} -->\n```json\n(.*?)```", PAGE, re.DOTALL)[1])


def test_the_settings_are_those_that_exist():
    found = [
        [flag(name), variable(name), "" if field.default is None else str(field.default), field.description]
        for name, field in Settings.model_fields.items()
    ]
    assert table("Settings") == found


def test_the_metrics_are_those_that_exist(server):
    httpx.post(f"{server.http}{INFER}", json=example("request"))
    httpx.post(f"{server.http}{INFER}", json={})
    text = httpx.get(f"{server.http}/metrics").text
    exposed = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE ")}
    documented = [row for heading in HEADINGS for row in table(heading)]
    for name, labels, _ in documented:
        assert name in exposed
        # Without a sample there are no labels to look at: drift needs more rows than a test sends.
        if sample := re.search(rf"^{name}(?:_count)?(?:\{{(.*)\}})? ", text, re.MULTILINE):
            assert sorted(re.findall(r"(\w+)=", sample[1] or "")) == sorted(labels.split(", ") if labels else [])
    ours = {name for name in exposed if name.startswith(("slipway_", "request_"))}
    assert ours == {name for name, *_ in documented}


def test_the_errors_are_those_that_exist():
    documented = {(int(http), grpc) for http, grpc, _ in table("Errors") if grpc}
    assert documented == {(int(status.http), status.grpc.name) for status in STATUS.values()}


def test_the_examples_are_real(server):
    answer = httpx.post(f"{server.http}{INFER}", json=example("request")).json()
    shown = example("answer")
    kept = Path(__file__).parents[1] / "modelpackage" / "formats" / "1" / "model.json"
    assert shown["parameters"]["package"] == f"sha256:{hashlib.sha256(kept.read_bytes()).hexdigest()}"
    for fields in (answer, shown):
        # The digest follows the bytes of the package, which follow the version of numpy.
        digest = fields.pop("parameters")["package"].removeprefix("sha256:")
        assert (len(digest), fields.pop("model_version")) == (64, digest[:12])
    shown["outputs"][0]["data"] = pytest.approx(shown["outputs"][0]["data"], abs=1e-6)
    assert answer == shown
    wrong = example("request")
    wrong["inputs"][0]["shape"] = [1, 4]
    assert httpx.post(f"{server.http}{INFER}", json=wrong).json() == example("refusal")


def test_the_rest_paths_are_those_that_exist(server):
    published = set(httpx.get(f"{server.http}/openapi.json").json()["paths"])
    documented = {row[0].split()[1] for row in table("Endpoints")}
    versioned = {path for path in published if "model_version" in path}
    assert documented == published - versioned
    assert len(versioned) == 3
