"""The drift reference: compact histograms of what the model saw and said, kept inside the package.

Training describes its rows with :func:`describe`, serving describes its requests with the same function, so the two
can't come to mean different things.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator

from modelpackage.digest import canonical_json
from modelpackage.errors import DescriptorError, fault
from modelpackage.signature import Frozen

BINS = 10
#: More values of a column of text are counted together.
MOST_TEXTS = 100

#: Significant digits of an edge: enough to tell any two FP32 values apart.
DIGITS = 9


class Histogram(Frozen):
    """Counts between edges.

    Attributes:
        edges: Ascending, at least two; the first and last bins are open towards the outside.
        counts: One fewer: ``counts[i]`` values lie in ``[edges[i], edges[i + 1])``.
    """

    edges: Annotated[tuple[float, ...], Field(min_length=2)]
    counts: tuple[Annotated[int, Field(ge=0)], ...]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if any(low > high for low, high in pairwise(self.edges)):
            raise ValueError(f"edges must ascend, got {list(self.edges)}")
        if len(self.counts) != len(self.edges) - 1:
            raise ValueError(f"{len(self.counts)} counts do not fill the bins between {len(self.edges)} edges")
        return self


class Texts(Frozen):
    """How often each value of a column of text occurs.

    Attributes:
        counts: By value, the most frequent ones; ``""`` is a missing value.
        others: Rows with any other value.
    """

    counts: dict[str, Annotated[int, Field(ge=1)]]
    others: Annotated[int, Field(ge=0)]


class Reference(Frozen):
    """What drift is measured against.

    Attributes:
        rows: Number of training rows behind ``inputs``.
        inputs: A histogram for each quantity of :func:`describe`, over training rows.
        confidence: Highest probability per row, over held-out rows.
        classes: How often each label was predicted, over held-out rows.
        missing: Training rows without a value, by column of numbers; only columns that have such.
        texts: The values of each column of text, over training rows.
    """

    rows: Annotated[int, Field(ge=1)]
    inputs: dict[str, Histogram]
    confidence: Histogram
    classes: dict[str, Annotated[int, Field(ge=0)]]
    missing: dict[str, Annotated[int, Field(ge=1)]] | None = None
    texts: dict[str, Texts] | None = None

    def render(self) -> bytes:
        """Return the bytes of ``reference.json``."""
        return canonical_json(self.model_dump(mode="json", exclude_none=True))

    @classmethod
    def parse(cls, raw: bytes) -> "Reference":
        """Read the bytes of a ``reference.json``.

        Raises:
            DescriptorError: It does not follow the format, or is not the canonical rendering.
        """
        try:
            reference = cls.model_validate_json(raw)
        except ValidationError as error:
            raise DescriptorError(f"reference.json: {fault(error)}") from None
        if reference.render() != raw:
            raise DescriptorError("reference.json is not in its canonical rendering; seal the package again")
        return reference

    def match(self, labels: Collection[str]) -> None:
        """Prove that it counts the classes of a model.

        Raises:
            DescriptorError: A label is not counted, or something else is.
        """
        if set(self.classes) != set(labels):
            raise DescriptorError(
                f"reference.json counts {', '.join(self.classes)}; the labels are {', '.join(labels)}"
            )


def describe(
    rows: NDArray[Any], *, kind: Literal["tabular", "image"], fields: Sequence[str] | None = None
) -> dict[str, NDArray[np.float64]]:
    """Return the scalar quantities of a batch that drift is watched on.

    Args:
        rows: Shape (rows, columns) for tabular data, (rows, ...) for images.
        kind: A table is described by its columns, an image by brightness (mean) and contrast (standard deviation).
        fields: Names of the columns of a table; ``column_0`` and so on without.

    Returns:
        One value per row for each quantity.
    """
    values = rows.reshape(len(rows), -1).astype(np.float64)
    if kind == "image":
        return {"brightness": values.mean(axis=1), "contrast": values.std(axis=1)}
    names = fields or [f"column_{index}" for index in range(values.shape[1])]
    return {name: values[:, index] for index, name in enumerate(names)}


def count_texts(values: NDArray[np.object_]) -> Texts:
    """Count the values of a column of text, shape (rows,)."""
    counts = sorted(Counter(values.tolist()).items(), key=lambda item: (-item[1], item[0]))
    return Texts(counts=dict(counts[:MOST_TEXTS]), others=sum(count for _, count in counts[MOST_TEXTS:]))


def histogram(values: NDArray[np.float64], edges: Sequence[float] | None = None) -> Histogram:
    """Count values between edges; without edges, between those that suit the values.

    Args:
        values: Shape (rows,), finite or NaN; NaN is not counted.
        edges: Ascending; values outside fall into the first or last bin.
    """
    values = values[~np.isnan(values)]
    if edges is None:
        edges = _edges(values) if len(values) else (0.0, 1.0)
    inner = np.asarray(edges[1:-1], dtype=np.float64)
    counts = np.bincount(np.searchsorted(inner, values, side="right"), minlength=len(inner) + 1)
    return Histogram(edges=tuple(float(edge) for edge in edges), counts=tuple(int(count) for count in counts))


def _edges(values: NDArray[np.float64]) -> list[float]:
    """Return the deciles, with a bin of its own for every value that spans a decile.

    A constant, a flag, or a column that is mostly zero has few deciles that differ; between those alone, hardly any
    change would show. A value's own bin reaches to the next larger number, so what moves off it shows on either side.
    """
    deciles = np.quantile(values, np.linspace(0, 1, BINS + 1))
    distinct, times = np.unique(deciles, return_counts=True)
    own = distinct[times > 1]
    # Rounded so that the last bits of a quantile, which may differ between machines, never reach a digest. A value that
    # spans a decile needs none of it: it is no interpolation but a value of the data.
    cuts = {float(f"{cut:.{DIGITS}g}") for cut in distinct[times == 1]}
    edges = sorted(cuts | {*own.tolist(), *np.nextafter(own, np.inf).tolist()})
    if len(edges) == 1:  # the values lie closer together than the rounding: they share a bin of their own
        low, high = float(values.min()), float(np.nextafter(values.max(), np.inf))
        return [low, low, high, high]
    # The outermost edges bound nothing, so where a bin of its own ends the row, its edge is given twice.
    first, last = edges[0], edges[-1]
    return [first] * (first in own) + edges + [last] * (last in np.nextafter(own, np.inf))
