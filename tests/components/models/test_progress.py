"""How far a training is: samples that thin out, and numbers that survive JSON."""

import json
import math
from itertools import pairwise

import pytest

from components.models import progress as module
from components.models.progress import MOST_SAMPLES, Progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes as it is told."""

    class Clock:
        now = 100.0

        def monotonic(self) -> float:
            return self.now

    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_numbers_survive_json_and_the_clock_goes_on(clock):
    now = Progress()
    now.learned(0.5, 2.0)
    clock.now += 3
    now.sample(10)
    now.history.append({"epoch": 1, "loss": 0.25})
    kept = json.loads(json.dumps(now.plain()))
    clock.now += 1000
    found = Progress.of(kept)
    assert found.elapsed == 3
    clock.now += 2
    assert found.elapsed == 5
    assert {**found.plain(), "seconds": 3.0} == kept
    assert (found.epoch, found.batch, found.step, found.losses, found.norms) == (1, 1, 1, [0.5], [2.0])
    assert found.best_loss == math.inf
    found.best_loss = 0.125
    assert Progress.of(json.loads(json.dumps(found.plain()))).best_loss == 0.125


def test_a_sample_tells_the_pace_since_the_one_before(clock):
    now = Progress()
    for loss in (0.5, 0.25):
        now.learned(loss, 2 * loss)
    clock.now += 0.5
    now.sample(10)
    assert now.pace == [], "it is not time yet"
    for loss in (0.2, 0.1):
        now.learned(loss, 2 * loss)
    clock.now += 1.5
    now.sample(10)
    now.learned(0.0, 0.0)
    clock.now += 1
    now.skip()
    now.learned(0.05, 0.1)
    clock.now += 4
    now.sample(10)
    assert now.pace == [
        {"step": 4, "seconds": 2.0, "rows_per_second": 20.0, "step_seconds": 0.5, "loss": 0.1, "gradient_norm": 0.2},
        {"step": 6, "seconds": 7.0, "rows_per_second": 2.5, "step_seconds": 4.0, "loss": 0.05, "gradient_norm": 0.1},
    ]


def test_an_epoch_shorter_than_the_pause_has_one_sample_and_one_without_a_step_none(clock):
    now = Progress()
    now.sample(10, last=True)
    assert now.pace == []
    for _ in range(2):
        now.learned(0.5, 1.0)
        clock.now += 0.25
        now.sample(10, last=True)
    assert [sample["step"] for sample in now.pace] == [1, 2]


def test_samples_thin_out_and_stay_evenly_spread(clock):
    now = Progress()
    for _ in range(3 * MOST_SAMPLES):
        now.learned(0.5, 1.0)
        clock.now += 1
        now.sample(10)
    assert MOST_SAMPLES / 2 <= len(now.pace) <= MOST_SAMPLES
    seconds = [sample["seconds"] for sample in now.pace]
    assert {b - a for a, b in pairwise(seconds)} == {4.0}
    assert now.pause == 4
    assert Progress.of(now.plain()).pause == 4


def test_an_epoch_begins_with_nothing_learned_of_it():
    now = Progress()
    now.learned(0.5, 1.0)
    now.next_epoch()
    assert (now.epoch, now.batch, now.step, now.losses, now.norms) == (2, 0, 1, [], [])
