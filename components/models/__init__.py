"""The models: a module each, with ``fit(settings, splits, seed) -> Trained``; heavy imports stay inside."""

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.config import Cnn, Forest
from components.dataset import Splits
from components.errors import TrainingError


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A model in memory, together with its exported form.

    Attributes:
        predict: The trained model itself: raw rows in, probabilities of shape (rows, classes) out.
        graph: The same model as ONNX: raw rows in, probabilities out, scaling and softmax inside.
        history: One entry per epoch for models that learn in epochs.
        tolerance: Largest absolute difference between the two that rounding in float32 explains.
    """

    predict: Callable[[NDArray[np.float32]], NDArray[np.float32]]
    graph: bytes
    history: list[dict[str, float]]
    tolerance: float


#: Libraries that a model needs beyond the extra ``component``, and the extra that brings them.
NEEDS = {"forest": ((), "component"), "cnn": (("torch", "onnxscript"), "torch")}


def require(model: str) -> None:
    """Refuse at once, before any work, what could not be trained here.

    Raises:
        TrainingError: A library is not installed.
    """
    libraries, extra = NEEDS[model]
    missing = [name for name in libraries if importlib.util.find_spec(name) is None]
    if missing:
        raise TrainingError(
            f"train.model={model} needs {' and '.join(missing)}, which is not installed here; run: make setup-{extra} "
            f"(or: pip install 'slipway[{extra}]')"
        )


def fit(settings: Forest | Cnn, splits: Splits, seed: int) -> Trained:
    """Train the chosen model on the training rows; test rows are not read.

    Raises:
        TrainingError: A library is missing, or training went wrong.
    """
    require(settings.model)
    module: Any = importlib.import_module(f"components.models.{settings.model}")
    trained: Trained = module.fit(settings, splits, seed)
    return trained
