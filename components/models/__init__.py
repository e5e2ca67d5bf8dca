"""The models: a registry of what can be trained, each with typed settings and one function that trains it.

A model of your own joins by an entry point of the group ``slipway.models`` that names a :class:`Model`; ``slipway
contract NAME`` tells whether it fits.
"""

import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from typing import Literal

from numpy import float32
from numpy.typing import NDArray

from components.dataset import Inputs, Splits
from components.errors import ConfigError, TrainingError
from components.models import settings
from components.models.settings import TrainSettings

GROUP = "slipway.models"
Kind = Literal["tabular", "image"]


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A model in memory, together with its exported form.

    Attributes:
        predict: The trained model itself: a batch as clients send it in, probabilities of shape (rows, classes) out.
        graph: The same model as ONNX: what clients send in, probabilities out, preprocessing and softmax inside.
        history: One entry per epoch for models that learn in epochs: ``epoch`` and any figures, ``loss`` (validation)
            and ``train_loss`` among them.
        tolerance: Largest absolute difference between the two that rounding in float32 explains.
        settled: What settings that were left to the machine came out as, by name.
        seconds: Training took in all, also in processes before this one that were lost; none where that is one process.
        pace: Samples of speed, loss and gradient; see ``components/models/progress.py``.
        device: What it was trained on.
        leads: Whether this process is the one, of those that trained it together, that writes.
    """

    predict: Callable[[Inputs], NDArray[float32]]
    graph: bytes
    history: list[dict[str, float]]
    tolerance: float
    settled: Mapping[str, str] = field(default_factory=dict)
    seconds: float | None = None
    pace: Sequence[Mapping[str, float]] = ()
    device: str = "cpu"
    leads: bool = True


Fit = Callable[..., Trained]


@dataclass(frozen=True, kw_only=True)
class Model:
    """A kind of model.

    Attributes:
        settings: Its settings; the default of their field ``model`` is its name.
        fit: ``package.module:function``, imported only when it trains: ``fit(settings, splits, seed) -> Trained``. It
            reads the targets of training and validation rows only, and gives the same bytes for the same arguments.
        resumes: Whether it also takes ``checkpoints``, the URI of a folder, and goes on from what lies there.
        kinds: What rows it can learn from.
        software: Distributions whose version shapes its bytes.
        extra: The extra of Slipway that brings what it needs.
    """

    settings: type[TrainSettings]
    fit: str
    kinds: frozenset[Kind]
    software: tuple[str, ...]
    extra: str = "component"
    resumes: bool = False

    @property
    def name(self) -> str:
        """The name in ``train.model``."""
        return str(self.settings.model_fields["model"].default)

    def require(self) -> None:
        """Refuse at once, before any work, what could not be trained here.

        Raises:
            TrainingError: A library is not installed.
        """
        missing = [name for name in self.software if not _installed(name)]
        if missing:
            raise TrainingError(
                f"train.model={self.name} needs {' and '.join(missing)}, which is not installed here; "
                f"run: make setup-{self.extra} (or: pip install 'slipway[{self.extra}]')"
            )


SKLEARN = ("numpy", "onnx", "scikit-learn", "skl2onnx")
TORCH = ("numpy", "onnx", "onnxscript", "torch", "torchvision")
EITHER: frozenset[Kind] = frozenset(("tabular", "image"))
PICTURES: frozenset[Kind] = frozenset(("image",))


def _sklearn(chosen: type[TrainSettings]) -> Model:
    name = chosen.model_fields["model"].default
    return Model(settings=chosen, fit=f"components.models.{name}:fit", kinds=EITHER, software=SKLEARN)


def _network(chosen: type[TrainSettings]) -> Model:
    return Model(
        settings=chosen,
        fit="components.models.network:fit",
        kinds=PICTURES,
        software=TORCH,
        extra="torch",
        resumes=True,
    )


OWN = (
    _sklearn(settings.RandomForest),
    _sklearn(settings.LogisticRegression),
    _sklearn(settings.GradientBoosting),
    _network(settings.MnistCnn),
    _network(settings.SimpleCnn),
    _network(settings.ImprovedCnn),
    _network(settings.ResNet18),
)


@cache
def registry() -> Mapping[str, Model]:
    """Return every model by name: Slipway's own, then those that installed packages register.

    Raises:
        ConfigError: A package registers something else, or a name that is taken.
    """
    found = {model.name: model for model in OWN}
    for entry in metadata.entry_points(group=GROUP):
        model = entry.load()
        if not isinstance(model, Model):
            raise ConfigError(f"entry point {entry.name} = {entry.value} is no components.models.Model")
        if model.name in found:
            raise ConfigError(f"entry point {entry.name} = {entry.value} registers {model.name}, which is taken")
        found[model.name] = model
    return found


def find(name: object) -> Model:
    """Return a model by its name.

    Raises:
        ConfigError: There is none.
    """
    models = registry()
    if not isinstance(name, str) or name not in models:
        raise ConfigError(f"train.model={name} is not a model; choose one of {', '.join(models)}")
    return models[name]


def fit(chosen: TrainSettings, splits: Splits, seed: int, checkpoints: str | None = None) -> Trained:
    """Train the chosen model; test rows are not read.

    Args:
        chosen: Which one, and how.
        splits: The data.
        seed: Of all randomness.
        checkpoints: URI of the folder of this training alone, for models that can go on from there.

    Raises:
        TrainingError: A library is missing, the model can't learn from such rows, or training went wrong.
    """
    model = find(chosen.model)
    model.require()
    if splits.rows.kind not in model.kinds:
        able = [name for name, other in registry().items() if splits.rows.kind in other.kinds]
        raise TrainingError(
            f"train.model={model.name} learns from {' and '.join(sorted(model.kinds))} data, these rows are "
            f"{splits.rows.kind}; choose one of {', '.join(able)}"
        )
    module, _, function = model.fit.partition(":")
    options = {"checkpoints": checkpoints} if model.resumes else {}
    trained: Trained = getattr(importlib.import_module(module), function)(chosen, splits, seed, **options)
    return trained


def _installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True
