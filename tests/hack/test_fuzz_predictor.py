"""``hack/fuzz-predictor`` for real and in short: that it finds nothing, and would find something."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from modelpackage import Package

ROOT = Path(__file__).parents[2]
FEW = ("--rest", "300", "--grpc", "100", "--pairs", "100")


def fuzz(package: Package, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, ROOT / "hack" / "fuzz-predictor", package.path, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_hundreds_of_cases_find_no_violation(sealed):
    done = fuzz(sealed, *FEW)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 violations (seed 0)" in done.stdout
    statuses = dict(re.findall(r"^\| rest \| (\d+) \| (\d+) \|$", done.stdout, re.MULTILINE))
    assert {"200", "400", "404", "405", "415"} <= statuses.keys()
    assert sum(map(int, statuses.values())) == 300


def test_one_case_is_sent_again_and_shown(sealed):
    done = fuzz(sealed, "--only", "pairs-3")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "model_name" in done.stdout
    assert "POST" in done.stdout


@pytest.fixture
def rules(monkeypatch):
    """The second reading of the protocol."""
    monkeypatch.syspath_prepend(ROOT / "hack")
    from attack import client, model, rules

    return rules, client.Call, model.Model


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"inputs":[{"name":"image","datatype":"FP32","shape":[1,2,2],"data":[1,2,3,4]}]}', 200),
        (b'{"inputs":[{"name":"image","datatype":"FP32","shape":[1,2,2],"data":[[[1,2],[3,4]]]}]}', 200),
        (b'{"inputs":[{"name":"image","datatype":"FP32","shape":[1,2,2],"data":[[1,2],[3,4]]}]}', 400),
        (b'{"inputs":[{"name":"image","datatype":"FP32","shape":[1,2,2],"data":[1,2,3,17]}]}', 400),
        (b'{"inputs":[{"name":"image","datatype":"FP32","shape":[1,2,2],"data":[1,2,3,true]}]}', 400),
        (b'{"inputs":[{"name":"image","datatype":"FP32","shape":[true,2,2],"data":[1,2,3,4]}]}', 400),
        (b'{"inputs":[{"name":"image","datatype":"FP32","shape":[1,2,2],"data":[1,2,3,1e999]}]}', 400),
        (b'{"inputs":[{"name":"image","datatype":"FP64","shape":[1,2,2],"data":[1,2,3,4]}]}', 400),
        (b"[" * 100_000, 400),
    ],
)
def test_the_rules_tell_good_from_bad_on_their_own(sealed, rules, body, status):
    module, call, model = rules
    opened = model.open(sealed.path)

    assert module.expected(call("POST", opened.path, body), opened)[0] == status
