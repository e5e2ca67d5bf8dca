"""Neural networks for pictures, by torch: deterministic on a CPU, and exported with their preprocessing."""

import random

import numpy as np
import torch
from numpy.typing import NDArray

from components.dataset import Inputs, Scaling, Splits
from components.errors import TrainingError
from components.models import Trained
from components.models.export import Served, export
from components.models.loop import Loop
from components.models.networks import build
from components.models.settings import Network


def fit(settings: Network, splits: Splits, seed: int) -> Trained:
    """Train a network.

    Args:
        settings: Which one, and how.
        splits: The data.
        seed: Decides the first weights, the order of rows, the dropped activations and the random changes.

    Raises:
        TrainingError: The pictures do not fit the network, or the loss is no longer a number.
    """
    _be_deterministic(seed, settings.threads)
    rows, scaling = splits.rows, splits.preprocessing
    if not isinstance(scaling, Scaling):
        raise TrainingError(f"train.model={settings.model} learns from pictures, these rows are {rows.kind}")
    served = Served(build(settings, rows), scaling)
    low, high = rows.minimum or 0.0, 1.0 if rows.maximum is None else rows.maximum
    span = (high - low) * float(np.mean(scaling.factor))
    history = Loop(served, settings, splits.part("train"), splits.part("validation"), span, seed).run()
    # The graph and its proof are of plain memory; channels-last is a matter of training speed.
    served = served.to(memory_format=torch.contiguous_format).eval()

    def predict(inputs: Inputs) -> NDArray[np.float32]:
        with torch.inference_mode():
            answers: NDArray[np.float32] = served(torch.from_numpy(inputs["image"])).numpy()
        return answers

    return Trained(predict=predict, graph=export(served, rows), history=history, tolerance=1e-4)


def _be_deterministic(seed: int, threads: int) -> None:
    random.seed(seed)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)  # noqa: FBT003 (torch's own signature)
    torch.set_num_threads(threads)
