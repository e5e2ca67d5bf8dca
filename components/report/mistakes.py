"""Where a model is wrong: the mistakes it was surest of, as pictures or as rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.dataset import Part

MOST = 12


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """A test row that was taken for another class.

    Attributes:
        row: Its index among the test rows.
        truth: Its label.
        predicted: What the model said.
        confidence: How sure it was.
        values: The row of a table, by column; empty for a picture.
    """

    row: int
    truth: str
    predicted: str
    confidence: float
    values: dict[str, str]


def worst(test: Part, probabilities: NDArray[np.float32]) -> list[Mistake]:
    """Return the most confident mistakes, the surest first.

    Args:
        test: The test rows.
        probabilities: Shape (rows, classes).
    """
    confidence, predicted = probabilities.max(axis=1), probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != test.y)
    chosen = wrong[np.argsort(-confidence[wrong], kind="stable")][:MOST]
    labels = test.rows.labels
    return [
        Mistake(
            row=int(row),
            truth=labels[test.y[row]],
            predicted=labels[predicted[row]],
            confidence=float(confidence[row]),
            values=values,
        )
        for row, values in zip(chosen, _values(test, chosen), strict=True)
    ]


def _values(test: Part, chosen: NDArray[np.int64]) -> Sequence[dict[str, str]]:
    if test.rows.kind == "image":
        return [{} for _ in chosen]
    inputs = test.inputs(chosen)
    columns: dict[str, list[str]] = {}
    for name, index in ((name, index) for index, name in enumerate(test.rows.numbers)):
        columns[name] = ["" if np.isnan(value) else f"{value:g}" for value in inputs["numbers"][:, index]]
    for name, index in ((name, index) for index, name in enumerate(test.rows.categories)):
        columns[name] = list(inputs["categories"][:, index])
    return [{name: values[row] for name, values in columns.items()} for row in range(len(chosen))]
