"""What hack/bench-training lets train: our loop as it is, and a bare one on random tensors that lie in memory."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from components.dataset import Rows, Scaling, Splits, save_arrays
from components.models.checkpoint import Keeper, State
from components.models.device import Device, choose
from components.models.export import Served
from components.models.group import Group
from components.models.loop import Loop
from components.models.networks import build, channels_of
from components.models.settings import MnistCnn, Network, ResNet18
from modelpackage import canonical_json

#: Takes some steps and returns the seconds of one.
Bout = Callable[[], float]
CLASSES = 10
MEAN, DEVIATION = 127.0, 74.0


@dataclass(frozen=True)
class Workload:
    """A network and its data.

    Attributes:
        title: For tables.
        settings: Of the network.
        shape: Of a picture.
        rows: Of the training split.
        batch: Rows of a step.
        steps: Of a bout, by device.
        suffix: Of picture files.
        flops: Of one row, forward and backward; zero where nobody asks.
    """

    title: str
    settings: type[Network]
    shape: tuple[int, ...]
    rows: int
    batch: int
    steps: dict[str, int]
    suffix: str
    flops: float = 0.0

    def chosen(self, device: str, **settings: Any) -> Network:
        """Return the settings of a contestant; in float32 unless they say otherwise."""
        known = {"batch_size": self.batch, "device": device, "precision": "float32"}
        return self.settings(**{**known, **settings})


WORKLOADS = {
    "mnist_cnn": Workload("mnist_cnn, 28 x 28", MnistCnn, (28, 28), 3200, 64, {"cpu": 10, "cuda": 100}, "png"),
    # 1.82 billion multiplications with an addition each, and backward twice as many.
    "resnet18": Workload(
        "resnet18, 224 x 224", ResNet18, (224, 224, 3), 320, 16, {"cpu": 1, "cuda": 20}, "jpg", 3 * 2 * 1.82e9
    ),
}


def made(folder: Path, workload: Workload) -> Splits:
    """Write pictures as preprocessing does: smooth, with some noise, as photographs are."""
    random = np.random.default_rng(0)
    rows = Rows(
        kind="image",
        labels=tuple(f"{number}" for number in range(CLASSES)),
        shape=workload.shape,
        datatype="UINT8",
        minimum=0.0,
        maximum=255.0,
    )
    rows.save(folder)
    channels = channels_of(rows)
    scaling = Scaling(mean=(MEAN,) * channels, factor=(1 / DEVIATION,) * channels)
    (folder / "preprocessing.json").write_bytes(canonical_json(scaling.model_dump(mode="json")))
    for split, count in (("train", workload.rows), ("validation", 32)):
        side = workload.shape[0]
        coarse = torch.from_numpy(random.random((count, channels, 7, 7), dtype=np.float32)) * 255
        smooth = functional.interpolate(coarse, size=(side, side), mode="bilinear").permute(0, 2, 3, 1).numpy()
        x = np.clip(smooth + random.normal(0, 8, smooth.shape), 0, 255).astype(np.uint8)
        save_arrays(folder / split, x=x.reshape(count, *workload.shape), y=random.integers(0, CLASSES, count))
    return Splits(folder)


class Once(Keeper):
    """Keeps the checkpoints that it is told to, and no others.

    Args:
        uri: Of their folder.
    """

    def __init__(self, uri: str) -> None:
        super().__init__(uri, 1)
        self.wanted = False
        #: Seconds for which training stood still, to copy its state.
        self.still: list[float] = []

    def due(self) -> bool:
        wanted, self.wanted = self.wanted, False
        return wanted

    def keep(self, step: int, state: State, *, wait: bool = False) -> None:
        start = time.perf_counter()
        super().keep(step, state, wait=wait)
        self.still.append(time.perf_counter() - start)
        self.pending = self._writing

    def finish(self) -> None:
        """Wait for what is being written."""
        self.pending.result()


def trainer(splits: Splits, settings: Network, keeper: Keeper | None = None, group: Group | None = None) -> Loop:
    group = group or Group()
    torch.manual_seed(0)
    served = Served(build(settings, splits.rows), splits.preprocessing)
    train, held = splits.part("train"), splits.part("validation")
    span = 255.0 / DEVIATION
    device = choose(settings, group)
    return Loop(served, settings, train, held, span, 0, device, group, keeper or Keeper(None, 0))


def ours(loop: Loop, steps: int) -> Bout:
    """Return bouts of our loop, with its data, its figures and its judgement of every step: short epochs."""
    loop.feed.steps = min(steps, loop.feed.steps)

    def epoch() -> None:
        loop._epoch()  # noqa: SLF001 (a bout must not judge the held rows)
        loop.progress.next_epoch()

    return lambda: timed(epoch, loop.feed.steps, loop.device)


def checkpointed(loop: Loop, steps: int, keeper: Once) -> Bout:
    """Return bouts of our loop with a checkpoint at the first step; they last until it is written."""
    loop.feed.steps = min(steps, loop.feed.steps)

    def epoch() -> None:
        keeper.wanted = True
        loop._epoch()  # noqa: SLF001 (as above)
        loop.progress.next_epoch()
        keeper.finish()

    return lambda: timed(epoch, loop.feed.steps, loop.device)


class Bare:
    """The least that trains: forward, loss, backward, Adam.

    Args:
        splits: Say what the pictures are like.
        settings: Of the network.
    """

    def __init__(self, splits: Splits, settings: Network) -> None:
        self.device = choose(settings, Group())
        torch.manual_seed(0)
        network = build(settings, splits.rows).train()
        self.network = network.to(self.device.where, memory_format=torch.channels_last)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=settings.learning_rate)
        self.loss: nn.Module = nn.CrossEntropyLoss()

    def step(self, x: torch.Tensor, y: torch.Tensor) -> None:
        self.optimizer.zero_grad()
        self.loss(self.network(x), y).backward()
        self.optimizer.step()

    def bout(self, splits: Splits, size: int, steps: int) -> Bout:
        """Return bouts on one batch of random numbers."""
        shape = (size, channels_of(splits.rows), *splits.rows.shape[:2])
        x = torch.randn(shape, device=self.device.where).contiguous(memory_format=torch.channels_last)
        y = torch.randint(0, CLASSES, (size,), device=self.device.where)

        def run() -> None:
            for _ in range(steps):
                self.step(x, y)

        return lambda: timed(run, steps, self.device)


def timed(run: Callable[[], None], steps: int, device: Device) -> float:
    """Return the seconds of one of so many steps, all that a GPU still has to do included."""
    settle(device)
    start = time.perf_counter()
    run()
    settle(device)
    return (time.perf_counter() - start) / steps


def settle(device: Device) -> None:
    """Wait for the GPU."""
    if device.gpu:
        torch.cuda.synchronize(device.where)
