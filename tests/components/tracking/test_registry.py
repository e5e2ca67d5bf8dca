"""One version for each package, however many register it, and aliases that only move forward."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from components.champion import Comparison
from components.record import Note
from components.store import open_store
from components.tracking import Tracking
from components.tracking import registry as module
from components.tracking.registry import BEFORE_TAG, WHY_TAG, Registry, Version


def a_note(digest: str, compared: str | None = None, action: str = "promote", name: str = "tiny") -> Note:
    return Note(
        run=f"run-{digest}", name=name, gate="passed", reason=f"{digest} is good", host="here", image="",
        finished="2026-01-01T00:00:00+00:00", parameters={}, package=digest, uri=f"s3://models/{name}/sha256-{digest}/",
        metrics={"accuracy": 0.9, "accuracy_low": 0.8, "accuracy_high": 0.95},
        comparison=Comparison(verdict="better", action=action, reason="it is", version=compared),
    )  # fmt: skip


@pytest.fixture
def registry(mlflow_uri) -> Registry:
    return Registry(Tracking(mlflow_uri))


@pytest.fixture
def store(tmp_path):
    return open_store((tmp_path / "store").as_uri())


@pytest.fixture
def run_id(mlflow_uri) -> str:
    client = Tracking(mlflow_uri).client
    return client.create_run(client.create_experiment("tests")).info.run_id


def champion(registry: Registry) -> str:
    return registry.champion("tiny").version


def test_a_digest_has_one_version_and_another_digest_another(registry, store, run_id):
    versions = [registry.register(a_note(digest), run_id, store).version for digest in ("1", "1", "2")]
    assert versions == ["1", "1", "2"]
    elsewhere = a_note("1").model_copy(update={"uri": "s3://elsewhere/"})
    assert registry.register(elsewhere, run_id, store).version == "3"
    assert store.keys("tiny/registering/") == []
    assert [version.tags["accuracy"] for version in registry.versions()] == ["0.9000"] * 3


REGISTER = """
import sys
sys.path.insert(0, sys.argv[1])
from test_registry import a_note
from components.store import open_store
from components.tracking import Tracking
from components.tracking.registry import Registry
uri, place, run_id = sys.argv[2:]
for _ in range(3):
    print(Registry(Tracking(uri)).register(a_note("7"), run_id, open_store(place)).version)
"""


def test_many_processes_that_register_one_package_make_one_version(mlflow_uri, registry, store, run_id):
    command = [sys.executable, "-c", REGISTER, str(Path(__file__).parent), mlflow_uri, store.uri, run_id]
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: subprocess.run(command, capture_output=True, text=True, check=False), range(4)))
    assert [one.stdout.split() for one in done] == [["1"] * 3] * 4, done[0].stderr
    assert len(registry.versions("tiny")) == 1


def test_a_claim_whose_holder_is_gone_is_taken_over(registry, store, run_id, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.5)
    (tmp_path / "claim").write_text("{}")
    store.create("tiny/registering/1.0", tmp_path / "claim")
    assert registry.register(a_note("1"), run_id, store).version == "1"


def versions(registry: Registry, store, run_id, count: int) -> list[Version]:
    return [registry.register(a_note(str(number)), run_id, store) for number in range(count)]


def test_the_aliases_move_as_the_comparison_says(registry, store, run_id):
    one, two, three = versions(registry, store, run_id, 3)
    assert registry.crown(one, a_note("0")) == ("champion", "challenger")
    assert registry.crown(two, a_note("1", compared="1", action="challenge")) == ("challenger",)
    assert champion(registry) == "1"
    assert registry.crown(three, a_note("2", compared="1")) == ("champion", "challenger")
    found = registry.champion("tiny")
    assert (found.version, found.tags[BEFORE_TAG], found.tags[WHY_TAG]) == ("3", "1", "2 is good")


def test_a_champion_that_came_meanwhile_is_not_overthrown(registry, store, run_id):
    one, two, three = versions(registry, store, run_id, 3)
    registry.crown(one, a_note("0"))
    registry.crown(two, a_note("1", compared="1"))
    assert registry.crown(three, a_note("2", compared="1")) == ("challenger",)
    assert champion(registry) == "2"


def test_a_step_that_is_repeated_moves_nothing(registry, store, run_id):
    one, two = versions(registry, store, run_id, 2)
    registry.crown(one, a_note("0"))
    for _ in range(2):
        assert registry.crown(two, a_note("1", compared="1")) == ("champion", "challenger")
    assert registry.champion("tiny").tags[BEFORE_TAG] == "1"


def test_rolling_back_twice_goes_back_twice(registry, store, run_id):
    found = versions(registry, store, run_id, 3)
    for number, version in enumerate(found):
        registry.crown(version, a_note(str(number), compared=str(number) if number else None))
    for expected in ("2", "1"):
        by_version = {version.version: version for version in registry.versions("tiny")}
        now = by_version[champion(registry)]
        registry.roll_back(now, by_version[now.tags[BEFORE_TAG]], "it answers too slowly")
        assert champion(registry) == expected
    assert registry.champion("tiny").tags[WHY_TAG].endswith("back from 2: it answers too slowly")
    middle = next(version for version in registry.versions("tiny") if version.version == "2")
    reasons = [line.split(": ")[0].split(" ", 1)[-1] for line in middle.tags[WHY_TAG].splitlines()]
    assert reasons == ["is good", "back from 3", "rolled back to 1"], "nothing that was said before is lost"
