"""Preprocess: a snapshot in; three splits, the fitted preprocessing, the drift reference and the profile out."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.config import Config, Split
from components.console import say
from components.dataset import SPLITS, Part, Scaling, chunks, save_arrays, save_rows
from components.encoding import Encoding, fit_encoding
from components.errors import DataError
from components.profile import render_profile
from components.snapshot import FREE, Finding, Snapshot, twins
from components.validate import leaked, validate
from modelpackage import canonical_json, count_texts, describe, histogram

PROFILE = "profile.html"
FINDINGS = "findings.json"
SLICES = "slices.json"
#: Scaling and reference of pictures are fitted on so many values, of evenly spaced rows: more would change nothing.
FITTED_VALUES = 600_000_000


def preprocess(config: Config, snapshot: Snapshot, directory: Path) -> dict[str, int]:
    """Validate the data, deal out the rows, and fit the preprocessing on the training rows alone.

    Args:
        config: The run; the seed decides which rows are held out.
        snapshot: The data.
        directory: Created; read it with :class:`components.dataset.Splits`.

    Returns:
        Number of rows per split.

    Raises:
        DataError: The data can't be learned from.
    """
    same = twins(snapshot.arrays)
    findings = (*snapshot.found, *validate(snapshot, same))
    for finding in findings:
        if finding.severity == "warning":
            say(f"warning: {finding.text}")
    parts = deal(snapshot, same, config.split, config.seed)
    directory.mkdir(parents=True, exist_ok=True)
    for name, chosen in parts.items():
        for array, content in snapshot.arrays.items():
            save_rows(directory / name / f"{array}.npy", content, chosen)
        save_arrays(directory / name, y=snapshot.y[chosen])
    rows = snapshot.rows.model_copy(update={"digest": snapshot.digest()})
    rows.save(directory)
    _write(directory / "values.json", [list(values) for values in snapshot.values])
    _write(directory / FINDINGS, [finding.model_dump(mode="json") for finding in findings])
    _write(directory / SLICES, {name: list(column[parts["test"]]) for name, column in snapshot.slices.items()})
    train = Part(directory / "train", rows, directory / "values.json")
    _write(directory / "preprocessing.json", _fit(train).model_dump(mode="json"))
    _write(directory / "reference.json", _describe(train))
    profile = render_profile(config.name, snapshot, _counts(snapshot, parts), findings)
    (directory / PROFILE).write_text(profile, encoding="utf-8")
    return {name: len(chosen) for name, chosen in parts.items()}


def read_findings(directory: Path) -> list[Finding]:
    """Return what validation found."""
    return [Finding.model_validate(entry) for entry in json.loads((directory / FINDINGS).read_bytes())]


def read_slices(directory: Path) -> dict[str, list[str]]:
    """Return the slice of every test row, by column."""
    slices: dict[str, list[str]] = json.loads((directory / SLICES).read_bytes())
    return slices


def deal(snapshot: Snapshot, same: NDArray[np.int64], split: Split, seed: int) -> dict[str, NDArray[np.int64]]:
    """Choose rows for each split: stratified by class, equal rows always together, a source's own split kept.

    Args:
        snapshot: The data.
        same: As :func:`components.snapshot.twins` gives it.
        split: Shares of the held-out rows.
        seed: Decides the shuffle.

    Returns:
        Row indices by split, in the order of the rows' digests, so that another order of the same data changes nothing.

    Raises:
        DataError: A split would be empty.
    """
    home = snapshot.home.astype(np.int64)
    order = snapshot.order()
    free = order[home[order] == FREE]
    # Copies of a row stay together: one in the test set would be judged on what was learned by heart.
    groups, first, group = np.unique(same[free], return_index=True, return_inverse=True)
    random = np.random.default_rng(seed)
    wanted = {
        index: share
        for index, share in ((1, split.validation), (2, split.test))
        if not (snapshot.home == index).any()
    }  # fmt: skip
    chosen = np.zeros(len(groups), dtype=np.int64)
    by_digest = np.argsort(first, kind="stable")
    target = snapshot.y[free[first]]
    for label in range(len(snapshot.rows.labels)):
        members = random.permutation(by_digest[target[by_digest] == label])
        start = 0
        for index, share in wanted.items():
            count = max(1, round(len(members) * share))
            chosen[members[start : start + count]] = index
            start += count
    home[free] = chosen[group]
    home[leaked(snapshot, same)] = FREE
    parts = {name: order[home[order] == index] for index, name in enumerate(SPLITS)}
    for name, rows in parts.items():
        if not len(rows):
            raise DataError(f"there are no {name} rows; add some, or change split.validation and split.test")
    return parts


def fit_scaling(x: NDArray[Any]) -> Scaling:
    """Fit mean and inverse standard deviation of pictures: one of each, or one per channel of colours.

    Args:
        x: Training rows, shape (rows, height, width[, 3]).

    Raises:
        DataError: Every value is the same, so there is nothing to learn from.
    """
    channels = x.shape[3] if x.ndim == 4 else 1  # noqa: PLR2004 (rows, height, width, channels)
    moments = [_moments(x, channel, channels) for channel in range(channels)]
    if not any(deviation for _, deviation in moments):
        raise DataError("all training pictures are of one even colour, there is nothing to learn; check the source")
    return Scaling(
        mean=tuple(float(np.float32(mean)) for mean, _ in moments),
        factor=tuple(float(np.float32(1 / deviation if deviation else 1)) for _, deviation in moments),
    )


def _moments(x: NDArray[Any], channel: int, channels: int) -> tuple[float, float]:
    """Return mean and standard deviation; of bytes by counting them, so that no machine differs in the last bit."""
    if x.dtype != np.uint8:
        values = x.reshape(-1, channels)[:, channel].astype(np.float64)
        return float(values.mean()), float(values.std())
    counts = np.zeros(256, dtype=np.int64)
    for _, part in chunks(x):
        counts += np.bincount(part.reshape(-1, channels)[:, channel], minlength=256)
    total = int(counts.sum())
    mean = sum(value * int(count) for value, count in enumerate(counts)) / total
    return mean, math.sqrt(sum((value - mean) ** 2 * int(count) for value, count in enumerate(counts)) / total)


def _fit(train: Part) -> Scaling | Encoding:
    if train.rows.kind == "image":
        return fit_scaling(_sample(train))
    rows = train.rows
    numbers = train.numbers if rows.numbers else np.empty((len(train), 0), np.float32)
    text = train.text() if rows.categories else np.empty((len(train), 0), object)
    return fit_encoding(numbers, text, rows.numbers, rows.categories)


def _sample(train: Part) -> NDArray[Any]:
    """Return evenly spaced training pictures, still on disk."""
    most = max(1, FITTED_VALUES // math.prod(train.rows.shape))
    return train.x[:: -(-len(train) // most)]


def _describe(train: Part) -> dict[str, Any]:
    rows = train.rows
    text: dict[str, NDArray[np.object_]] = {}
    if rows.kind == "image":
        parts = [describe(part, kind="image") for _, part in chunks(_sample(train))]
        described = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    else:
        described = describe(train.numbers, kind="tabular", fields=rows.numbers) if rows.numbers else {}
        text = dict(zip(rows.categories, train.text().T, strict=True)) if rows.categories else {}
    missing = {name: int(np.isnan(values).sum()) for name, values in described.items()}
    return {
        "inputs": {name: histogram(values).model_dump(mode="json") for name, values in described.items()},
        "missing": {name: count for name, count in missing.items() if count},
        "texts": {name: count_texts(values).model_dump(mode="json") for name, values in text.items()},
    }


def _counts(snapshot: Snapshot, parts: Mapping[str, NDArray[np.int64]]) -> dict[str, dict[str, int]]:
    labels = snapshot.rows.labels
    return {
        name: dict(zip(labels, np.bincount(snapshot.y[rows], minlength=len(labels)).tolist(), strict=True))
        for name, rows in parts.items()
    }


def _write(path: Path, content: Mapping[str, Any] | Sequence[Any]) -> None:
    path.write_bytes(canonical_json(content))
