"""Random changes of a batch of training pictures, all rows at once, on the device where they are."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from components.models.chance import Chance
from components.models.settings import Augment


def augment(batch: Tensor, settings: Augment, span: float, chance: Chance) -> Tensor:
    """Change every picture in its own way.

    Args:
        batch: Scaled pictures, shape (rows, channels, height, width).
        settings: How strongly; zero changes nothing.
        span: From the smallest to the largest meaningful value, in the scaled unit.
        chance: Where the numbers come from.

    Returns:
        A batch of the same shape.
    """
    if settings.flip:
        mirrored = chance.uniform() < 0.5  # noqa: PLR2004 (even odds)
        batch = torch.where(_wide(mirrored), batch.flip(3), batch)
    if settings.shift or settings.zoom or settings.rotation:
        batch = _moved(batch, settings, chance)
    if settings.contrast:
        centre = batch.mean(dim=(1, 2, 3), keepdim=True)
        batch = centre + (batch - centre) * (1 + _wide(chance.symmetric(settings.contrast)))
    if settings.brightness:
        batch = batch + span * _wide(chance.symmetric(settings.brightness))
    if settings.noise:
        batch = batch + span * settings.noise * chance.normal(batch.shape[1:])
    return batch


def _moved(batch: Tensor, settings: Augment, chance: Chance) -> Tensor:
    """Turn, enlarge and shift; what comes in from outside repeats the border."""
    _, _, height, width = batch.shape
    angle = chance.symmetric(math.radians(settings.rotation))
    size = 1 - settings.zoom * chance.uniform()
    x, y = (2 * chance.symmetric(settings.shift) for _ in range(2))
    # What zooming leaves out may be anywhere, so that the picture moves under the window.
    x, y = (move + (1 - size) * chance.symmetric(1) for move in (x, y))
    cosine, sine = torch.cos(angle) * size, torch.sin(angle) * size
    # The grid is square in [-1, 1]: a turn must not stretch a picture that is not square.
    wide = width / height
    first = torch.stack([cosine, -sine / wide, x], dim=1)
    second = torch.stack([sine * wide, cosine, y], dim=1)
    grid = functional.affine_grid(torch.stack([first, second], dim=1), list(batch.shape), align_corners=False)
    return functional.grid_sample(batch, grid, padding_mode="border", align_corners=False)


def _wide(values: Tensor) -> Tensor:
    """Give values of rows the shape that meets pictures, (rows, 1, 1, 1)."""
    return values[:, None, None, None]
