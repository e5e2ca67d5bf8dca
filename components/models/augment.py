"""Random changes of a batch of training pictures, all rows at once; drawn from the run's own generator."""

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional

from components.models.settings import Augment


def augment(batch: Tensor, settings: Augment, span: float, generator: Generator) -> Tensor:
    """Change every picture in its own way.

    Args:
        batch: Scaled pictures, shape (rows, channels, height, width).
        settings: How strongly; zero changes nothing.
        span: From the smallest to the largest meaningful value, in the scaled unit.
        generator: Where chance comes from.

    Returns:
        A batch of the same shape.
    """
    if settings.flip:
        mirrored = torch.rand(len(batch), 1, 1, 1, generator=generator) < 0.5  # noqa: PLR2004 (even odds)
        batch = torch.where(mirrored, batch.flip(3), batch)
    if settings.shift or settings.zoom or settings.rotation:
        batch = _moved(batch, settings, generator)
    if settings.contrast:
        centre = batch.mean(dim=(1, 2, 3), keepdim=True)
        batch = centre + (batch - centre) * (1 + _uniform(len(batch), settings.contrast, generator))
    if settings.brightness:
        batch = batch + span * _uniform(len(batch), settings.brightness, generator)
    if settings.noise:
        batch = batch + span * settings.noise * torch.randn(batch.shape, generator=generator)
    return batch


def _moved(batch: Tensor, settings: Augment, generator: Generator) -> Tensor:
    """Turn, enlarge and shift; what comes in from outside repeats the border."""
    rows, _, height, width = batch.shape
    angle = _uniform(rows, math.radians(settings.rotation), generator).flatten()
    size = 1 - settings.zoom * torch.rand(rows, generator=generator)
    x, y = (2 * _uniform(rows, settings.shift, generator).flatten() for _ in range(2))
    # What zooming leaves out may be anywhere, so that the picture moves under the window.
    x, y = (move + (1 - size) * _uniform(rows, 1, generator).flatten() for move in (x, y))
    cosine, sine = torch.cos(angle) * size, torch.sin(angle) * size
    # The grid is square in [-1, 1]: a turn must not stretch a picture that is not square.
    wide = width / height
    first = torch.stack([cosine, -sine / wide, x], dim=1)
    second = torch.stack([sine * wide, cosine, y], dim=1)
    grid = functional.affine_grid(torch.stack([first, second], dim=1), list(batch.shape), align_corners=False)
    return functional.grid_sample(batch, grid, padding_mode="border", align_corners=False)


def _uniform(rows: int, most: float, generator: Generator) -> Tensor:
    """Draw a number between -most and most for every row, shape (rows, 1, 1, 1)."""
    return (2 * torch.rand(rows, 1, 1, 1, generator=generator) - 1) * most
