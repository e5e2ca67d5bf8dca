"""The size of steps over time, and the optimizer that takes them."""

import numpy as np
import pytest

from components.models.settings import MnistCnn

torch = pytest.importorskip("torch", reason="torch is not installed")
from components.models.schedule import optimizer_of, schedule_of  # noqa: E402 (needs torch)


def rates(**settings) -> list[float]:
    share = schedule_of(MnistCnn(epochs=6, **settings), steps=5)
    return [0.5 * share(step) for step in range(30)]


def test_a_constant_schedule_is_constant():
    assert set(rates()) == {0.5}


def test_a_cosine_ends_near_zero_and_never_rises():
    found = rates(schedule="cosine")
    assert found[0] == 0.5
    assert found[15] == pytest.approx(0.25)
    assert found[-1] < 0.002
    assert found == sorted(found, reverse=True)


def test_steps_come_after_each_third():
    assert rates(schedule="step") == pytest.approx([0.5] * 10 + [0.05] * 10 + [0.005] * 10)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_a_warmup_rises_evenly_to_the_largest_step(schedule):
    found = rates(warmup=2, schedule=schedule)
    assert np.diff(found[:11]) == pytest.approx([0.5 / 11] * 10)
    assert found[10] == 0.5
    assert max(found) == 0.5


def test_a_warmup_longer_than_training_never_reaches_the_largest_step():
    found = rates(warmup=20)
    assert found == sorted(found)
    assert found[-1] < 0.5


@pytest.mark.parametrize(
    ("name", "kind", "momentum"), [("adam", "Adam", None), ("adamw", "AdamW", None), ("sgd", "SGD", 0.5)]
)
def test_an_optimizer_is_made_as_the_settings_say_for_the_weights_that_are_learned(name, kind, momentum):
    network = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 2))
    network[0].requires_grad_(requires_grad=False)
    settings = MnistCnn(optimizer=name, learning_rate=0.25, weight_decay=0.125, momentum=0.5)
    optimizer = optimizer_of(network, settings)
    (group,) = optimizer.param_groups
    assert type(optimizer).__name__ == kind
    assert group["params"] == list(network[1].parameters())
    assert (group["lr"], group["weight_decay"], group.get("momentum")) == (0.25, 0.125, momentum)


def test_nesterov_needs_momentum_and_is_left_out_without():
    network = torch.nn.Linear(1, 1)
    for momentum in (0.0, 0.9):
        assert optimizer_of(network, MnistCnn(optimizer="sgd", momentum=momentum)).defaults["nesterov"] == (
            momentum > 0
        )
