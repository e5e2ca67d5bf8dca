"""The configuration of a run: typed, frozen, validated when built, and the same on a laptop and in a pod.

One YAML file per workload (``configs/``) and ``--set section.key=value`` on top. Defaults live here and nowhere else.
"""

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from components.errors import ConfigError
from modelpackage.descriptor import ModelName

Share = Annotated[float, Field(gt=0, lt=1)]
SMALLEST_TRAINING_SHARE = 0.1
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """The base of every section: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Data(Section):
    """Where the rows come from.

    Attributes:
        source: ``builtin://digits``.
    """

    source: Annotated[str, Field(pattern=r"^builtin://[a-z]+$")]


class Split(Section):
    """How rows are dealt out; what is not held out is trained on.

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


class Forest(Section):
    """A random forest (Breiman 2001), trained by scikit-learn.

    Attributes:
        trees: Number of trees.
        max_depth: Deepest level of a tree; none grows until the leaves are pure.
        min_samples_leaf: Fewest training rows in a leaf.
    """

    model: Literal["forest"] = "forest"
    trees: Annotated[int, Field(ge=1, le=10_000)] = 300
    max_depth: Count | None = None
    min_samples_leaf: Count = 1


class Cnn(Section):
    """A small convolutional network for grey pictures, trained by torch with Adam.

    Attributes:
        epochs: Most passes over the training rows.
        batch_size: Rows per step.
        learning_rate: Step size of Adam.
        dropout: Share of activations that are dropped in training.
        patience: Epochs without a better validation loss after which training stops.
        threads: CPU threads; a sum in another order has other last bits, so this is part of what a model is.
    """

    model: Literal["cnn"] = "cnn"
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 60
    batch_size: Count = 64
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.001
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2
    patience: Count = 10
    threads: Annotated[int, Field(ge=1, le=256)] = 2


Train = Annotated[Forest | Cnn, Field(discriminator="model")]
MODELS = tuple(model.model_fields["model"].default for model in get_args(get_args(Train)[0]))


#: Rules that a pattern would tell in its own language.
RULES = {
    "name": "use lower-case letters, digits and dashes, at most 63, like my-digits",
    "data.source": "the only source so far is builtin://digits",
}


class Gate(Section):
    """What a model must reach on test rows to be published.

    Attributes:
        metric: A metric for which more is better.
        minimum: The smallest value that passes.
    """

    metric: Literal["accuracy", "accuracy_low", "f1_macro", "precision_macro", "recall_macro"] = "accuracy"
    minimum: Annotated[float, Field(ge=0, le=1)]


class Config(Section):
    """A run.

    Attributes:
        name: The model's name: its folder in the store, its MLflow experiment and registered model, its v2 name.
        seed: Decides the split and every random draw of training.
    """

    name: ModelName
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    data: Data
    split: Split = Split()
    train: Train
    gate: Gate

    @classmethod
    def build(cls, content: Mapping[str, Any]) -> Self:
        """Validate the content of a configuration.

        Args:
            content: As read from YAML, or as a pipeline parameter (where every number is a float).

        Raises:
            ConfigError: A rule is broken; the first one is named.
        """
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            raise ConfigError(_explain(error)) from None

    def plain(self) -> dict[str, Any]:
        """Return the configuration as JSON values, every default filled in."""
        return self.model_dump(mode="json", exclude_none=True)

    def flat(self) -> dict[str, str]:
        """Return every setting by its dotted name, as ``--set`` takes it."""
        sections = self.plain()
        rows = {name: str(value) for name, value in sections.items() if not isinstance(value, dict)}
        for section, values in sections.items():
            if isinstance(values, dict):
                rows |= {f"{section}.{name}": str(value) for name, value in values.items()}
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
        _set(content, override)
    return Config.build(content)


def _set(content: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise ConfigError(f"--set {override!r} must look like train.model=cnn")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigError(f"--set {override!r}: {text!r} is not a YAML value; quote it") from None
    *sections, last = key.split(".")
    for section in sections:
        content = content.setdefault(section, {})
        if not isinstance(content, dict):
            raise ConfigError(f"--set {override!r}: {section} is a value, it has no {last}")
    if key == "train.model" and content.get("model") != value:
        content.clear()
    content[last] = value


def _explain(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    # The tag of the chosen model stands in the path of an error: train.cnn.epochs is train.epochs to the user.
    where = [str(part) for part in first["loc"] if part not in MODELS]
    name = ".".join(where) or "configuration"
    if first["type"] == "extra_forbidden":
        known = _known_keys(first["loc"][:-1])
        close = difflib.get_close_matches(where[-1], known, n=1)
        others = [model for model, section in _models().items() if where[-1] in section.model_fields]
        if where[0] == "train" and others:
            return f"{name} is a setting of train.model={' and '.join(others)}, not of this model"
        hint = f"did you mean {'.'.join([*where[:-1], close[0]])}?" if close else f"known here: {', '.join(known)}"
        return f"{name} is not a setting; {hint}"
    if first["type"] == "string_pattern_mismatch" and name in RULES:
        return f"{name}={first['input']!r}: {RULES[name]}"
    if first["type"] == "missing":
        return f"{name} is missing"
    if first["type"] == "union_tag_invalid":
        return f"train.model={first['ctx']['tag']} is not a model; choose one of {', '.join(MODELS)}"
    return f"{name}={first['input']!r}: {first['msg'].removeprefix('Value error, ')}"


def _models() -> dict[str, type[Forest] | type[Cnn]]:
    return dict(zip(MODELS, get_args(get_args(Train)[0]), strict=True))


def _known_keys(location: tuple[int | str, ...]) -> list[str]:
    section: Any = Config
    for part in location:
        section = _models()[str(part)] if part in MODELS else section.model_fields[part].annotation
    return sorted(section.model_fields) if hasattr(section, "model_fields") else []
