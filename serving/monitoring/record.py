"""One answered request, as everything that watches the predictor receives it.

Holds arrays and refuses nothing. May be imported by every module of ``serving``.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Record:
    """One answered request.

    Attributes:
        id: The request's.
        time: When it was answered, in seconds since the epoch.
        inputs: By tensor name, shape (rows, ...); None where they were not kept.
        classes: Index of the label, shape (rows,).
        confidence: The largest probability, shape (rows,).
    """

    id: str
    time: float
    inputs: dict[str, NDArray[Any]] | None
    classes: NDArray[np.int64]
    confidence: NDArray[np.float32]
