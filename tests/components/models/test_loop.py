"""The loop: every row once an epoch, step sizes as the schedule says, the best epoch kept."""

import math
import re

import numpy as np
import pytest

from components.dataset import Part, Rows, Scaling
from components.errors import Stopped, TrainingError
from components.models.settings import Augment, MnistCnn, ResNet18

torch = pytest.importorskip("torch", reason="torch is not installed")
from components.models import loop as module  # noqa: E402 (needs torch)
from components.models.checkpoint import Keeper  # noqa: E402 (needs torch)
from components.models.device import Device  # noqa: E402 (needs torch)
from components.models.export import Served  # noqa: E402 (needs torch)
from components.models.feed import Batch  # noqa: E402 (needs torch)
from components.models.group import Group  # noqa: E402 (needs torch)
from components.models.loop import Loop  # noqa: E402 (needs torch)
from components.models.networks import build  # noqa: E402 (needs torch)

CPU = Device(torch.device("cpu"), half=False)


class Mean(torch.nn.Module):
    """Two logits from the mean of a picture: small enough to foretell what training does to it."""

    def __init__(self) -> None:
        super().__init__()
        self.line = torch.nn.Linear(1, 2)

    def forward(self, x):
        return self.line(x.mean(dim=(1, 2, 3)).unsqueeze(1))


def part(directory, count: int = 40) -> Part:
    """Write pictures that all hold their own number, the odd ones of class 1, unless they are there."""
    if not directory.exists():
        directory.mkdir(parents=True)
        numbers = np.arange(count, dtype=np.float32)
        np.save(directory / "x.npy", np.broadcast_to(numbers[:, None, None], (count, 4, 4)).copy())
        np.save(directory / "y.npy", np.arange(count) % 2)
    rows = Rows(kind="image", labels=("even", "odd"), shape=(4, 4), minimum=0.0, maximum=40.0)
    return Part(directory, rows, directory / "values.json")


def spoil(directory, row: int, value: float) -> None:
    x = np.load(directory / "x.npy")
    x[row, 1, 1] = value
    np.save(directory / "x.npy", x)


def loop(directory, keeper=None, device=CPU, **settings) -> Loop:
    torch.manual_seed(0)
    chosen = MnistCnn(**{"batch_size": 8, "epochs": 6} | settings)
    served = Served(Mean(), Scaling(mean=(20.0,), factor=(0.1,)))
    train, held = part(directory / "train"), part(directory / "held", 30)
    return Loop(served, chosen, train, held, 4.0, 0, device, Group(), keeper or Keeper(None, 0))


def stop(directory) -> None:
    """Train one step more and be told to end."""
    with Keeper((directory / "kept").as_uri(), 1) as keeper:
        keeper.stopping = True
        with pytest.raises(Stopped):
            loop(directory, keeper).run()


def batch(x, y) -> Batch:
    return Batch(1, torch.arange(len(y)), y, x, y)


def test_validation_pictures_are_not_changed_at_random(tmp_path):
    trained = loop(tmp_path, augment=Augment(brightness=0.5, noise=0.1))
    assert trained._judge() == trained._judge()


def test_what_the_schedule_says_is_what_the_optimizer_takes(tmp_path):
    trained = loop(tmp_path, learning_rate=0.5, schedule="cosine")
    history = trained.run().history
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
        losses.append(trained.step(batch(x, y))[0].item())
    assert losses[0] < 0.01
    assert losses[1] == pytest.approx(10, rel=0.05)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_every_optimizer_lowers_the_loss(tmp_path, optimizer):
    trained = loop(tmp_path, optimizer=optimizer, learning_rate=0.05)
    x = torch.cat([torch.ones(8, 1, 4, 4), -torch.ones(8, 1, 4, 4)])
    y = torch.arange(16) // 8
    losses = [trained.step(batch(x, y))[0].item() for _ in range(20)]
    assert losses[-1] < losses[0] / 1.2


def test_the_best_epoch_is_kept_and_patience_ends_the_rest(tmp_path):
    trained = loop(tmp_path, epochs=50, learning_rate=1.0, optimizer="sgd", patience=2)
    history = trained.run().history
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
    told = (
        r"^in epoch 1, batch 1 \(step 1, rows \[\d+, \d+, \d+, \d+, \d+\] and 3 more of the training split\) the "
        r"loss is nan, its gradient nan, where guessing has 0.69; there is no checkpoint; lower train.learning_rate, or"
    )
    with pytest.raises(TrainingError, match=told):
        trained.run()


def test_one_bad_picture_is_found_in_the_batch_that_has_it_and_the_last_good_checkpoint_is_named(tmp_path):
    broken = int(list(loop(tmp_path).feed.epoch(1))[3].rows[2])
    spoil(tmp_path / "train", broken, math.nan)
    told = pytest.raises(TrainingError, match=r"in epoch 1, batch 4 \(step 4, rows \[")
    with Keeper((tmp_path / "kept").as_uri(), 1e-9) as keeper, told as caught:
        loop(tmp_path, keeper).run()
    assert f", {broken}, " in str(caught.value)
    assert f"the last good checkpoint is file://{tmp_path}/kept/00000000000" in str(caught.value)


def test_a_loss_that_explodes_ends_training_as_one_that_is_no_number_does(tmp_path):
    trained = loop(tmp_path)
    with torch.no_grad():
        trained.network.line.weight.mul_(1e4)
    with pytest.raises(TrainingError, match=r"in epoch 1, batch 1 .* the loss is \d.*, where guessing has 0.69"):
        trained.run()


def test_a_validation_loss_that_is_no_number_ends_training(tmp_path):
    part(tmp_path / "held", 30)
    spoil(tmp_path / "held", 7, math.inf)
    with pytest.raises(TrainingError, match="the validation loss of epoch 1 is nan; there is no checkpoint"):
        loop(tmp_path).run()


@pytest.mark.parametrize(
    "settings",
    [
        {"schedule": "cosine", "warmup": 0.5, "augment": Augment(noise=0.1)},
        {"optimizer": "sgd", "patience": 1, "learning_rate": 0.5, "class_weights": "balanced"},
    ],
    ids=["adam", "sgd"],
)
def test_a_training_that_is_stopped_after_every_single_step_is_the_training_that_never_was(tmp_path, settings, capsys):
    whole = loop(tmp_path, epochs=3, **settings)
    expected = whole.run()
    for tried in range(100):  # noqa: B007 (used below)
        with Keeper((tmp_path / "kept").as_uri(), 1) as keeper:
            keeper.stopping = True
            resumed = loop(tmp_path, keeper, epochs=3, **settings)
            try:
                found = resumed.run()
            except Stopped:
                continue
            break
    assert tried == expected.step + len(expected.history), "it is also asked after each epoch"
    assert found.history == expected.history
    assert found.elapsed > 0
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, resumed.network.state_dict()[name]), name
    told = capsys.readouterr().out
    kept = r"file://\S+/kept/000000000007-[0-9a-f]{16}\.safetensors"
    assert re.search(rf"stopped by SIGTERM at step 7; a retry goes on from {kept}\n", told)
    assert "going on from step 7 in epoch 2, of file://" in told


def test_a_new_training_after_only_damaged_checkpoints_keeps_its_own(tmp_path, capsys):
    uri = (tmp_path / "kept").as_uri()
    with Keeper(uri, 1) as keeper:
        for step in (7_000, 8_000):
            keeper.keep(step, loop(tmp_path)._state(), wait=True)
    for path in (tmp_path / "kept").iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    for step in (1, 2):
        stop(tmp_path)
        assert f"stopped by SIGTERM at step {step};" in capsys.readouterr().out


def test_an_epoch_that_takes_long_tells_how_far_it_is(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module, "SECONDS_BETWEEN_LINES", 0.0)
    loop(tmp_path, epochs=1).run()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("[slipway] epoch 1/1 batch 1/5 loss ")
    assert re.search(r" \(\d+ rows/s, at most \d+ s left\)$", lines[0])
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
    trained = Loop(served, settings, rows, rows, 2.55, 0, CPU, Group(), Keeper(None, 0))
    before = {name: value.clone() for name, value in trained.network.state_dict().items()}
    trained.run()
    changed = {name for name, value in trained.network.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"network.fc.1.weight", "network.fc.1.bias"}
