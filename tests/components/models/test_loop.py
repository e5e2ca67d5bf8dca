"""The loop: every row once an epoch, step sizes as the schedule says, the best epoch kept."""

import math

import numpy as np
import pytest

from components.dataset import Part, Rows, Scaling
from components.errors import TrainingError
from components.models.settings import Augment, MnistCnn, ResNet18

torch = pytest.importorskip("torch", reason="torch is not installed")
from components.models import loop as module  # noqa: E402 (needs torch)
from components.models.export import Served  # noqa: E402 (needs torch)
from components.models.loop import Loop  # noqa: E402 (needs torch)
from components.models.networks import build  # noqa: E402 (needs torch)


class Mean(torch.nn.Module):
    """Two logits from the mean of a picture: small enough to foretell what training does to it."""

    def __init__(self) -> None:
        super().__init__()
        self.line = torch.nn.Linear(1, 2)

    def forward(self, x):
        return self.line(x.mean(dim=(1, 2, 3)).unsqueeze(1))


def part(directory, count: int = 40) -> Part:
    """Write pictures that all hold their own number, the odd ones of class 1."""
    directory.mkdir(parents=True)
    numbers = np.arange(count, dtype=np.float32)
    np.save(directory / "x.npy", np.broadcast_to(numbers[:, None, None], (count, 4, 4)).copy())
    np.save(directory / "y.npy", np.arange(count) % 2)
    rows = Rows(kind="image", labels=("even", "odd"), shape=(4, 4), minimum=0.0, maximum=40.0)
    return Part(directory, rows, directory / "values.json")


def loop(directory, **settings) -> Loop:
    torch.manual_seed(0)
    chosen = MnistCnn(**{"batch_size": 8, "epochs": 6} | settings)
    served = Served(Mean(), Scaling(mean=(20.0,), factor=(0.1,)))
    return Loop(served, chosen, part(directory / "train"), part(directory / "held", 30), 4.0, seed=0)


def numbers(batches) -> list[int]:
    return [round(float(row.mean()) * 10 + 20) for x, _ in batches for row in x]


def test_an_epoch_takes_every_row_once_in_an_order_of_its_own_and_with_its_target(tmp_path):
    trained = loop(tmp_path)
    orders = []
    for _ in range(2):
        batches = list(trained.batches())
        orders.append(numbers(batches))
        assert [number % 2 for number in orders[-1]] == [int(y) for _, targets in batches for y in targets]
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(40))
    assert orders[0] != orders[1]


def test_a_last_batch_of_one_row_is_left_out(tmp_path):
    assert [len(y) for _, y in loop(tmp_path, batch_size=13).batches()] == [13, 13, 13]


def test_rows_that_are_not_held_in_memory_give_the_same_batches(tmp_path, monkeypatch):
    cached = list(loop(tmp_path / "cached").batches())
    monkeypatch.setattr(module, "CACHED_BYTES", 0)
    read = list(loop(tmp_path / "read").batches())
    assert all(torch.equal(a, b) for one, two in zip(cached, read, strict=True) for a, b in zip(one, two, strict=True))


def test_training_pictures_are_changed_at_random_and_validation_pictures_are_not(tmp_path):
    trained = loop(tmp_path, augment=Augment(brightness=0.5))
    assert len({round(float(x.mean()), 4) for x, _ in trained.batches()}) == 5
    assert sorted(numbers(trained.batches())) != list(range(40))
    assert trained._judge() == trained._judge()


def rates(directory, **settings) -> list[float]:
    trained = loop(directory, learning_rate=0.5, **settings)
    return [0.5 * trained._rate(step) for step in range(30)]


def test_a_constant_schedule_is_constant(tmp_path):
    assert set(rates(tmp_path)) == {0.5}


def test_a_cosine_ends_near_zero_and_never_rises(tmp_path):
    found = rates(tmp_path, schedule="cosine")
    assert found[0] == 0.5
    assert found[15] == pytest.approx(0.25)
    assert found[-1] < 0.002
    assert found == sorted(found, reverse=True)


def test_steps_come_after_each_third(tmp_path):
    found = rates(tmp_path, schedule="step")
    assert found == pytest.approx([0.5] * 10 + [0.05] * 10 + [0.005] * 10)


def test_a_warmup_rises_evenly_to_the_largest_step(tmp_path):
    found = rates(tmp_path, warmup=2)
    assert np.diff(found[:11]) == pytest.approx([0.5 / 11] * 10)
    assert found[10:] == [0.5] * 20


def test_what_the_schedule_says_is_what_the_optimizer_takes(tmp_path):
    trained = loop(tmp_path, learning_rate=0.5, schedule="cosine")
    history = trained.run()
    expected = [0.25 * (1 + math.cos(math.pi * epoch / 6)) for epoch in range(6)]
    assert [entry["learning_rate"] for entry in history] == pytest.approx(expected)


def test_balanced_weights_make_all_classes_count_alike(tmp_path):
    trained = loop(tmp_path, class_weights="balanced")
    counts = torch.tensor([30, 10])
    weights = module._class_weights(torch.tensor([0] * 30 + [1] * 10), 2)
    assert (counts * weights).tolist() == pytest.approx([20, 20])
    assert trained.weights.tolist() == [1, 1]
    assert loop(tmp_path / "plain").weights is None


def test_label_smoothing_raises_the_loss_of_the_sure(tmp_path):
    x, y = torch.full((4, 1, 4, 4), 50.0), torch.zeros(4, dtype=torch.long)
    losses = []
    for smoothing in (0.0, 0.2):
        trained = loop(tmp_path / str(smoothing), label_smoothing=smoothing)
        with torch.no_grad():
            trained.network.line.weight.copy_(torch.tensor([[1.0], [-1.0]]))
        losses.append(trained.step(x, y).item())
    assert losses[0] < 0.01
    assert losses[1] == pytest.approx(10, rel=0.05)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_every_optimizer_lowers_the_loss(tmp_path, optimizer):
    trained = loop(tmp_path, optimizer=optimizer, learning_rate=0.05)
    x = torch.cat([torch.ones(8, 1, 4, 4), -torch.ones(8, 1, 4, 4)])
    y = torch.arange(16) // 8
    losses = [trained.step(x, y).item() for _ in range(20)]
    assert losses[-1] < losses[0] / 1.2


def test_the_best_epoch_is_kept_and_patience_ends_the_rest(tmp_path):
    trained = loop(tmp_path, epochs=50, learning_rate=1.0, optimizer="sgd", patience=2)
    history = trained.run()
    losses = [entry["loss"] for entry in history]
    assert len(losses) < 50
    assert losses.index(min(losses)) == len(losses) - 3
    assert trained._judge()[0] == pytest.approx(min(losses))


def test_a_validation_in_batches_is_the_validation_of_all_rows_at_once(tmp_path, monkeypatch):
    trained = loop(tmp_path)
    whole = trained._judge()
    monkeypatch.setattr("components.dataset.MOST_BATCH_ROWS", 7)
    assert trained._judge() == pytest.approx(whole)
    held = trained.held
    with torch.inference_mode():
        logits = trained.network(trained.served.scaled(torch.from_numpy(held.inputs()["image"])))
    assert whole[1] == pytest.approx((logits.argmax(1).numpy() == held.y).mean())


def test_a_loss_that_is_no_number_ends_training_with_the_setting_to_lower(tmp_path):
    trained = loop(tmp_path, learning_rate=0.3)
    with torch.no_grad():
        trained.network.line.bias.fill_(math.nan)
    with pytest.raises(
        TrainingError, match="the loss of epoch 1, batch 1 is not a number; lower train.learning_rate=0.3"
    ):
        trained.run()


def test_an_epoch_that_takes_long_tells_how_far_it_is(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module, "SECONDS_BETWEEN_LINES", 0.0)
    loop(tmp_path, epochs=1).run()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("[slipway] epoch 1/1 batch 1/5 loss ")
    assert lines[0].endswith("rows/s)")
    assert lines[-1].startswith("[slipway] kept epoch 1 of 1, validation loss ")


def test_a_frozen_network_changes_in_its_last_layer_alone(tmp_path):
    torch.manual_seed(0)
    directory = tmp_path / "data"
    directory.mkdir()
    np.save(directory / "x.npy", np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3), dtype=np.uint8))
    np.save(directory / "y.npy", np.arange(20) % 2)
    kind = Rows(kind="image", labels=("a", "b"), shape=(32, 32, 3), datatype="UINT8", minimum=0.0, maximum=255.0)
    rows = Part(directory, kind, directory / "values.json")
    settings = ResNet18(freeze=True, epochs=1, batch_size=8)
    served = Served(build(settings, kind), Scaling(mean=(127.0,) * 3, factor=(0.01,) * 3))
    trained = Loop(served, settings, rows, rows, 2.55, seed=0)
    before = {name: value.clone() for name, value in trained.network.state_dict().items()}
    trained.run()
    changed = {name for name, value in trained.network.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"network.fc.1.weight", "network.fc.1.bias"}
