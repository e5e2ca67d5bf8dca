"""The pictures of a data set in the profile: some of each class, their mean, and how bright and rich they are.

It shows and does not judge; :mod:`components.validate` does. Which pictures are shown follows from their digests, so
that the same data gives the same page wherever it lay. Only the profile imports it.
"""

import base64
import io
import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from components.dataset import CHUNK_BYTES, Rows, release
from components.profile.svg import histogram
from components.snapshot import Snapshot

SAMPLES = 8
MOST_CLASSES = 20
LONGEST_SIDE = 96
#: Smaller pictures are enlarged, and shown pixel by pixel.
SMALL_SIDE = 48
#: Colours of a sample: with all of them a page of photographs would be megabytes.
COLOURS = 64
#: Means and histograms are taken of so many values, of evenly chosen pictures: more would change nothing to see.
MEASURED_VALUES = 300_000_000


def render_pictures(snapshot: Snapshot, groups: NDArray[np.int64]) -> str:
    """Return samples and the mean of each class, and histograms of brightness and contrast.

    Args:
        snapshot: The rows, pictures.
        groups: The colour of each row, shape (rows,).
    """
    rows = snapshot.rows
    order = snapshot.order()
    shown = [target for target in range(len(rows.labels)) if (snapshot.y == target).any()][:MOST_CLASSES]
    samples = {target: _evenly(order[snapshot.y[order] == target], SAMPLES) for target in shown}
    most = max(1, MEASURED_VALUES // math.prod(rows.shape))
    measured = np.union1d(_evenly(order, most), np.concatenate(list(samples.values())))
    means, brightness, contrast = _measure(snapshot, measured, shown)
    classes = [_class(snapshot, target, samples[target], means[target]) for target in shown]
    present = len(np.unique(snapshot.y))
    fewer = f"the first {len(shown)} of {present} classes; " if len(shown) < present else ""
    return (
        f'<p class="quiet">{fewer}the mean of each class, and evenly chosen samples.</p>{"".join(classes)}'
        f"<h2>Brightness and contrast</h2>{_of_how_many(len(measured), len(snapshot))}"
        f'<div class="cards">{_chart("brightness", "mean of the values of a picture", brightness, groups[measured])}'
        f"{_chart('contrast', 'their standard deviation', contrast, groups[measured])}</div>"
    )


def _evenly(rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(most, len(rows))).round().astype(np.int64))]


def _measure(
    snapshot: Snapshot, chosen: NDArray[np.int64], shown: Sequence[int]
) -> tuple[Mapping[int, NDArray[np.float64]], NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean picture of each class shown, and brightness and contrast of each picture, all from 0 to 1."""
    x = snapshot.arrays["x"]
    sums = {target: np.zeros(snapshot.rows.shape) for target in shown}
    light = np.empty((2, len(chosen)))
    step = max(1, CHUNK_BYTES // max(1, x[:1].nbytes))
    for start in range(0, len(chosen), step):
        part = chosen[start : start + step]
        values = _unit(x[part], snapshot.rows)
        flat = values.reshape(len(part), -1)
        light[:, start : start + step] = flat.mean(axis=1), flat.std(axis=1)
        for target in np.intersect1d(snapshot.y[part], shown).tolist():
            sums[target] += values[snapshot.y[part] == target].sum(axis=0, dtype=np.float64)
        release(x)
    rows = np.bincount(snapshot.y[chosen], minlength=len(snapshot.rows.labels))
    return {target: total / rows[target] for target, total in sums.items()}, light[0], light[1]


def _unit(x: NDArray[Any], rows: Rows) -> NDArray[np.float32]:
    """Bring values to 0 to 1 by what they may be, so that a dark picture stays dark."""
    low, high = rows.minimum or 0.0, 1.0 if rows.maximum is None else rows.maximum
    unit: NDArray[np.float32] = np.clip((x.astype(np.float32) - low) / max(high - low, 1e-12), 0, 1)
    return unit


def _class(snapshot: Snapshot, target: int, samples: NDArray[np.int64], mean: NDArray[np.float64]) -> str:
    label = snapshot.rows.labels[target]
    pictures = _unit(snapshot.arrays["x"][samples], snapshot.rows)
    drawn = "".join(_image(picture, f"sample of {label}") for picture in pictures)
    return (
        f'<section class="gallery"><h3>{escape(label)} <span class="kind">'
        f"{np.count_nonzero(snapshot.y == target):,} rows</span></h3>"
        f'<div class="strip"><figure class="mean">{_image(mean, f"mean of {label}")}</figure>{drawn}</div></section>'
    )


def _image(unit: NDArray[np.floating], alt: str) -> str:
    image = Image.fromarray((unit * 255).round().astype(np.uint8))
    longest = max(image.size)
    image.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    if image.mode == "RGB":
        image = image.quantize(COLOURS)
    target = io.BytesIO()
    image.save(target, "PNG", optimize=True)
    pixelated = ' class="pixelated"' if longest < SMALL_SIDE else ""
    encoded = base64.b64encode(target.getvalue()).decode()
    return f'<img{pixelated} alt="{escape(alt)}" src="data:image/png;base64,{encoded}">'


def _chart(name: str, meaning: str, values: NDArray[np.float64], groups: NDArray[np.int64]) -> str:
    chart = histogram(values * 100, groups, name)
    head = f'<h3>{name} <span class="kind">%</span></h3>'
    return f'<section class="card">{head}{chart}<p class="quiet">{meaning}</p></section>'


def _of_how_many(measured: int, rows: int) -> str:
    return f'<p class="quiet">{measured:,} of {rows:,} pictures, evenly chosen.</p>' if measured < rows else ""
