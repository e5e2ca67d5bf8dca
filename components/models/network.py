"""Neural networks for pictures, by torch: deterministic on a CPU, and exported with their preprocessing."""

import random

import numpy as np
import torch
from numpy.typing import NDArray

from components.dataset import Inputs, Scaling, Splits
from components.errors import TrainingError
from components.models import Trained
from components.models.checkpoint import Keeper
from components.models.device import Device, choose, require_compiler
from components.models.export import Served, export
from components.models.group import Group
from components.models.loop import Loop
from components.models.memory import fitting
from components.models.networks import build
from components.models.settings import Network


def fit(settings: Network, splits: Splits, seed: int, checkpoints: str | None = None) -> Trained:
    """Train a network.

    Args:
        settings: Which one, and how.
        splits: The data.
        seed: Decides the first weights, the order of rows, the dropped activations and the random changes.
        checkpoints: URI of the folder of this training alone: it goes on from what lies there.

    Raises:
        TrainingError: The pictures do not fit the network or the memory, the device is not there, or the loss is no
            longer a number.
        Stopped: The process was told to end, and left a checkpoint.
    """
    group = Group.current()
    device = choose(settings, group)
    if settings.compile:
        require_compiler(device)
    _settle(seed, settings.threads, device)
    rows, scaling = splits.rows, splits.preprocessing
    if not isinstance(scaling, Scaling):
        raise TrainingError(f"train.model={settings.model} learns from pictures, these rows are {rows.kind}")
    served = Served(build(settings, rows), scaling)
    low, high = rows.minimum or 0.0, 1.0 if rows.maximum is None else rows.maximum
    span = (high - low) * float(np.mean(scaling.factor))
    train, held = splits.part("train"), splits.part("validation")
    # A GPU's training and a CPU's are two, even where auto chose.
    place = f"{checkpoints}/{device.where.type}" if checkpoints else None
    with Keeper(place, settings.checkpoint_seconds) as keeper:
        with fitting(settings):
            done = Loop(served, settings, train, held, span, seed, device, group, keeper).run()
        # The graph and its proof are of plain memory on a CPU; all else is a matter of training speed.
        served = served.cpu().to(memory_format=torch.contiguous_format).eval()
        graph = export(served, rows) if group.rank == 0 else b""
        keeper.heed()

    def predict(inputs: Inputs) -> NDArray[np.float32]:
        with torch.inference_mode():
            answers: NDArray[np.float32] = served(torch.from_numpy(inputs["image"])).numpy()
        return answers

    return Trained(
        predict=predict,
        graph=graph,
        history=done.history,
        tolerance=1e-4,
        settled=device.settled(),
        seconds=done.elapsed,
        pace=done.pace,
        device=device.name,
        leads=group.rank == 0,
    )


def _settle(seed: int, threads: int, device: Device) -> None:
    """Same arguments, same bytes, on a CPU; on a GPU, which promises that to nobody, as fast as it can."""
    random.seed(seed)
    torch.manual_seed(seed)
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(not device.gpu)
    torch.backends.cudnn.benchmark = device.gpu
    torch.set_float32_matmul_precision("high" if device.gpu else "highest")
