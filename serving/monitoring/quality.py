"""Figures of live quality, from counts by class: accuracy with its interval, precision, recall and F1.

A figure without a denominator is left out rather than called 0. Numbers only; may be imported by the feedback watcher.
"""

import math

import numpy as np
from numpy.typing import NDArray

#: The 97.5 % quantile of the normal distribution.
Z_95 = 1.959963984540054


def overall(counts: NDArray[np.int64]) -> dict[str, float]:
    """Return the figures over all classes.

    Args:
        counts: Shape (3, classes): rows that are of the class and predicted so, predicted so, of the class.

    Returns:
        ``rows``, and where there are any: ``accuracy``, ``accuracy_low``, ``accuracy_high``, ``f1_macro``.
    """
    right, rows = int(counts[0].sum()), int(counts[2].sum())
    if not rows:
        return {"rows": 0.0}
    low, high = wilson_interval(right, rows)
    scores = by_class(counts)["f1"].values()
    return {
        "rows": float(rows),
        "accuracy": right / rows,
        "accuracy_low": low,
        "accuracy_high": high,
        "f1_macro": sum(scores) / len(scores),
    }


def by_class(counts: NDArray[np.int64]) -> dict[str, dict[int, float]]:
    """Return ``precision``, ``recall`` and ``f1`` by index of the class; ``counts`` as in :func:`overall`."""
    right, predicted, true = counts
    return {
        "precision": _ratios(right, predicted),
        "recall": _ratios(right, true),
        "f1": _ratios(2 * right, predicted + true),
    }


def wilson_interval(right: int, rows: int) -> tuple[float, float]:
    """Return the 95 % score interval of a share (Wilson 1927): ``right`` of ``rows``, at least one."""
    share = right / rows
    centre = share + Z_95**2 / (2 * rows)
    spread = Z_95 * math.sqrt(share * (1 - share) / rows + Z_95**2 / (4 * rows**2))
    scale = 1 + Z_95**2 / rows
    # Rounding must not push an end past the share itself.
    return max(0.0, min(share, (centre - spread) / scale)), min(1.0, max(share, (centre + spread) / scale))


def _ratios(above: NDArray[np.int64], below: NDArray[np.int64]) -> dict[int, float]:
    return {int(index): float(above[index] / below[index]) for index in np.flatnonzero(below)}
