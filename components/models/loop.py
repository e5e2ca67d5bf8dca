"""The training loop: one optimizer, one schedule, the best epoch; and a place to go on from at every step."""

import copy
import math
import time
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import LambdaLR

from components.console import say
from components.dataset import Part
from components.errors import Stopped, TrainingError
from components.models.chance import DROPPED, seed_of
from components.models.checkpoint import Keeper, State, read
from components.models.device import Device
from components.models.export import Served
from components.models.feed import Batch, Feed
from components.models.group import Group
from components.models.networks import batch_norms
from components.models.progress import Progress
from components.models.schedule import optimizer_of, schedule_of
from components.models.settings import Network

SECONDS_BETWEEN_LINES = 10.0
#: A loss of so many times what guessing costs is no learning any more.
EXPLODED = 100.0
ROWS_NAMED = 5


class Loop:
    """Trains a network.

    Args:
        served: The network with its scaling in front.
        settings: How to train.
        train: The rows to learn from.
        held: The rows that choose the epoch.
        span: From the smallest to the largest meaningful value of a picture, in the scaled unit.
        seed: Decides the order of rows, the random changes and the dropped activations.
        device: Where.
        group: The processes that train together.
        keeper: Keeps checkpoints.
    """

    def __init__(
        self,
        served: Served,
        settings: Network,
        train: Part,
        held: Part,
        span: float,
        seed: int,
        device: Device,
        group: Group,
        keeper: Keeper,
    ) -> None:
        self.settings, self.device, self.group, self.keeper = settings, device, group, keeper
        self.served = served.to(device.where)
        self.network = self.served.network.to(memory_format=torch.channels_last)
        self.held = held
        self.seed = seed
        self.feed = Feed(self.served, settings, train, span, seed, device, group)
        self.steps = max(1, self.feed.steps)
        self.rows = min(settings.batch_size, len(self.feed.y))
        self.optimizer = optimizer_of(self.network, settings)
        self.schedule = LambdaLR(self.optimizer, schedule_of(settings, self.steps))
        self.classes = len(train.rows.labels)
        balanced = settings.class_weights == "balanced"
        self.weights = _class_weights(self.feed.y, self.classes).to(device.where) if balanced else None
        self.frozen = batch_norms(self.network)
        parallel = group.parallel(self.network)
        self.trained = torch.compile(parallel) if settings.compile else parallel
        self.best = copy.deepcopy(self.network.state_dict())
        self.progress = Progress()
        self.speed = 0.0

    def run(self) -> Progress:
        """Train until the validation loss stops falling, or go on with that, and keep the best epoch.

        Raises:
            TrainingError: The loss is no longer a number, or explodes.
            Stopped: The process was told to end.
        """
        self._resume()
        now = self.progress
        while now.epoch <= self.settings.epochs and not self._enough():
            rate = self.settings.learning_rate * self.schedule.lr_lambdas[0]((now.epoch - 1) * self.steps)
            self._epoch()
            loss, accuracy = self._judge()
            if not math.isfinite(loss):
                raise self._lost(f"the validation loss of epoch {now.epoch} is {loss}")
            self._conclude(loss, accuracy, rate)
            self._heed(self.group.sum(torch.tensor([float(self.keeper.stopping)])).item())
        if self.group.rank == 0:
            # What comes now is no training, and takes a while.
            self.keeper.keep(now.step, self._state())
        early = f"; no better for {self.settings.patience} epochs" if len(now.history) < self.settings.epochs else ""
        say(f"kept epoch {now.best_epoch} of {len(now.history)}, validation loss {now.best_loss:.4f}{early}")
        self.network.load_state_dict(self.best)
        return now

    def step(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Take one step; return this process's part of the batch's mean loss, and the norm of the whole gradient."""
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self.device.where.type, torch.bfloat16, enabled=self.device.half):
            logits = self.trained(batch.x.contiguous(memory_format=torch.channels_last))
        loss = self._loss(logits.float(), batch.y) / self._weight(batch.targets)
        # Gradients come out as the mean over the processes, of which each has a part of the sum.
        (loss * self.group.size).backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        norm = nn.utils.get_total_norm([weight.grad for weight in self.network.parameters() if weight.grad is not None])
        self.optimizer.step()
        self.schedule.step()
        return loss.detach(), norm

    def _loss(self, logits: Tensor, y: Tensor) -> Tensor:
        smoothing = self.settings.label_smoothing
        return functional.cross_entropy(logits, y, weight=self.weights, label_smoothing=smoothing, reduction="sum")

    def _weight(self, targets: Tensor) -> Tensor | int:
        return len(targets) if self.weights is None else self.weights[targets].sum()

    def _enough(self) -> bool:
        now = self.progress
        return bool(now.history) and len(now.history) - now.best_epoch >= self.settings.patience

    def _epoch(self) -> None:
        self.network.train()
        for layer in self.frozen:
            layer.eval()
        now = self.progress
        now.skip()
        start = told = time.monotonic()
        begun = now.batch
        for window in _windows(self.feed.epoch(now.epoch, now.batch), self.device.window):
            taken: list[tuple[Tensor, Tensor]] = []
            for batch in window:
                torch.manual_seed(seed_of(self.seed, DROPPED, now.step + len(taken), self.group.rank))
                taken.append(self.step(batch))
            self._settle(window, taken)
            now.sample(self.rows)
            self.speed = (now.batch - begun) * self.rows / (time.monotonic() - start)
            if time.monotonic() - told > SECONDS_BETWEEN_LINES:
                told = time.monotonic()
                self._tell()
        now.sample(self.rows, last=True)

    def _settle(self, batches: list[Batch], taken: list[tuple[Tensor, Tensor]]) -> None:
        """Judge steps, the same way in every process, and keep a checkpoint if it is time."""
        now = self.progress
        figures = torch.stack([torch.stack(pair) for pair in taken]).double()
        stopping = figures.new_tensor([[float(self.keeper.stopping), 0.0]])
        summed = self.group.sum(torch.cat([figures, stopping])).tolist()
        for batch, (loss, norms) in zip(batches, summed, strict=False):
            self._check(batch, loss, norm := norms / self.group.size)
            now.learned(loss, norm)
        self._heed(summed[-1][0])
        if self.group.rank == 0 and self.keeper.due():
            self.keeper.keep(now.step, self._state())
            now.skip()

    def _heed(self, stopping: float) -> None:
        """End if one of the processes was told to."""
        if not stopping:
            return
        now = self.progress
        if self.group.rank == 0:
            self.keeper.keep(now.step, self._state(), wait=True)
        say(f"stopped by SIGTERM at step {now.step}; a retry goes on from {self.keeper.last or 'the start'}")
        raise Stopped

    def _check(self, batch: Batch, loss: float, norm: float) -> None:
        guessing = math.log(self.classes)
        if math.isfinite(loss) and math.isfinite(norm) and loss <= EXPLODED * guessing:
            return
        what = f"the loss is {loss:.4g}" if math.isfinite(norm) else f"the loss is {loss:.4g}, its gradient {norm:.4g}"
        rows = batch.rows[:ROWS_NAMED].tolist()
        raise self._lost(
            f"in epoch {self.progress.epoch}, batch {batch.number} (step {self.progress.step + 1}, rows {rows} and "
            f"{len(batch.rows) - len(rows)} more of the training split) {what}, where guessing has {guessing:.2f}"
        )

    def _lost(self, what: str) -> TrainingError:
        self.keeper.wait()
        last = f"the last good checkpoint is {self.keeper.last}" if self.keeper.last else "there is no checkpoint"
        return TrainingError(f"{what}; {last}; lower train.learning_rate, or look at these rows")

    def _judge(self) -> tuple[float, float]:
        """Return mean loss and accuracy on the held rows, each process having judged its share of the batches."""
        self.network.eval()
        targets = torch.from_numpy(np.array(self.held.y)).to(self.device.where)
        sums = torch.zeros(2, dtype=torch.float64, device=self.device.where)
        with torch.inference_mode():
            for chosen in list(self.held.spans())[self.group.rank :: self.group.size]:
                image = torch.from_numpy(self.held.inputs(chosen)["image"]).to(self.device.where)
                logits, y = self.network(self.served.scaled(image)).float(), targets[chosen]
                sums[0] += functional.cross_entropy(logits, y, reduction="sum")
                sums[1] += (logits.argmax(dim=1) == y).sum()
        loss, right = self.group.sum(sums).tolist()
        return loss / len(targets), right / len(targets)

    def _conclude(self, loss: float, accuracy: float, rate: float) -> None:
        """Note an epoch that is over."""
        now = self.progress
        norm, train_loss = (math.fsum(values) / max(1, len(values)) for values in (now.norms, now.losses))
        entry = {"epoch": now.epoch, "train_loss": train_loss, "loss": loss, "accuracy": accuracy}
        now.history.append({**entry, "learning_rate": rate, "gradient_norm": norm})
        if loss < now.best_loss:
            now.best_loss, now.best_epoch = loss, now.epoch
            self.best = copy.deepcopy(self.network.state_dict())
        say(
            f"epoch {now.epoch}/{self.settings.epochs} loss {train_loss:.4f} validation {loss:.4f} "
            f"accuracy {accuracy:.4f} ({self._speed()})"
        )
        now.next_epoch()

    def _tell(self) -> None:
        now = self.progress
        where = f"epoch {now.epoch}/{self.settings.epochs} batch {now.batch}/{self.steps}"
        say(f"{where} loss {now.losses[-1]:.4f} ({self._speed()})")

    def _speed(self) -> str:
        """Return how fast this epoch goes, and how long the rest takes if no epoch is left out."""
        if not self.speed:
            return "learned before"
        left = (self.settings.epochs * self.steps - self.progress.step) * self.rows
        return f"{self.speed:.0f} rows/s, at most {_span(left / self.speed)} left"

    def _resume(self) -> None:
        content = self.group.give(self.keeper.latest() if self.group.rank == 0 else None)
        if content is None:
            return
        tensors, notes = read(content)
        self._restore(tensors, notes)
        say(f"going on from step {self.progress.step} in epoch {self.progress.epoch}, of {self.keeper.last}")

    def _state(self) -> State:
        """Return all that a training is, but for randomness, which every step draws anew from the seed."""
        optimizer = self.optimizer.state_dict()
        tensors = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        tensors |= {f"best.{name}": value for name, value in self.best.items()}
        tensors |= {f"optimizer.{i}.{name}": v for i, of in optimizer["state"].items() for name, v in of.items()}
        notes = {"progress": self.progress.plain()}
        return tensors, {**notes, "groups": optimizer["param_groups"], "schedule": self.schedule.state_dict()}

    def _restore(self, tensors: dict[str, Tensor], notes: dict[str, Any]) -> None:
        self.network.load_state_dict(_under("network.", tensors))
        self.best = _under("best.", tensors)
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in _under("optimizer.", tensors).items():
            number, _, what = name.partition(".")
            state.setdefault(int(number), {})[what] = value
        self.optimizer.load_state_dict({"state": state, "param_groups": notes["groups"]})
        # In the memory format of the weights, without which a GPU's fast path is closed.
        for weight, values in self.optimizer.state.items():
            for name, value in values.items():
                if value.shape == weight.shape:
                    values[name] = torch.empty_like(weight, requires_grad=False).copy_(value)
        self.schedule.load_state_dict(notes["schedule"])
        self.progress = Progress.of(notes["progress"])


def _windows(batches: Iterable[Batch], size: int) -> Iterator[list[Batch]]:
    window: list[Batch] = []
    for batch in batches:
        window.append(batch)
        if len(window) == size:
            yield window
            window = []
    if window:
        yield window


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _class_weights(y: Tensor, classes: int) -> Tensor:
    counts = torch.bincount(y, minlength=classes).float()
    return len(y) / (classes * counts.clamp(min=1))


def _span(seconds: float) -> str:
    """Return a time in words as short as 40 s, 12 min or 3.5 h."""
    if seconds < 100:  # noqa: PLR2004 (as the docstring says)
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"  # noqa: PLR2004 (likewise)
