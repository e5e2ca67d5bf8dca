"""A small convolutional network by torch, exported by torch's own ONNX exporter."""

import copy
import logging
import math
import random
from collections.abc import Iterator

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from components.config import Cnn
from components.console import say
from components.dataset import Splits
from components.errors import TrainingError
from components.models import Trained

OPSET = 18


class Network(nn.Module):
    """Two convolutions with batch norm, one pooling, two dense layers; logits out."""

    def __init__(self, shape: tuple[int, ...], classes: int, dropout: float) -> None:
        super().__init__()
        height, width = shape
        self.features = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Dropout(dropout),
            nn.Flatten(),
        )
        self.head = nn.Sequential(
            nn.Linear(64 * (height // 2) * (width // 2), 128),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(128, classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map scaled pictures (rows, height, width) to logits (rows, classes)."""
        logits: Tensor = self.head(self.features(x.unsqueeze(1)))
        return logits


class Served(nn.Module):
    """The network as clients see it: raw pictures in, probabilities out."""

    def __init__(self, network: Network, mean: Tensor, factor: Tensor) -> None:
        super().__init__()
        self.network = network
        self.mean: Tensor
        self.factor: Tensor
        self.register_buffer("mean", mean)
        self.register_buffer("factor", factor)

    def forward(self, image: Tensor) -> Tensor:
        """Map raw pictures (rows, height, width) to probabilities (rows, classes)."""
        return functional.softmax(self.network((image - self.mean) * self.factor), dim=1)


def fit(settings: Cnn, splits: Splits, seed: int) -> Trained:
    """Train until the validation loss stops falling, and keep the best epoch.

    Args:
        settings: The network's settings.
        splits: The data; pictures of shape (height, width).
        seed: Decides the first weights, the order of rows and the dropped activations.

    Raises:
        TrainingError: Rows are not grey pictures, or the loss is no longer a number.
    """
    if len(splits.rows.shape) != 2 or min(splits.rows.shape) < 2:  # noqa: PLR2004 (height and width, both halved)
        raise TrainingError(
            f"train.model=cnn takes pictures of shape (height, width), these rows are {splits.rows.shape}; "
            "choose another model"
        )
    _be_deterministic(seed, settings.threads)
    network = Network(splits.rows.shape, len(splits.rows.labels), settings.dropout)
    history = _learn(network, settings, splits)
    mean, factor = (torch.from_numpy(array.copy()) for array in splits.scaling.arrays())
    served = Served(network, mean, factor).eval()

    def predict(rows: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return np.concatenate([served(part).numpy() for part in torch.split(torch.from_numpy(np.array(rows)), 512)])

    return Trained(predict=predict, graph=_export(served, splits), history=history, tolerance=1e-4)


def _be_deterministic(seed: int, threads: int) -> None:
    random.seed(seed)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)  # noqa: FBT003 (torch's own signature)
    torch.set_num_threads(threads)


def _learn(network: Network, settings: Cnn, splits: Splits) -> list[dict[str, float]]:
    x, y = torch.from_numpy(splits.scaled("train")), torch.from_numpy(splits.y("train"))
    held_x, held_y = torch.from_numpy(splits.scaled("validation")), torch.from_numpy(splits.y("validation"))
    optimizer = torch.optim.Adam(network.parameters(), lr=settings.learning_rate)
    history: list[dict[str, float]] = []
    best_loss, best_state, best_epoch = math.inf, copy.deepcopy(network.state_dict()), 0
    for epoch in range(1, settings.epochs + 1):
        train_loss = _epoch(network, optimizer, _batches(x, y, settings.batch_size))
        loss, accuracy = _judge(network, held_x, held_y)
        if not math.isfinite(train_loss + loss):
            raise TrainingError(
                f"the loss of epoch {epoch} is not a number; lower train.learning_rate={settings.learning_rate:g}"
            )
        history.append({"epoch": epoch, "train_loss": train_loss, "loss": loss, "accuracy": accuracy})
        say(f"epoch {epoch}/{settings.epochs} loss {train_loss:.4f} validation {loss:.4f} accuracy {accuracy:.4f}")
        if loss < best_loss:
            best_loss, best_state, best_epoch = loss, copy.deepcopy(network.state_dict()), epoch
        elif epoch - best_epoch >= settings.patience:
            break
    say(f"kept epoch {best_epoch} of {len(history)}, validation loss {best_loss:.4f}")
    network.load_state_dict(best_state)
    return history


def _batches(x: Tensor, y: Tensor, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    for rows in torch.split(torch.randperm(len(x)), size):
        if len(rows) > 1:  # batch norm has no variance of a single row
            yield x[rows], y[rows]


def _epoch(network: Network, optimizer: torch.optim.Optimizer, batches: Iterator[tuple[Tensor, Tensor]]) -> float:
    network.train()
    losses = []
    for x, y in batches:
        optimizer.zero_grad(set_to_none=True)
        loss = functional.cross_entropy(network(x), y)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        optimizer.step()
        losses.append(loss.item())
    return math.fsum(losses) / max(1, len(losses))


def _judge(network: Network, x: Tensor, y: Tensor) -> tuple[float, float]:
    network.eval()
    with torch.inference_mode():
        logits = network(x)
        loss = functional.cross_entropy(logits, y).item()
        return loss, (logits.argmax(dim=1) == y).double().mean().item()


def _export(served: Served, splits: Splits) -> bytes:
    # The exporter warns of each operator of libraries that are not installed and that no network here uses.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    tensor = splits.rows.tensor()
    program = torch.onnx.export(
        served,
        (torch.zeros(2, *tensor.shape),),
        input_names=[tensor.name],
        output_names=["probabilities"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    if program is None:
        raise TrainingError("torch did not export the network")
    model = program.model_proto
    # The exporter notes source lines and paths of this machine; a model's bytes must not depend on where it was made.
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info, *model.graph.initializer,
                 *model.graph.input, *model.graph.output):  # fmt: skip
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    onnx.checker.check_model(model)
    exported: bytes = model.SerializeToString(deterministic=True)
    return exported
