"""The configuration of a run: typed, frozen, validated when built, and the same on a laptop and in a pod.

One YAML file per workload (``configs/``) and ``--set section.key=value`` on top. Defaults live here and in
``components/models/settings.py`` and nowhere else.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import Discriminator, Field, SerializeAsAny, Tag, field_validator, model_validator

from components.cost import Prices
from components.errors import ConfigError
from components.models import find, registry
from components.models.settings import TrainSettings
from components.section import Section, Share, validate
from modelpackage.descriptor import ModelName

SMALLEST_TRAINING_SHARE = 0.1
#: Where ``slipway data`` keeps its versions, beside the models.
DATASETS = "datasets"
MOST_TRIALS = 100
#: What changes no byte of a package: where the same data lay, where and how safely training runs, what comes of it.
APART: Mapping[str, bool | set[str]] = {
    "data": {"source", "checksum", "max_gb"}, "train": {"machines", "checkpoint_seconds"},
    "champion": True, "prices": True,
}  # fmt: skip
Pixels = Annotated[int, Field(ge=1, le=4096)]


class Data(Section):
    """Where the rows come from, and what they are.

    Attributes:
        source: ``builtin://digits``, ``builtin://iris``, a path, ``file://``, ``s3://``, ``https://``, or a version
            that was pushed, ``data://NAME`` or ``data://NAME@DIGEST``.
        format: ``csv``, ``parquet``, ``idx`` (as MNIST comes) or ``pictures`` (a folder per class); told from the
            source where that is plain.
        checksum: SHA-256 of the one file that the source names.
        max_gb: The most that is downloaded or unpacked, in GB.
        label: Tables: the column that is learned.
        drop: Tables: columns that are left out, like identifiers.
        columns: Tables: columns whose kind is not what their values look like.
        slices: Tables: columns for each of whose values the model is measured, too.
        size: Pictures: height and width that they are brought to, in pixels.
        colour: Pictures: three channels or one.
        set_aside: The largest share of rows that may be set aside as unusable.
    """

    source: Annotated[str, Field(min_length=1)]
    format: Literal["csv", "parquet", "idx", "pictures"] | None = None
    checksum: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    max_gb: Annotated[float, Field(gt=0)] = 20.0
    label: str | None = None
    drop: tuple[str, ...] = ()
    columns: dict[str, Literal["number", "category"]] = Field(default_factory=dict)
    slices: tuple[str, ...] = ()
    size: tuple[Pixels, Pixels] = (224, 224)
    colour: Literal["rgb", "grey"] = "rgb"
    set_aside: Annotated[float, Field(ge=0, lt=1)] = 0.02

    @model_validator(mode="before")
    @classmethod
    def _square(cls, content: Any) -> Any:
        if isinstance(content, Mapping) and isinstance(content.get("size"), int | float):
            return {**content, "size": (content["size"], content["size"])}
        return content


class Split(Section):
    """How rows are dealt out; what is not held out is trained on. A source's own split is kept.

    Attributes:
        validation: Share of rows on which training chooses its best epoch.
        test: Share of rows on which the model is judged, once.
    """

    validation: Share = 0.1
    test: Share = 0.1

    @model_validator(mode="after")
    def _rows_left(self) -> Self:
        if 1 - self.validation - self.test <= SMALLEST_TRAINING_SHARE:
            raise ValueError(f"validation + test = {self.validation + self.test:g} leaves under a tenth for training")
        return self


class Gate(Section):
    """What a model must reach on test rows to be published.

    Attributes:
        metric: A metric for which more is better.
        minimum: The smallest value that passes.
    """

    metric: Literal["accuracy", "accuracy_low", "f1_macro", "precision_macro", "recall_macro"] = "accuracy"
    minimum: Annotated[float, Field(ge=0, le=1)]


Action = Literal["promote", "challenge", "refuse"]


class Challenge(Section):
    """What becomes of a model that passed the gate, by how it compares with the champion on the same test rows.

    ``promote`` publishes it and makes it champion, ``challenge`` publishes it and leaves the champion, ``refuse``
    publishes nothing. Where there is no champion yet, it becomes champion.

    Attributes:
        margin: Models whose accuracies differ by less than this, surely, are equal.
        better: The 95 % interval of the difference lies above zero.
        equal: It lies within the margin.
        unclear: It does neither, or the two can't be compared.
        worse: It lies below zero.
    """

    margin: Annotated[float, Field(ge=0, lt=1)] = 0.01
    better: Action = "promote"
    equal: Action = "challenge"
    unclear: Action = "challenge"
    worse: Action = "refuse"


class Range(Section):
    """Numbers that a random search draws from.

    Attributes:
        low: The smallest.
        high: The largest.
        log: Draw evenly on the logarithmic scale.
        whole: Draw whole numbers.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low >= self.high or (self.log and self.low <= 0):
            raise ValueError(f"low={self.low:g} must be below high={self.high:g}, and above 0 where log is set")
        return self


Value = bool | int | float | str
Choice = Annotated[
    Annotated[tuple[Value, ...], Tag("values")] | Annotated[Range, Tag("range")],
    Discriminator(lambda value: "range" if isinstance(value, Mapping | Range) else "values"),
]


class Sweep(Section):
    """Settings that are tried; the trial that is best on validation rows goes on, alone, to the test rows.

    Attributes:
        search: ``grid`` tries every combination, ``random`` draws.
        trials: How many a random search draws.
        metric: What is compared; ties are broken by the other one.
        settings: By dotted name below ``train``: the values to try, or a range to draw from.
    """

    search: Literal["grid", "random"] = "grid"
    trials: Annotated[int, Field(ge=1, le=MOST_TRIALS)] = 10
    metric: Literal["accuracy", "log_loss"] = "accuracy"
    settings: Annotated[dict[str, Choice], Field(min_length=1)]


class Config(Section):
    """A run.

    Attributes:
        name: The model's name: its folder in the store, its MLflow experiment and registered model, its v2 name.
        seed: Decides the split and every random draw of training.
        prices: What an hour of the machine costs, to tell what training cost.
    """

    name: ModelName
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    data: Data
    split: Split = Split()
    train: SerializeAsAny[TrainSettings]
    sweep: Sweep | None = None
    gate: Gate
    champion: Challenge = Challenge()
    prices: Prices | None = None

    @field_validator("name")
    @classmethod
    def _free(cls, name: str) -> str:
        if name == DATASETS:
            raise ValueError("the store keeps data sets under this name; choose another")
        return name

    @classmethod
    def build(cls, content: Mapping[str, Any]) -> Self:
        """Validate the content of a configuration.

        Args:
            content: As read from YAML, or as a pipeline parameter (where every number is a float).

        Raises:
            ConfigError: A rule is broken; the first one is named.
        """
        train = content.get("train")
        if isinstance(train, Mapping):
            content = {**content, "train": _settings(train)}
        return validate(cls, content)

    def plain(self) -> dict[str, Any]:
        """Return the configuration as JSON values, every default filled in."""
        return self.model_dump(mode="json", exclude_none=True)

    def identity(self) -> dict[str, Any]:
        """Return what of the configuration decides a package's bytes.

        Where the same data lay is not among it, nor what happens to the package afterwards, nor what it cost.
        """
        return self.model_dump(mode="json", exclude_none=True, exclude=APART)

    def flat(self) -> dict[str, str]:
        """Return every setting by its dotted name, as ``--set`` takes it."""
        return flatten(self.plain())


def flatten(content: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested settings by their dotted names."""
    rows: dict[str, str] = {}
    for name, value in content.items():
        rows |= flatten(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: str(value)}
    return rows


def read_config(path: Path, overrides: Iterable[str] = ()) -> Config:
    """Read a YAML file and lay ``section.key=value`` over it.

    Args:
        path: The file.
        overrides: Values are YAML. Choosing another ``train.model`` starts from that model's defaults.

    Raises:
        ConfigError: No such file, not a mapping, or a rule is broken.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"can't read {path}: {error.strerror}; name a file like configs/digits.yaml") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not text; name a file like configs/digits.yaml") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path} must be a mapping with name, data, train and gate")
    # The model first: what follows are settings of that model.
    for override in sorted(overrides, key=lambda text: not text.startswith("train.model=")):
        key, value = _parse(override)
        lay(content, key, value)
    return Config.build(content)


def lay(content: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key in nested settings; another ``train.model`` clears the settings of the one before.

    Raises:
        ConfigError: A part of the key is a value, not a section.
    """
    *sections, last = key.split(".")
    for section in sections:
        content = content.setdefault(section, {})
        if not isinstance(content, dict):
            raise ConfigError(f"{key}={value!r}: {section} is a value, it has no {last}")
    if key == "train.model" and content.get("model") != value:
        content.clear()
    content[last] = value


def _parse(override: str) -> tuple[str, Any]:
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise ConfigError(f"--set {override!r} must look like train.model=mnist_cnn")
    try:
        return key, yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigError(f"--set {override!r}: {text!r} is not a YAML value; quote it") from None


def _settings(content: Mapping[str, Any]) -> TrainSettings:
    if "model" not in content:
        raise ConfigError(f"train.model is missing; choose one of {', '.join(registry())}")
    model = find(content["model"])
    for key in content:
        others = [name for name, other in registry().items() if key in other.settings.model_fields]
        if key not in model.settings.model_fields and others:
            raise ConfigError(f"train.{key} is a setting of train.model={' and '.join(others)}, not of {model.name}")
    return validate(model.settings, content, "train")
