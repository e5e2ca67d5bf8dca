"""The networks: scaled pictures of shape (rows, channels, height, width) in, logits of shape (rows, classes) out."""

import tempfile
from itertools import pairwise
from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional

from components.dataset import Rows
from components.errors import TrainingError
from components.models.settings import ImprovedCnn, MnistCnn, Network, ResNet18, SimpleCnn
from components.store import open_store

RGB = 3
SMALLEST_SIDE = {"mnist_cnn": 2, "simple_cnn": 16, "improved_cnn": 8, "resnet18": 32}


def build(settings: Network, rows: Rows) -> nn.Module:
    """Return a network with its first weights.

    Args:
        settings: Which one.
        rows: The pictures it is for.

    Raises:
        TrainingError: The pictures are too small, or the weights do not fit.
    """
    side = min(rows.shape[:2])
    if side < SMALLEST_SIDE[settings.model]:
        raise TrainingError(
            f"train.model={settings.model} takes pictures of at least {SMALLEST_SIDE[settings.model]} pixels a side, "
            f"these are {rows.shape[0]} x {rows.shape[1]}; raise data.size or choose mnist_cnn"
        )
    channels, classes = channels_of(rows), len(rows.labels)
    match settings:
        case MnistCnn():
            return _mnist_cnn(rows.shape, channels, classes, settings.dropout)
        case SimpleCnn():
            return _simple_cnn(channels, classes, settings.dropout)
        case ImprovedCnn():
            return _improved_cnn(channels, classes, settings.dropout)
        case ResNet18():
            return _resnet18(settings, classes)
        case _:
            raise TrainingError(f"train.model={settings.model} is no network of Slipway's")


def channels_of(rows: Rows) -> int:
    """Return 3 for pictures in colour and 1 for grey ones."""
    return RGB if len(rows.shape) == RGB else 1


def _block(channels: int, width: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, stride, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
    )  # fmt: skip


def _mnist_cnn(shape: tuple[int, ...], channels: int, classes: int, dropout: float) -> nn.Module:
    """Two convolutions with batch norm, one pooling, two dense layers."""
    return nn.Sequential(
        nn.Conv2d(channels, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(dropout),
        nn.Flatten(),
        nn.Linear(64 * (shape[0] // 2) * (shape[1] // 2), 128),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(128, classes),
    )


def _simple_cnn(channels: int, classes: int, dropout: float) -> nn.Module:
    """Four convolution layers with batch norm, each with a pooling, then an average over what is left."""
    widths = (channels, 32, 64, 128, 256)
    layers = [nn.Sequential(_block(a, b), nn.MaxPool2d(2)) for a, b in pairwise(widths)]
    return nn.Sequential(*layers, *_head(widths[-1], classes, dropout))


class _Residual(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.first = _block(channels, width, stride=2)
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2, ceil_mode=True), nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width)
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Halve height and width, and go on with ``width`` channels."""
        return functional.relu(self.second(self.first(x)) + self.shortcut(x))


def _improved_cnn(channels: int, classes: int, dropout: float) -> nn.Module:
    """A convolution and four residual blocks, each of half the height and width, then an average over what is left."""
    widths = (32, 64, 128, 192, 256)
    blocks = [_Residual(a, b) for a, b in pairwise(widths)]
    return nn.Sequential(_block(channels, widths[0]), *blocks, *_head(widths[-1], classes, dropout))


def _head(width: int, classes: int, dropout: float) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout), nn.Linear(width, classes)]


class _Coloured(nn.Module):
    """Gives a network for three channels what it expects of grey pictures, too."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Repeat a single channel."""
        logits: Tensor = self.network(x if x.shape[1] == RGB else x.expand(-1, RGB, -1, -1))
        return logits


def _resnet18(settings: ResNet18, classes: int) -> nn.Module:
    # Half a second, which only this network is worth.
    from torchvision.models import ResNet18_Weights, resnet18

    network = resnet18(weights=ResNet18_Weights.IMAGENET1K_V1 if settings.weights == "imagenet" else None)
    if settings.weights not in ("random", "imagenet"):
        _load(network, settings.weights)
    if settings.freeze:
        network.requires_grad_(requires_grad=False)
    network.fc = nn.Sequential(nn.Dropout(settings.dropout), nn.Linear(network.fc.in_features, classes))
    return _Coloured(network)


def _load(network: nn.Module, place: str) -> None:
    """Load a state dict, all of it but the last layer, from a file that holds numbers and no code."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        given = load(_content(place))
    except (SafetensorError, OSError) as error:
        raise TrainingError(f"train.weights={place} is no .safetensors file that can be read: {error}") from None
    expected = {name: value for name, value in network.state_dict().items() if not name.startswith("fc.")}
    for name, value in expected.items():
        if name not in given and not name.endswith("num_batches_tracked"):
            raise TrainingError(f"train.weights={place} lacks {name}; give the state dict of torchvision's resnet18")
        if name in given and given[name].shape != value.shape:
            raise TrainingError(
                f"train.weights={place} has {name} of shape {list(given[name].shape)}, resnet18 has {list(value.shape)}"
            )
    network.load_state_dict({name: given[name] for name in expected if name in given}, strict=False)


def _content(place: str) -> bytes:
    if not place.startswith("s3://"):
        return Path(place.removeprefix("file://")).read_bytes()
    folder, _, name = place.rpartition("/")
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch) / "weights"
        open_store(folder).get(name, target)
        return target.read_bytes()


def batch_norms(network: nn.Module) -> list[nn.Module]:
    """Return the layers whose statistics a frozen network must keep."""
    frozen = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    return [layer for layer in frozen if not any(weight.requires_grad for weight in layer.parameters())]
