"""Preprocess: a snapshot in; three splits, the scaling and the input half of the drift reference out."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.config import Split
from components.dataset import SPLITS, Rows, Scaling, save_arrays
from components.errors import DataError
from modelpackage import canonical_json, describe, histogram

FEWEST_ROWS_OF_A_CLASS = 10


def preprocess(split: Split, seed: int, raw: Path, directory: Path) -> dict[str, int]:
    """Deal out the rows and fit the scaling on the training rows alone.

    Args:
        split: Shares of the held-out rows.
        seed: Decides which rows are held out.
        raw: The snapshot.
        directory: Created; read it with :class:`components.dataset.Splits`.

    Returns:
        Number of rows per split.

    Raises:
        DataError: A class has too few rows to be split, or training rows are all alike.
    """
    rows = Rows.open(raw)
    x, y = np.load(raw / "x.npy", allow_pickle=False), np.load(raw / "y.npy", allow_pickle=False)
    parts = deal(x, y, split, seed, rows.labels)
    directory.mkdir(parents=True, exist_ok=True)
    for name, chosen in parts.items():
        save_arrays(directory / name, x[chosen], y[chosen])
    rows.save(directory)
    train = x[parts["train"]]
    scaling = fit_scaling(train, rows.kind)
    (directory / "scaling.json").write_bytes(canonical_json(scaling.model_dump(mode="json")))
    described = describe(train, kind=rows.kind, fields=rows.fields)
    reference = {name: histogram(values).model_dump(mode="json") for name, values in described.items()}
    (directory / "reference.json").write_bytes(canonical_json(reference))
    return {name: len(chosen) for name, chosen in parts.items()}


def deal(
    x: NDArray[Any], y: NDArray[np.int64], split: Split, seed: int, labels: tuple[str, ...]
) -> dict[str, NDArray[np.int64]]:
    """Choose rows for each split: stratified by class, and equal rows always together.

    Args:
        x: Shape (rows, ...).
        y: Shape (rows,).
        split: Shares of the held-out rows.
        seed: Decides the shuffle.
        labels: Names of the classes, for the error.

    Returns:
        Ascending row indices by split; every row is in exactly one.

    Raises:
        DataError: A class has fewer than ten different rows.
    """
    flat = np.ascontiguousarray(x).reshape(len(x), -1)
    # A copy of a training row in the test set would be judged on what was learned by heart.
    _, first, group = np.unique(flat, axis=0, return_index=True, return_inverse=True)
    group = group.reshape(-1)
    random = np.random.default_rng(seed)
    home = np.zeros(len(first), dtype=np.int64)
    for target, label in enumerate(labels):
        members = random.permutation(np.flatnonzero(y[first] == target))
        if len(members) < FEWEST_ROWS_OF_A_CLASS:
            raise DataError(
                f"class {label!r} has {len(members)} different rows, each class needs {FEWEST_ROWS_OF_A_CLASS}; "
                "add rows or leave the class out"
            )
        validation, test = (max(1, round(len(members) * share)) for share in (split.validation, split.test))
        home[members[:validation]] = 1
        home[members[validation : validation + test]] = 2
    return {name: np.flatnonzero(home[group] == index) for index, name in enumerate(SPLITS)}


def fit_scaling(train: NDArray[Any], kind: str) -> Scaling:
    """Fit mean and inverse standard deviation: one of each for pictures, one per column for tables.

    Args:
        train: Training rows, shape (rows, ...).
        kind: ``image`` or ``tabular``.

    Raises:
        DataError: Every value is the same, so there is nothing to learn from.
    """
    values = train.reshape(-1, 1) if kind == "image" else train.reshape(len(train), -1)
    mean, deviation = values.mean(axis=0, dtype=np.float64), values.std(axis=0, dtype=np.float64)
    if not deviation.any():
        raise DataError("all training values are equal, there is nothing to learn; check the source")
    # A constant column carries nothing: it is centred and left at zero.
    factor = np.divide(1.0, deviation, out=np.ones_like(deviation), where=deviation > 0)
    return Scaling(
        mean=tuple(float(np.float32(value)) for value in mean),
        factor=tuple(float(np.float32(value)) for value in factor),
    )
