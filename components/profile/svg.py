"""Small charts by hand, as SVG inside HTML: as wide as their place, coloured by the style of the page, a kilobyte each.

Each colour is a CSS class, ``g0`` and on for groups, so that one chart serves the light and the dark page. It knows
nothing of data sets; the profile draws with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

BINS = 30
#: Where the extremes span this many times what 98 in 100 values span, the outermost bars gather what lies beyond.
STRETCHED = 4
WIDTH, HEIGHT = 1000, 200
WIDEST_BAR, SHARE_OF_SLOT = 70, 0.92


def histogram(values: NDArray[np.floating], groups: NDArray[np.int64], name: str) -> str:
    """Draw the distribution of numbers as bars, stacked by group, above an axis with its two ends.

    Args:
        values: At least one, all finite, shape (rows,).
        groups: The colour of each row, counted from zero, shape (rows,).
        name: What is drawn, for those who can't see it.
    """
    bins = _bins(values)
    place = np.clip((values.astype(np.float64) - bins.start) / bins.width, 0, bins.count - 1).astype(np.int64)
    colours = int(groups.max()) + 1
    counts = np.bincount(place * colours + groups, minlength=bins.count * colours).reshape(bins.count, colours)
    highest = int(counts.sum(axis=1).argmax())
    low, high = number(float(values.min())), number(float(values.max()))
    alt = f"histogram of {name}, from {low} to {high}, highest near {number(bins.start + (highest + 0.5) * bins.width)}"
    return (
        f'<figure class="histogram"><svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(alt)}">{_stacks(counts)}</svg>'
        f"<figcaption><span>{bins.first}</span><span>{bins.last}</span></figcaption></figure>"
    )


def bar(parts: Sequence[tuple[str, int]], whole: int) -> str:
    """Draw counts side by side in one horizontal bar; hidden from those who can't see it, as the numbers stand beside.

    Args:
        parts: The CSS class and the count of each.
        whole: What fills the width.
    """
    drawn, start = [], 0
    for colour, count in parts:
        left, right = (round(WIDTH * edge / max(1, whole)) for edge in (start, start + count))
        # A hair's breadth tells few from none.
        drawn += [f'<rect class="{colour}" x="{left}" width="{max(right - left, 2)}" height="10"/>'] * (count > 0)
        start += count
    box = f'viewBox="0 0 {WIDTH} 10" preserveAspectRatio="none"'
    return f'<svg class="bar" {box} aria-hidden="true">{"".join(drawn)}</svg>'


def number(value: float) -> str:
    """Write a number as short as a person reads it: 12,345 and 0.0123."""
    whole = value.is_integer() or abs(value) >= 1e4  # noqa: PLR2004 (five digits say enough)
    return f"{value:,.0f}" if whole and abs(value) < 1e12 else f"{value:.4g}"  # noqa: PLR2004 (nobody counts more)


@dataclass(frozen=True)
class _Bins:
    """Bars of one width, and what stands at the two ends of their axis."""

    start: float
    width: float
    count: int
    first: str
    last: str


def _bins(values: NDArray[np.floating]) -> _Bins:
    low, high = float(values.min()), float(values.max())
    inner_low, inner_high = (float(cut) for cut in np.quantile(values.astype(np.float64), (0.01, 0.99)))
    first, last = number(low), number(high)
    if high - low > STRETCHED * (inner_high - inner_low) > 0:
        first = f"≤ {number(inner_low)}" if inner_low > low else first
        last = f"≥ {number(inner_high)}" if inner_high < high else last
        low, high = inner_low, inner_high
    if bool((values == np.rint(values)).all()):
        # Whole numbers get bars of whole width, or a comb of empty bars would appear.
        low, high = np.floor(low), np.ceil(high)
        width = float(np.ceil((high - low + 1) / BINS))
        return _Bins(float(low) - 0.5, width, int(np.ceil((high - low + 1) / width)), first, last)
    if high == low:
        return _Bins(low - 0.5, 1.0, 1, first, last)
    return _Bins(low, (high - low) / BINS, BINS, first, last)


def _stacks(counts: NDArray[np.int64]) -> str:
    """Return one path per colour; a rectangle per bar would be ten times as long."""
    tops = np.ceil(counts.cumsum(axis=1) * (HEIGHT / counts.sum(axis=1).max())).astype(int)
    slot = WIDTH / len(counts)
    wide = min(round(slot * SHARE_OF_SLOT), WIDEST_BAR)
    paths = []
    for colour in range(counts.shape[1]):
        steps = []
        for index, top in enumerate(tops[:, colour].tolist()):
            tall = top - (int(tops[index, colour - 1]) if colour else 0)
            if tall:
                steps.append(f"M{round((index + 0.5) * slot - wide / 2)} {HEIGHT - top}h{wide}v{tall}h-{wide}z")
        paths += [f'<path class="g{colour}" d="{"".join(steps)}"/>'] * bool(steps)
    return "".join(paths)
