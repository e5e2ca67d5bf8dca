"""``slipway optimize``: its exit codes, its table, and what it leaves."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from small_network import Network, sealed_network

from components.fetch import fetch
from components.optimize import speed
from pipelines.cli import main

BOUNDS = ("--max-drop", "0.05", "--min-speedup", "0.001")


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> Network:
    pytest.importorskip("torch", reason="torch is not installed")
    return sealed_network(tmp_path_factory.mktemp("network"))


@dataclass(frozen=True)
class Told:
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str


@pytest.fixture
def home(tmp_path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def optimize(home, capsys, monkeypatch):
    """Runs the command in this process without an MLflow; the environment is as it was afterwards."""
    monkeypatch.setattr(speed, "SECONDS", 0.01)
    before = dict(os.environ)
    os.environ.pop("SLIPWAY_STORE", None)
    os.environ.update({"SLIPWAY_HOME": str(home), "MLFLOW_TRACKING_URI": "none"})

    def run(*arguments: object) -> Told:
        capsys.readouterr()
        code = main(["optimize", *map(str, arguments)])
        said = capsys.readouterr()
        return Told(code, said.out, said.err)

    yield run
    os.environ.clear()
    os.environ.update(before)


def test_an_accepted_variant_is_published_beside_its_original_and_told_in_a_table(network, optimize, home):
    done = optimize(network.package.path, "--data", "builtin://digits", *BOUNDS)
    assert (done.code, done.err) == (0, "")
    table = done.out.splitlines()
    assert table[0].split() == ["original", "int8"]
    names = ["size", "1 row", "8 rows", "accuracy", "log loss", "calibration error", "agreement", "accepted"]
    assert [line.split("  ")[0] for line in table[1:9]] == names
    (uri,) = re.findall(r"^package   (.+)$", done.out, re.MULTILINE)
    assert fetch(uri, home / "packages").descriptor.lineage.parameters["optimize"]["method"] == "int8"
    assert f"slipway serve {uri}" in done.out
    assert f"{home}/store/digits/sha256-" in uri


def test_output_publishes_nothing_and_is_never_overwritten(network, optimize, home, tmp_path):
    asked = (network.package.path, "--data", "builtin://digits", *BOUNDS, "--output", tmp_path / "int8")
    assert optimize(*asked).code == 0
    assert (tmp_path / "int8" / "model.json").exists() and not (home / "store").exists()
    again = optimize(*asked)
    assert again.code == 2 and "exists already" in again.err


def test_a_refused_variant_leaves_nothing_and_exits_with_1(network, optimize, home, tmp_path):
    asked = (network.package.path, "--data", "builtin://digits", "--max-drop", "0.05", "--min-speedup", "1000")
    for more in ((), ("--output", tmp_path / "int8")):
        done = optimize(*asked, *more)
        assert done.code == 1
        assert "\nrefused   it is " in done.out and "accepted" not in done.out
    assert not (home / "store").exists() and not (tmp_path / "int8").exists()


def test_what_can_not_be_judged_is_an_error_and_exits_with_2(network, optimize, tmp_path):
    wrong = optimize(network.package.path, "--data", "builtin://iris", *BOUNDS)
    assert wrong.code == 2 and "builtin://iris is data sha256:" in wrong.err
    unknown = optimize(network.package.path, *BOUNDS)
    assert unknown.code == 2 and "--data SOURCE" in unknown.err
    senseless = optimize(network.package.path, "--min-speedup", "-1")
    assert senseless.code == 2 and "--min-speedup -1" in senseless.err
