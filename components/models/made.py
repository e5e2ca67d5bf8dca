"""Small made data sets, the same every time: what the contract of models and their tests learn from.

A table with gaps and with very large and very small numbers; pictures in grey and in colours, as floats and bytes.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.dataset import SPLITS, Part, Rows, Scaling, Splits, save_arrays
from components.encoding import Encoding, fit_encoding
from components.models import Kind
from modelpackage import canonical_json

LABELS = ("low", "middle", "high")
COUNTS = {"train": 180, "validation": 60, "test": 37}
#: Made data by name, each with the kind of its rows.
MADE: dict[str, Kind] = {
    "table": "tabular",
    "grey pictures": "image",
    "grey pictures in bytes": "image",
    "colour pictures": "image",
}
SEED = 7
#: Shares of missing numbers, and of categories that say nothing of the class.
GAPS, NOISE = 0.1, 0.3


def made(name: str, directory: Path, *, scale: int = 1) -> Splits:
    """Write a small made data set: 3 classes, 180 training, 60 validation and 37 test rows.

    Args:
        name: One of :data:`MADE`.
        directory: Created.
        scale: Pictures are so many times 12 pixels a side, or 16 in colours.
    """
    random = np.random.default_rng(SEED)
    directory.mkdir(parents=True)
    rows = _rows(name, scale)
    rows.save(directory)
    values = [["", "blue", "green", "odd", "red"], ["no", "yes"]] if rows.kind == "tabular" else []
    (directory / "values.json").write_bytes(canonical_json(values))
    for split in SPLITS:
        y = np.arange(COUNTS[split], dtype=np.int64) % len(LABELS)
        arrays = _table(y, random) if rows.kind == "tabular" else {"x": _pictures(y, rows, random)}
        save_arrays(directory / split, y=y, **arrays)
    fitted = _fitted(Part(directory / "train", rows, directory / "values.json"))
    (directory / "preprocessing.json").write_bytes(canonical_json(fitted.model_dump(mode="json")))
    return Splits(directory)


def _rows(name: str, scale: int) -> Rows:
    if MADE[name] == "tabular":
        return Rows(
            kind="tabular",
            labels=LABELS,
            numbers=("height", "weight", "speed"),
            categories=("colour", "member"),
            gaps=("weight", "colour"),
        )
    shape = (16 * scale, 16 * scale, 3) if name == "colour pictures" else (12 * scale, 12 * scale)
    if name == "grey pictures":
        return Rows(kind="image", labels=LABELS, shape=shape, minimum=0.0, maximum=1.0)
    return Rows(kind="image", labels=LABELS, shape=shape, datatype="UINT8", minimum=0.0, maximum=255.0)


def _table(y: NDArray[np.int64], random: np.random.Generator) -> dict[str, NDArray[np.generic]]:
    count = len(y)
    height = y + random.normal(scale=0.4, size=count)
    weight = np.where(random.random(count) < GAPS, np.nan, 1e6 * (random.normal(size=count) - y))
    speed = 1e-6 * random.normal(size=count)
    colour = np.where(random.random(count) < NOISE, random.integers(0, 5, count), y + 1)
    member = random.integers(0, 2, count)
    return {
        "numbers": np.stack([height, weight, speed], axis=1).astype(np.float32),
        "codes": np.stack([colour, member], axis=1).astype(np.int32),
    }


def _pictures(y: NDArray[np.int64], rows: Rows, random: np.random.Generator) -> NDArray[np.generic]:
    """A bright band on noise, whose place tells the class."""
    values = random.random((len(y), *rows.shape)) / 2
    band = rows.shape[0] // len(LABELS)
    for picture, label in zip(values, y, strict=True):
        picture[label * band : (label + 1) * band] += 0.5
    return values.astype(np.float32) if rows.datatype == "FP32" else (values * 255).astype(np.uint8)


def _fitted(train: Part) -> Scaling | Encoding:
    if train.rows.kind == "tabular":
        return fit_encoding(train.numbers, train.text(), train.rows.numbers, train.rows.categories)
    channels = train.x.reshape(-1, 3 if train.x.ndim == 4 else 1).astype(np.float64)  # noqa: PLR2004 (with colours)
    return Scaling(
        mean=tuple(float(np.float32(mean)) for mean in channels.mean(axis=0)),
        factor=tuple(float(np.float32(1 / deviation)) for deviation in channels.std(axis=0)),
    )
