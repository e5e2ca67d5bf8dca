"""Batches of a memory-mapped split, where the network is: no worker processes, no second copy of the pictures.

A split that fits lies in memory, on a GPU in the GPU's; of a larger one every batch is read from its file, for a GPU
into pinned memory and one batch ahead.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from components.dataset import Part, chunks, release
from components.models.augment import augment
from components.models.chance import CHANGES, ORDER, Chance, seed_of
from components.models.device import Device
from components.models.export import Served
from components.models.group import Group
from components.models.settings import Network

#: Pictures of a split that fit here are read once; of a larger one every batch is read from its file.
CACHED_BYTES = 1_000_000_000
#: The share of a GPU's free memory that pictures may take; the rest is the network's.
GPU_SHARE = 0.25


@dataclass(frozen=True)
class Batch:
    """Rows of one step.

    Attributes:
        number: In its epoch, from 1.
        rows: Of all processes: their numbers in the split, shape (rows,), on the CPU.
        targets: Of all processes, shape (rows,).
        x: This process's pictures, scaled and changed at random, (own rows, channels, height, width).
        y: This process's targets, (own rows,).
    """

    number: int
    rows: Tensor
    targets: Tensor
    x: Tensor
    y: Tensor


class Feed:
    """Deals out the rows of a split.

    Args:
        served: Scales pictures.
        settings: Size of a batch, and how pictures are changed.
        part: The split.
        span: From the smallest to the largest meaningful value of a picture, in the scaled unit.
        seed: Decides the order of rows and the random changes.
        device: Where batches are wanted.
        group: The processes that share a batch.
    """

    def __init__(
        self, served: Served, settings: Network, part: Part, span: float, seed: int, device: Device, group: Group
    ) -> None:
        self._served, self._settings, self._span, self._seed = served, settings, span, seed
        self._device, self._group = device, group
        self.y = torch.from_numpy(np.array(part.y))
        self._x = _pictures(part, device)
        size, fewest = settings.batch_size, max(2, group.size)
        left = len(self.y) % size
        # Batch norm has no variance of a single row, and no process may be without one.
        self.steps = -(-len(self.y) // size) - (0 < left < fewest)

    def epoch(self, epoch: int, done: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch in its own order.

        Args:
            epoch: From 1.
            done: So many of its batches are left out: they were learned from already.
        """
        generator = torch.Generator().manual_seed(seed_of(self._seed, ORDER, epoch))
        order = torch.split(torch.randperm(len(self.y), generator=generator), self._settings.batch_size)
        for number, (rows, raw) in enumerate(self._ahead(list(order[done : self.steps])), start=done + 1):
            seed = seed_of(self._seed, CHANGES, epoch, number)
            chance = Chance(seed, len(rows), self._group, self._device.where)
            x = augment(self._served.scaled(raw), self._settings.augment, self._span, chance)
            targets = self.y[rows].to(self._device.where, non_blocking=True)
            yield Batch(number, rows, targets, x, self._group.share(targets))

    def _ahead(self, order: list[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield rows with their raw pictures; for a GPU, the next ones are on their way meanwhile."""
        if self._there():
            yield from ((rows, self._take(rows)) for rows in order)
            return
        with ThreadPoolExecutor(1) as thread:
            coming = [thread.submit(self._take, rows) for rows in order[:1]]
            for number, rows in enumerate(order):
                coming += [thread.submit(self._take, following) for following in order[number + 1 : number + 2]]
                yield rows, coming.pop(0).result()

    def _take(self, rows: Tensor) -> Tensor:
        mine = self._group.share(rows)
        if self._there():
            return self._x.index_select(0, mine.to(self._x.device, non_blocking=True))
        return self._x.index_select(0, mine).pin_memory().to(self._device.where, non_blocking=True)

    def _there(self) -> bool:
        return self._x.device.type == self._device.where.type


def _pictures(part: Part, device: Device) -> Tensor:
    """Return the pictures of a split, as near to the network as they fit."""
    x = part.x
    if device.gpu and x.nbytes <= GPU_SHARE * torch.cuda.mem_get_info(device.where)[0]:
        there = torch.empty(x.shape, dtype=torch.from_numpy(x[:0].copy()).dtype, device=device.where)
        for start, rows in chunks(x):
            there[start : start + len(rows)] = torch.from_numpy(rows.copy()).to(device.where)
        return there
    if x.nbytes <= CACHED_BYTES:
        cached = torch.from_numpy(np.array(x))
        release(x)
        return cached
    # Copy-on-write: torch wants memory that it could write to.
    return torch.from_numpy(np.load(part.directory / "x.npy", mmap_mode="c", allow_pickle=False))
