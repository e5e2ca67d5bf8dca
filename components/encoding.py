"""The preprocessing of tables, as data: gaps filled, numbers scaled, categories one-hot with a place for the unknown.

It is fitted on training rows, stands in the sealed package as data, and has its counterpart in :mod:`components.graph`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

#: A value that training rows hold less often counts as unknown, so that the model learns what unknown means.
FEWEST_OF_A_VALUE = 3
#: The most frequent values of a column are kept, of equally frequent ones the first in order; the others are unknown.
MOST_VALUES = 100
LARGEST_FACTOR = float(np.finfo(np.float32).max)


class Number(BaseModel):
    """A column of numbers: ``(value - mean) * factor`` in float32.

    Attributes:
        name: Of the column.
        fill: What stands for a missing value: the median of the training rows; zero where none has a value.
        mean: Of the training rows, gaps filled.
        factor: The inverse of their standard deviation; one for a constant column, which is centred to zero.
        indicator: Whether a feature of its own tells that the value was missing, as training rows had gaps.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    fill: float
    mean: float
    factor: float
    indicator: bool = False


class Category(BaseModel):
    """A column of text: one feature per value and, last, one for every other value.

    Attributes:
        name: Of the column.
        values: Known values, ascending; ``""`` is a missing one. A value is known if at least three training rows hold
            it and it is among the hundred most frequent.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    values: tuple[str, ...]


class Encoding(BaseModel):
    """How a row of a table becomes features, in this order: numbers, indicators, categories.

    Attributes:
        numbers: The columns of the tensor ``numbers``.
        categories: The columns of the tensor ``categories``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    numbers: tuple[Number, ...] = ()
    categories: tuple[Category, ...] = ()

    def feature_names(self) -> list[str]:
        """Return the name of every feature, in order."""
        names = [column.name for column in self.numbers]
        names += [f"{column.name} is missing" for column in self.numbers if column.indicator]
        return names + [
            f"{column.name} is {value}" for column in self.categories for value in (*column.values, "(unknown)")
        ]

    def apply(self, inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """Return the features of a batch as clients send it, shape (rows, features)."""
        parts: list[NDArray[np.float32]] = []
        if self.numbers:
            given = inputs["numbers"].astype(np.float32)
            missing = np.isnan(given)
            fill, mean, factor = self.constants()
            parts.append((np.where(missing, fill, given) - mean) * factor)
            told = [index for index, column in enumerate(self.numbers) if column.indicator]
            parts.append(missing[:, told].astype(np.float32))
        for index, column in enumerate(self.categories):
            place = {value: number for number, value in enumerate(column.values)}
            codes = [place.get(value, len(place)) for value in inputs["categories"][:, index]]
            parts.append(np.eye(len(place) + 1, dtype=np.float32)[codes])
        return np.ascontiguousarray(np.concatenate(parts, axis=1))

    def constants(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Return fill, mean and factor of the numbers as float32: the very numbers that stand in the graph."""
        fill, mean, factor = zip(*((column.fill, column.mean, column.factor) for column in self.numbers), strict=True)
        return np.array(fill, np.float32), np.array(mean, np.float32), np.array(factor, np.float32)


def fit_encoding(
    numbers: NDArray[np.float32], text: NDArray[np.object_], names: Sequence[str], categories: Sequence[str]
) -> Encoding:
    """Fit the preprocessing on training rows.

    Args:
        numbers: Shape (rows, columns); NaN where a value is missing.
        text: Shape (rows, columns) of str; ``""`` where a value is missing.
        names: Of the columns of numbers.
        categories: Names of the columns of text.
    """
    return Encoding(
        numbers=tuple(_number(name, numbers[:, index].astype(np.float64)) for index, name in enumerate(names)),
        categories=tuple(_category(name, text[:, index].tolist()) for index, name in enumerate(categories)),
    )


def _number(name: str, values: NDArray[np.float64]) -> Number:
    present = values[~np.isnan(values)]
    fill = float(np.median(present)) if len(present) else 0.0
    filled = np.where(np.isnan(values), fill, values)
    # The deviation of equal values need not be zero, as their mean is rounded.
    constant = filled.min() == filled.max()
    return Number(
        name=name,
        fill=float(np.float32(fill)),
        mean=float(np.float32(filled[0] if constant else filled.mean())),
        factor=1.0 if constant else float(np.float32(min(1 / filled.std(), LARGEST_FACTOR))),
        indicator=len(present) < len(values),
    )


def _category(name: str, values: Sequence[str]) -> Category:
    counts = [(value, count) for value, count in Counter(values).items() if count >= FEWEST_OF_A_VALUE]
    kept = sorted(counts, key=lambda item: (-item[1], item[0]))[:MOST_VALUES]
    return Category(name=name, values=tuple(sorted(value for value, _ in kept)))
