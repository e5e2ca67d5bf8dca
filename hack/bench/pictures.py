"""Picture files behind torch's DataLoader, decoded by Pillow: the usual way, which hack/bench-training measures."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench.loops import DEVIATION, MEAN, Bare, Bout, timed
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from components.dataset import Splits
from components.models.networks import channels_of


class Pictures(Dataset[tuple[Tensor, int]]):
    """Files and their targets.

    Args:
        folder: Of the files, which are named by their numbers.
        splits: The same pictures, as preprocessing wrote them.
        suffix: Of the files.
    """

    def __init__(self, folder: Path, splits: Splits, suffix: str) -> None:
        self._paths = [folder / f"{number}.{suffix}" for number in range(len(splits.part("train")))]
        self._y = np.array(splits.part("train").y)
        channels = channels_of(splits.rows)
        normal = transforms.Normalize([MEAN / 255] * channels, [DEVIATION / 255] * channels)
        self._prepare = transforms.Compose([transforms.ToTensor(), normal])

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        with Image.open(self._paths[index]) as picture:
            return self._prepare(picture), int(self._y[index])


def save_pictures(folder: Path, splits: Splits, suffix: str) -> None:
    """Write the training rows as files."""
    folder.mkdir()
    for number, row in enumerate(splits.part("train").x):
        Image.fromarray(row).save(folder / f"{number}.{suffix}")


def loaded(bare: Bare, data: Pictures, size: int, steps: int, workers: int) -> Bout:
    """Return bouts of the bare loop on what a DataLoader decodes.

    Workers keep two batches each ready between bouts, so read a ratio of short bouts with that in mind.
    """
    options: dict[str, Any] = {"persistent_workers": True} if workers else {}
    loader = DataLoader(data, size, shuffle=True, num_workers=workers, pin_memory=bare.device.gpu, **options)
    batches: Iterator[tuple[Tensor, Tensor]] = itertools.chain.from_iterable(loader for _ in itertools.count())

    def run() -> None:
        for _ in range(steps):
            x, y = (tensor.to(bare.device.where, non_blocking=True) for tensor in next(batches))
            bare.step(x.contiguous(memory_format=torch.channels_last), y)

    return lambda: timed(run, steps, bare.device)
