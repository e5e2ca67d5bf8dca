"""Random numbers of training, drawn anew from the run's seed for every epoch and every step.

So there is no random state that a checkpoint could lose, and a step draws the same numbers whatever came before it. The
order of rows and their changes do not depend on how many processes share a batch; dropped activations do.
"""

import numpy as np
import torch
from torch import Tensor

from components.models.group import Group

#: What numbers are drawn for.
ORDER, CHANGES, DROPPED = range(3)


def seed_of(*numbers: int) -> int:
    """Return a seed for torch that is far from those of neighbouring numbers (numpy's SeedSequence)."""
    (state,) = np.random.SeedSequence(numbers).generate_state(1, np.uint64)
    return int(state >> np.uint64(1))


class Chance:
    """Numbers for the random changes of one batch.

    Args:
        seed: Of the batch.
        rows: Of the batch, of all processes together.
        group: Draws for all rows and keeps this process's share.
        device: Where the numbers are needed.
    """

    def __init__(self, seed: int, rows: int, group: Group, device: torch.device) -> None:
        self._rows, self._group, self._device = rows, group, device
        self._generator = torch.Generator(device).manual_seed(seed)

    def uniform(self) -> Tensor:
        """Draw a number from 0 to 1 for each of this process's rows, shape (rows,)."""
        return self._group.share(torch.rand(self._rows, generator=self._generator, device=self._device))

    def symmetric(self, most: float) -> Tensor:
        """Draw a number from -most to most for each of this process's rows, shape (rows,)."""
        return (2 * self.uniform() - 1) * most

    def normal(self, shape: torch.Size) -> Tensor:
        """Draw standard normal numbers, shape (this process's rows, *shape)."""
        drawn = torch.randn(self._rows, *shape, generator=self._generator, device=self._device)
        return self._group.share(drawn)
