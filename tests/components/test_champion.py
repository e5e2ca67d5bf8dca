"""Candidate and champion on the same rows: what is told apart, what is not, and what happens where nothing can be."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from stages import Run, run_stages

from components.champion import challenge, compare, paired_interval
from components.config import Challenge
from components.destination import Destination
from components.package import package
from components.publish import publish

POLICY = Challenge()


def answers(both: int, ours: int, theirs: int, none: int) -> tuple[np.ndarray, np.ndarray]:
    """Whether each of the two is right, on so many rows of each kind."""
    counts = [both, ours, theirs, none]
    return np.repeat([True, True, False, False], counts), np.repeat([True, False, True, False], counts)


@pytest.mark.parametrize(
    ("rows", "verdict", "action"),
    [
        ((150, 30, 5, 15), "better", "promote"),
        ((150, 5, 30, 15), "worse", "refuse"),
        ((9800, 20, 20, 160), "equal", "challenge"),
        ((150, 12, 10, 28), "unclear", "challenge"),
        ((200, 0, 0, 0), "unclear", "challenge"),
    ],
)
def test_a_verdict_needs_an_interval_that_says_so(rows, verdict, action):
    found = compare(POLICY, *answers(*rows), "3", "d")
    assert (found.verdict, found.action, found.version) == (verdict, action, "3")
    gained, lost = rows[1], rows[2]
    assert found.difference[0] == pytest.approx((gained - lost) / sum(rows), abs=1e-6)
    assert f"{gained} gained, {lost} lost" in found.reason


def test_what_a_verdict_leads_to_is_configuration():
    bold = Challenge(unclear="promote", worse="challenge", margin=0.5)
    assert compare(bold, *answers(150, 5, 30, 15), "1", "d").action == "challenge"
    assert compare(bold, *answers(150, 12, 10, 28), "1", "d").verdict == "equal"


@pytest.mark.parametrize(("gained", "lost"), [(0.05, 0.05), (0.15, 0.05), (0.02, 0.02), (0.3, 0.1)])
def test_the_interval_holds_its_level(gained, lost):
    random, rows, trials = np.random.default_rng(0), 300, 2000
    drawn = random.multinomial(rows, [gained, lost, 1 - gained - lost], size=trials)
    intervals = [paired_interval(int(ours), int(theirs), rows) for ours, theirs, _ in drawn]
    covered = sum(low <= gained - lost <= high for low, high in intervals)
    assert 0.935 <= covered / trials <= 0.97


def test_the_interval_of_two_who_are_always_right_is_that_of_one_share():
    low, high = paired_interval(0, 0, 100)
    assert (-low, high) == pytest.approx((1.96**2 / (100 + 1.96**2),) * 2, abs=1e-4)


@pytest.mark.parametrize("rows", [1, 40])
@pytest.mark.parametrize("share", [0, 1])
def test_the_interval_of_extremes_stays_within_what_can_be(rows, share):
    low, high = paired_interval(rows * share, rows * (1 - share), rows)
    assert -1 <= low < high <= 1
    assert paired_interval(rows * (1 - share), rows * share, rows) == pytest.approx((-high, -low), abs=1e-6)


@pytest.fixture(scope="module")
def weak_run(tmp_path_factory) -> Run:
    return run_stages(tmp_path_factory.mktemp("weak"), "train.trees=1", "train.max_depth=2", "gate.minimum=0.1")


@pytest.fixture
def destination(tmp_path, mlflow_uri) -> Destination:
    return Destination(store=(tmp_path / "store").as_uri(), tracking=mlflow_uri)


def crown(run: Run, destination: Destination, tmp_path: Path) -> Path:
    """Publish a run where nothing was published before, and return the folder of its package."""
    sealed = package(run.config, run.splits, run.model, run.evaluation, tmp_path / "sealed")
    published = publish(run.config, "first", sealed.path, run.evaluation_path, run.model, destination)
    assert published.aliases == ("champion", "challenger")
    return Path(published.uri.removeprefix("file://"))


def held(run: Run, destination: Destination, tmp_path: Path):
    return challenge(run.config, run.splits, run.model, destination, tmp_path / "scratch")


def test_the_first_model_has_nobody_to_beat(forest_run, destination, tmp_path):
    found = held(forest_run, destination, tmp_path)
    assert (found.verdict, found.action, found.version) == ("first", "promote", None)
    alone = held(forest_run, Destination(store=destination.store, tracking=None), tmp_path)
    assert (alone.verdict, alone.action) == ("first", "promote")


def test_a_better_model_is_found_better_and_a_worse_one_worse(forest_run, weak_run, destination, tmp_path):
    crown(weak_run, destination, tmp_path)
    found = held(forest_run, destination, tmp_path)
    assert (found.verdict, found.action, found.version) == ("better", "promote", "1")
    other = Destination(store=(tmp_path / "other").as_uri(), tracking=f"sqlite:///{tmp_path / 'other.db'}")
    shutil.rmtree(tmp_path / "sealed")
    crown(forest_run, other, tmp_path)
    assert held(weak_run, other, tmp_path).action == "refuse"


def test_the_champion_itself_is_equal_to_itself(forest_run, destination, tmp_path):
    crown(forest_run, destination, tmp_path)
    found = held(forest_run, destination, tmp_path)
    assert found.verdict == "equal"
    assert "it is champion version 1 itself" in found.reason


@pytest.mark.parametrize("damage", ["gone", "changed"])
def test_a_champion_that_nobody_can_load_does_not_stand_in_the_way(forest_run, weak_run, destination, tmp_path, damage):
    folder = crown(forest_run, destination, tmp_path)
    shutil.rmtree(folder) if damage == "gone" else (folder / "model.onnx").write_bytes(b"x")
    found = held(weak_run, destination, tmp_path)
    assert (found.verdict, found.action) == ("first", "promote")
    assert "the package of champion version 1 is gone or damaged" in found.reason


def test_rows_that_the_champion_may_have_trained_on_prove_nothing_against_a_candidate(
    forest_run, destination, tmp_path
):
    crown(forest_run, destination, tmp_path)
    other = run_stages(tmp_path / "again", "train.trees=1", "train.max_depth=2", "gate.minimum=0.1", "seed=5")
    found = held(other, destination, tmp_path)
    assert (found.verdict, found.action) == ("unclear", "challenge")
    assert "the champion may have trained on some of these rows" in found.reason


def test_a_champion_with_other_inputs_or_labels_can_not_be_compared(forest_run, destination, tmp_path):
    crown(forest_run, destination, tmp_path)
    (tmp_path / "iris.yaml").write_text(
        "name: digits\ndata: {source: 'builtin://iris'}\ntrain: {model: random_forest, trees: 3}\ngate: {minimum: 0}\n"
    )
    found = held(run_stages(tmp_path / "iris", path=tmp_path / "iris.yaml"), destination, tmp_path)
    assert (found.verdict, found.action) == ("unclear", "challenge")
    assert "takes other inputs" in found.reason


def test_where_mlflow_can_not_be_asked_the_champion_stays(forest_run, tmp_path):
    down = Destination(store=(tmp_path / "store").as_uri(), tracking="http://127.0.0.1:9")
    found = held(forest_run, down, tmp_path)
    assert (found.verdict, found.action) == ("unclear", "challenge")
    assert "can't tell who is champion" in found.reason
