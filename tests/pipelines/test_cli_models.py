"""The commands over what is published, on a store and an MLflow with two versions."""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from stages import Run, run_stages

from components.champion import challenge
from components.destination import Destination
from components.evaluate import evaluate
from components.package import package
from components.publish import Published, publish
from pipelines.cli import main


def send(run: Run, name: str, destination: Destination, root: Path) -> Published:
    """What the steps after training do."""
    comparison = challenge(run.config, run.splits, run.model, destination, root / "scratch")
    measured = evaluate(run.config, run.splits, run.model, root / "evaluation", comparison)
    sealed = package(run.config, run.splits, run.model, measured, root / "package")
    return publish(run.config, name, sealed.path, root / "evaluation", run.model, destination)


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """Two versions; the second is better, and so champion."""
    home = tmp_path_factory.mktemp("published")
    destination = Destination(store=(home / "store").as_uri(), tracking=f"sqlite:///{home / 'mlflow.db'}")
    for name, trees in (("weak", 1), ("strong", 40)):
        root = home / "made" / name
        send(run_stages(root, f"train.trees={trees}", "gate.minimum=0.5"), name, destination, root)
    return home


@dataclass(frozen=True)
class Told:
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str


@pytest.fixture
def told(home, capsys):
    """Runs a command in this process, since MLflow takes seconds to import; the environment is as it was afterwards."""
    before = dict(os.environ)

    def run(*arguments: str, **environment: str) -> Told:
        for name in ("SLIPWAY_STORE", "MLFLOW_TRACKING_URI"):
            os.environ.pop(name, None)
        os.environ.update({"SLIPWAY_HOME": str(home), **environment})
        capsys.readouterr()
        code = main(arguments)
        said = capsys.readouterr()
        return Told(code, said.out, said.err)

    yield run
    os.environ.clear()
    os.environ.update(before)


def test_models_are_shown_with_what_tells_them_apart(told):
    done = told("models")
    assert done.code == 0, done.err
    head, first, second = done.out.splitlines()
    assert head.split()[:5] == ["MODEL", "VERSION", "ALIAS", "DIGEST", "ACCURACY"]
    assert re.match(
        r"digits +2 +challenger, champion +[0-9a-f]{12} +0\.\d{4} +0\.\d{4} to \d\.\d{4} +[0-9a-f]{12} ", first
    )
    assert second.split()[:2] == ["digits", "1"]
    assert told("models", "nothing").out.startswith("no model nothing is registered")


def test_a_model_is_traced_to_its_run_code_settings_and_data(told, home):
    traced = told("trace", "digits@champion")
    assert traced.code == 0, traced.err
    descriptor = next((home / "store" / "digits").glob("sha256-*/model.json"))
    lineage = json.loads(descriptor.read_text())["lineage"]
    for part in ("version    digits 2", "run        strong", lineage["code"], lineage["data"], "train.trees=40"):
        assert part in traced.out
    assert "no version of the data was pushed" in traced.out
    assert "run        weak" in told("trace", "digits@1").out


def test_a_request_is_traced_by_the_log_of_the_predictor(told, home, tmp_path):
    digest = re.search(r"sha256:([0-9a-f]{64})", told("trace", "digits@champion").out)[1]
    log = tmp_path / "predictor.log"
    log.write_text(
        "INFO: noise\n"
        + json.dumps({"event": "request", "id": "other", "digest": "0" * 12})
        + "\n"
        + json.dumps({"event": "request", "id": "r-7", "code": "200", "digest": digest[:12]})
        + "\n"
    )
    traced = told("trace", "--request", "r-7", "--log", str(log))
    assert traced.code == 0, traced.err
    assert digest in traced.out
    assert f"no answer to request r-8 is in {log}" in told("trace", "--request", "r-8", "--log", str(log)).err


@pytest.mark.parametrize("what", ["digits@prod", "digits@9", "iris@champion", "abc", "0" * 12])
def test_what_is_not_registered_can_not_be_traced(told, what):
    traced = told("trace", what)
    assert (traced.code, traced.out) == (2, "")
    assert f"{what} is no registered model; slipway models shows them" in traced.err


def test_a_rollback_makes_the_version_before_champion_and_ends_at_the_first(told):
    done = told("rollback", "digits", "--reason", "too slow")
    assert done.code == 0, done.err
    assert done.out.startswith("champion  digits version 1, before it was 2\n")
    assert "version    digits 1 (champion)" in told("trace", "digits@champion").out
    again = told("rollback", "digits", "--reason", "too slow")
    assert again.code == 2
    assert "digits version 1 is the first champion; name another one with --to" in again.err
    assert told("rollback", "digits", "--reason", "mended", "--to", "2").code == 0
    assert told("rollback", "digits", "--reason", "no, it is not").out.startswith("champion  digits version 1")
    assert told("rollback", "digits", "--reason", "it is", "--to", "2").code == 0
    assert "--reason is empty" in told("rollback", "digits", "--reason", " ").err
    assert "has no version 9; there are 2, 1" in told("rollback", "digits", "--reason", "x", "--to", "9").err
    assert "is champion already" in told("rollback", "digits", "--reason", "x", "--to", "2").err
    assert "iris has no champion" in told("rollback", "iris", "--reason", "x").err


def test_nothing_is_left_to_register_and_nothing_to_remove(told):
    assert told("register").out.startswith("nothing to enter: MLflow (sqlite:///")
    clean = "something refers to every package\nno old checkpoints are left behind\n"
    assert told("gc", "--older-than", "0").out == clean


def test_checkpoints_that_nobody_went_on_from_are_listed_and_removed_when_told(told, home):
    left = home / "checkpoints" / "digits" / ("a" * 64) / f"{7:012d}-0123456789abcdef.safetensors"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"numbers")
    assert "no old checkpoints are left" in told("gc").out
    listed = told("gc", "--older-than", "0").out
    assert f"/checkpoints/digits/{'a' * 64}/  0.0 MB" in listed
    assert "1 folders of checkpoints to remove; slipway gc --remove does it" in listed
    assert left.exists()
    assert "1 folders of checkpoints removed" in told("gc", "--older-than", "0", "--remove").out
    assert not left.exists()


def test_a_package_without_a_version_is_listed_and_removed_when_told(told, home, tmp_path, sealed):
    from components.publish import upload
    from components.store import open_store

    upload(open_store((home / "store").as_uri()), sealed)
    listed = told("gc", "--older-than", "0")
    assert f"tiny/sha256-{sealed.digest}/" in listed.out
    assert "1 packages to remove; slipway gc --remove does it" in listed.out
    overlay = tmp_path / "isvc.yaml"
    overlay.write_text(f"storageUri: s3://models/tiny/sha256-{sealed.digest}/")
    assert "something refers" in told("gc", "--older-than", "0", "--overlays", str(overlay)).out
    assert "1 packages removed" in told("gc", "--older-than", "0", "--remove").out
    assert not list((home / "store" / "tiny").rglob("*.json"))


def test_a_profile_names_other_places(told, home, tmp_path):
    own = tmp_path / "own"
    (own / "profiles").mkdir(parents=True)
    lines = f"# places\nSLIPWAY_STORE={(home / 'store').as_uri()}\nMLFLOW_TRACKING_URI=sqlite:///{home / 'mlflow.db'}\n"
    (own / "profiles" / "other.env").write_text(lines)
    assert "digits" in told("models", "--profile", "other", SLIPWAY_HOME=str(own)).out
    missing = told("models", "--profile", "none", SLIPWAY_HOME=str(own))
    assert missing.code == 2
    assert "no profile none" in missing.err
    (own / "profiles" / "broken.env").write_text("what\n")
    assert "line 1, must look like NAME=value" in told("models", "--profile", "broken", SLIPWAY_HOME=str(own)).err


def test_without_an_mlflow_the_commands_say_what_they_need(told, tmp_path):
    done = told("models", SLIPWAY_HOME=str(tmp_path), MLFLOW_TRACKING_URI="none")
    assert done.code == 2
    assert "MLFLOW_TRACKING_URI=none names no MLflow" in done.err
