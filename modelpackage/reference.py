"""The drift reference: compact histograms of what the model saw and said, kept inside the package.

Training describes its rows with :func:`describe`, serving describes its requests with the same function, so the two can't
come to mean different things.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from modelpackage.digest import canonical_json
from modelpackage.errors import DescriptorError
from modelpackage.signature import Frozen

BINS = 10


class Histogram(Frozen):
    """Counts between edges.

    Attributes:
        edges: Ascending; the first and last bins are open towards the outside.
        counts: One more than inner edges: ``counts[i]`` values lie in ``[edges[i], edges[i + 1])``.
    """

    edges: tuple[float, ...]
    counts: tuple[Annotated[int, Field(ge=0)], ...]


class Reference(Frozen):
    """What drift is measured against.

    Attributes:
        rows: Number of training rows behind ``inputs``.
        inputs: A histogram for each quantity of :func:`describe`, over training rows.
        confidence: Highest probability per row, over held-out rows.
        classes: How often each label was predicted, over held-out rows.
    """

    rows: Annotated[int, Field(ge=1)]
    inputs: dict[str, Histogram]
    confidence: Histogram
    classes: dict[str, Annotated[int, Field(ge=0)]]

    def render(self) -> bytes:
        """Return the bytes of ``reference.json``."""
        return canonical_json(self.model_dump(mode="json"))

    @classmethod
    def parse(cls, raw: bytes) -> "Reference":
        """Read the bytes of a ``reference.json``.

        Raises:
            DescriptorError: It does not follow the format.
        """
        try:
            return cls.model_validate_json(raw)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise DescriptorError(f"reference.json: {where}: {first['msg']}") from None


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


def histogram(values: NDArray[np.float64], edges: Sequence[float] | None = None) -> Histogram:
    """Count values between edges; without edges, between the values' own deciles.

    Args:
        values: Shape (rows,).
        edges: Ascending; values outside fall into the first or last bin.
    """
    if edges is None:
        # Rounded so that the last bits of a quantile, which may differ between machines, never reach a digest.
        deciles = np.quantile(values, np.linspace(0, 1, BINS + 1))
        edges = np.unique(np.array([float(f"{edge:.6g}") for edge in deciles])).tolist()
    inner = np.asarray(edges[1:-1], dtype=np.float64)
    counts = np.bincount(np.searchsorted(inner, values, side="right"), minlength=len(inner) + 1)
    return Histogram(edges=tuple(float(edge) for edge in edges), counts=tuple(int(count) for count in counts))
