"""The training loop: batches of a memory-mapped split, one optimizer, one schedule, the best epoch."""

import copy
import math
import time
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import LambdaLR

from components.console import say
from components.dataset import Part, release
from components.errors import TrainingError
from components.models.augment import augment
from components.models.export import Served
from components.models.networks import batch_norms
from components.models.settings import Network

SECONDS_BETWEEN_LINES = 10.0
#: Pictures of a split that fit here are read once; of a larger one every batch is read from its file.
CACHED_BYTES = 1_000_000_000
THIRDS = 3


class Loop:
    """Trains a network.

    Args:
        served: The network with its scaling in front.
        settings: How to train.
        train: The rows to learn from.
        held: The rows that choose the epoch.
        span: From the smallest to the largest meaningful value of a picture, in the scaled unit.
        seed: Decides the order of rows and the random changes.
    """

    def __init__(self, served: Served, settings: Network, train: Part, held: Part, span: float, seed: int) -> None:
        self.served = served
        self.network = served.network.to(memory_format=torch.channels_last)
        self.settings = settings
        self.x, self.y = _pictures(train), torch.from_numpy(np.array(train.y))
        self.held = held
        self.span = span
        self.generator = torch.Generator().manual_seed(seed)
        self.optimizer = _optimizer(self.network, settings)
        self.steps = max(1, -(-len(self.y) // settings.batch_size))
        self.schedule = LambdaLR(self.optimizer, self._rate)
        self.weights = _class_weights(self.y, len(train.rows.labels)) if settings.class_weights == "balanced" else None
        self.frozen = batch_norms(self.network)

    def run(self) -> list[dict[str, float]]:
        """Train until the validation loss stops falling, keep the best epoch, and return the history.

        Raises:
            TrainingError: The loss is no longer a number.
        """
        history: list[dict[str, float]] = []
        best_loss, best_state, best_epoch = math.inf, copy.deepcopy(self.network.state_dict()), 0
        for epoch in range(1, self.settings.epochs + 1):
            rate, start = self.optimizer.param_groups[0]["lr"], time.monotonic()
            train_loss = self._epoch(epoch)
            speed = len(self.y) / (time.monotonic() - start)
            loss, accuracy = self._judge()
            if not math.isfinite(loss):
                raise self._lost(f"the validation loss of epoch {epoch}")
            history.append(
                {"epoch": epoch, "train_loss": train_loss, "loss": loss, "accuracy": accuracy, "learning_rate": rate}
            )
            say(
                f"epoch {epoch}/{self.settings.epochs} loss {train_loss:.4f} validation {loss:.4f} "
                f"accuracy {accuracy:.4f} ({speed:.0f} rows/s)"
            )
            if loss < best_loss:
                best_loss, best_state, best_epoch = loss, copy.deepcopy(self.network.state_dict()), epoch
            elif epoch - best_epoch >= self.settings.patience:
                break
        say(f"kept epoch {best_epoch} of {len(history)}, validation loss {best_loss:.4f}")
        self.network.load_state_dict(best_state)
        return history

    def step(self, x: Tensor, y: Tensor) -> Tensor:
        """Take one step on scaled pictures and return the loss."""
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.settings.precision == "bfloat16"):
            logits = self.network(x.contiguous(memory_format=torch.channels_last))
        loss = functional.cross_entropy(
            logits.float(), y, weight=self.weights, label_smoothing=self.settings.label_smoothing
        )
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self.optimizer.step()
        self.schedule.step()
        return loss.detach()

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the training rows in a new order, scaled and changed at random."""
        for rows in torch.split(torch.randperm(len(self.y), generator=self.generator), self.settings.batch_size):
            if len(rows) > 1:  # batch norm has no variance of a single row
                x = self.served.scaled(self.x.index_select(0, rows))
                yield augment(x, self.settings.augment, self.span, self.generator), self.y[rows]

    def _epoch(self, epoch: int) -> float:
        self.network.train()
        for layer in self.frozen:
            layer.eval()
        losses, start = [], time.monotonic()
        told = start
        for number, (x, y) in enumerate(self.batches(), start=1):
            loss = self.step(x, y).item()
            if not math.isfinite(loss):
                raise self._lost(f"the loss of epoch {epoch}, batch {number}")
            losses.append(loss)
            now = time.monotonic()
            if now - told > SECONDS_BETWEEN_LINES:
                told, speed = now, number * self.settings.batch_size / (now - start)
                where = f"epoch {epoch}/{self.settings.epochs} batch {number}/{self.steps}"
                say(f"{where} loss {loss:.4f} ({speed:.0f} rows/s)")
        return math.fsum(losses) / max(1, len(losses))

    def _judge(self) -> tuple[float, float]:
        self.network.eval()
        loss, right = 0.0, 0
        targets, start = torch.from_numpy(np.array(self.held.y)), 0
        with torch.inference_mode():
            for batch in self.held.batches():
                logits = self.network(self.served.scaled(torch.from_numpy(batch["image"])))
                y = targets[start : start + len(logits)]
                loss += functional.cross_entropy(logits, y, reduction="sum").item()
                right += int((logits.argmax(dim=1) == y).sum())
                start += len(logits)
        return loss / len(targets), right / len(targets)

    def _rate(self, step: int) -> float:
        """Return the share of the step size at a step: a ramp, then what the schedule says."""
        warmup, whole = self.settings.warmup * self.steps, self.settings.epochs * self.steps
        if step < warmup:
            return (step + 1) / (warmup + 1)
        done = min(1.0, (step - warmup) / max(1.0, whole - warmup))
        if self.settings.schedule == "cosine":
            return 0.5 * (1 + math.cos(math.pi * done))
        return float(0.1 ** int(done * THIRDS)) if self.settings.schedule == "step" else 1.0

    def _lost(self, what: str) -> TrainingError:
        return TrainingError(f"{what} is not a number; lower train.learning_rate={self.settings.learning_rate:g}")


def _pictures(part: Part) -> Tensor:
    x = part.x
    if x.nbytes <= CACHED_BYTES:
        cached = torch.from_numpy(np.array(x))
        release(x)
        return cached
    # Copy-on-write: torch wants memory that it could write to.
    return torch.from_numpy(np.load(part.directory / "x.npy", mmap_mode="c", allow_pickle=False))


def _optimizer(network: nn.Module, settings: Network) -> torch.optim.Optimizer:
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    rate, decay = settings.learning_rate, settings.weight_decay
    match settings.optimizer:
        case "sgd":
            nesterov = settings.momentum > 0
            return torch.optim.SGD(weights, rate, settings.momentum, weight_decay=decay, nesterov=nesterov)
        case "adamw":
            return torch.optim.AdamW(weights, rate, weight_decay=decay)
        case "adam":
            return torch.optim.Adam(weights, rate, weight_decay=decay)


def _class_weights(y: Tensor, classes: int) -> Tensor:
    counts = torch.bincount(y, minlength=classes).float()
    return len(y) / (classes * counts.clamp(min=1))
