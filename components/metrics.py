"""The numbers that a classifier is judged by, all from true labels and predicted probabilities.

Figures that enter a package are rounded to six decimals, so that the last bits of a sum never decide about a digest.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, log_loss, precision_recall_fscore_support

#: The 97.5 % quantile of the normal distribution: two-sided 95 %.
Z_95 = 1.959963984540054
CALIBRATION_BINS = 10


def wilson_interval(right: int, rows: int) -> tuple[float, float]:
    """Return the 95 % score interval of a share (Wilson 1927), which holds its level for small samples and near 1.

    Args:
        right: Rows that were right.
        rows: All rows, at least one.
    """
    share = right / rows
    centre = share + Z_95**2 / (2 * rows)
    spread = Z_95 * math.sqrt(share * (1 - share) / rows + Z_95**2 / (4 * rows**2))
    scale = 1 + Z_95**2 / rows
    # Rounding must not push an end past the share itself.
    return max(0.0, min(share, (centre - spread) / scale)), min(1.0, max(share, (centre + spread) / scale))


def measure(truth: NDArray[np.int64], probabilities: NDArray[np.float32]) -> dict[str, float]:
    """Return every headline figure.

    Args:
        truth: Shape (rows,).
        probabilities: Shape (rows, classes).

    Returns:
        Accuracy with its interval, macro and weighted precision, recall and F1, log loss, and calibration error.
    """
    predicted = probabilities.argmax(axis=1)
    right = int((predicted == truth).sum())
    low, high = wilson_interval(right, len(truth))
    found = {"accuracy": right / len(truth), "accuracy_low": low, "accuracy_high": high}
    for average in ("macro", "weighted"):
        precision, recall, f1, _ = precision_recall_fscore_support(truth, predicted, average=average, zero_division=0.0)
        found |= {f"precision_{average}": precision, f"recall_{average}": recall, f"f1_{average}": f1}
    classes = range(probabilities.shape[1])
    # A graph's float32 votes may add up to a little more than 1.
    normal = probabilities.astype(np.float64).clip(0, 1)
    found["log_loss"] = log_loss(truth, normal / normal.sum(axis=1, keepdims=True), labels=list(classes))
    found["calibration_error"] = calibration_error(truth, probabilities)
    found["test_rows"] = len(truth)
    return {name: round(float(value), 6) for name, value in found.items()}


def calibration(truth: NDArray[np.int64], probabilities: NDArray[np.float32]) -> list[tuple[float, float, int]]:
    """Return (mean confidence, accuracy, rows) of each tenth of the confidence scale that holds rows."""
    confidence, right = probabilities.max(axis=1).astype(np.float64), probabilities.argmax(axis=1) == truth
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    return [
        (float(confidence[bins == b].mean()), float(right[bins == b].mean()), int((bins == b).sum()))
        for b in np.unique(bins)
    ]


def calibration_error(truth: NDArray[np.int64], probabilities: NDArray[np.float32]) -> float:
    """Return the expected calibration error (Guo et al. 2017): how far confidence is from accuracy, over ten bins."""
    return math.fsum(
        abs(confidence - accuracy) * rows for confidence, accuracy, rows in calibration(truth, probabilities)
    ) / len(truth)


def per_class(
    truth: NDArray[np.int64], probabilities: NDArray[np.float32], labels: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Return precision, recall, F1 and support (test rows) by label."""
    columns = precision_recall_fscore_support(
        truth, probabilities.argmax(axis=1), labels=range(len(labels)), zero_division=0.0
    )
    names = ("precision", "recall", "f1", "support")
    return {
        label: {name: round(float(column[index]), 6) for name, column in zip(names, columns, strict=True)}
        for index, label in enumerate(labels)
    }


def by_slice(
    truth: NDArray[np.int64], probabilities: NDArray[np.float32], slices: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, dict[str, float]]]:
    """Return accuracy, its 95 % interval and rows of every slice, by column and value; the worst first.

    Args:
        truth: Shape (rows,).
        probabilities: Shape (rows, classes).
        slices: The slice of every row, by column.
    """
    right = probabilities.argmax(axis=1) == truth
    found: dict[str, dict[str, dict[str, float]]] = {}
    for column, names in slices.items():
        values = np.array(names, dtype=object)
        rows = {str(name): right[values == name] for name in sorted(set(names))}
        found[column] = {
            name: _share(inside) for name, inside in sorted(rows.items(), key=lambda item: (item[1].mean(), item[0]))
        }
    return found


def _share(right: NDArray[np.bool_]) -> dict[str, float]:
    low, high = wilson_interval(int(right.sum()), len(right))
    found = {"accuracy": right.mean(), "accuracy_low": low, "accuracy_high": high, "rows": len(right)}
    return {name: round(float(value), 6) for name, value in found.items()}


def confusion(truth: NDArray[np.int64], probabilities: NDArray[np.float32]) -> tuple[tuple[int, ...], ...]:
    """Return how often each true class (row) was predicted as each class (column)."""
    matrix = confusion_matrix(truth, probabilities.argmax(axis=1), labels=range(probabilities.shape[1]))
    return tuple(tuple(int(count) for count in row) for row in matrix)
