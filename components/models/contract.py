"""What every model must keep, checked on small made data: Slipway's own and those that other packages register.

``slipway contract NAME`` runs it. A model that keeps every clause trains, exports and serves like Slipway's own.
"""

import importlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from components.dataset import Inputs, Splits
from components.errors import TrainingError
from components.models import Fit, Model, Trained
from components.models.made import LABELS, MADE, made
from components.models.settings import TrainSettings

#: A model may refuse small pictures with a TrainingError; it is then tried on larger ones.
SCALES = (1, 3)
SEED = 7
#: Largest distance of a row's probabilities from a sum of one.
SUM_TOLERANCE = 1e-4


class BrokenError(Exception):
    """A clause is broken; the message says how."""


@dataclass(frozen=True)
class Clause:
    """One rule of the contract.

    Attributes:
        name: The rule, in words.
        ok: Whether the model keeps it.
        detail: What was seen instead, or nothing.
    """

    name: str
    ok: bool
    detail: str = ""


@dataclass(frozen=True)
class _Trial:
    """A model that was trained twice on one made data set, the second time without its test rows."""

    splits: Splits
    first: Trained
    again: Trained
    few_epochs: bool


def check(model: Model) -> list[Clause]:
    """Try a model on made data of every kind that it says it learns from.

    Args:
        model: Any, registered or not.

    Returns:
        Every clause that could be judged: after a model that can't be trained, the clauses on its graph are left out.
    """
    clauses = [_judge("its libraries are installed", model.require)]
    clauses += [_judge("its settings have defaults and survive JSON", partial(_settings_survive, model))]
    if not all(clause.ok for clause in clauses):
        return clauses
    with tempfile.TemporaryDirectory(prefix="slipway-contract-") as scratch:
        for number, (name, kind) in enumerate(MADE.items()):
            judge = _judge_all if kind in model.kinds else _judge_refusal
            clauses += judge(model, name, Path(scratch) / str(number))
    return clauses


def _judge(name: str, rule: Callable[[], object]) -> Clause:
    try:
        rule()
    except BrokenError as broken:
        return Clause(name, ok=False, detail=str(broken))
    except Exception as error:  # noqa: BLE001 (a model of someone else may fail in any way, and that is the finding)
        return Clause(name, ok=False, detail=f"{type(error).__name__}: {' '.join(str(error).split())}")
    return Clause(name, ok=True)


def _judge_refusal(model: Model, name: str, directory: Path) -> Iterator[Clause]:
    yield _judge(f"{name}: refused", partial(_refuses, model, made(name, directory)))


def _judge_all(model: Model, name: str, directory: Path) -> Iterator[Clause]:
    """Train twice, and hold what came out against every rule."""
    learned: list[tuple[Splits, Trained]] = []
    yield (clause := _judge(f"{name}: learned", lambda: learned.append(_learn(model, name, directory))))
    if not clause.ok:
        return
    ((splits, first),) = learned
    again: list[Trained] = []
    test, hidden = splits.directory / "test", splits.directory / "hidden"
    test.rename(hidden)
    yield (clause := _judge(f"{name}: test rows are not read", lambda: again.append(_fit(model, splits))))
    hidden.rename(test)
    if not clause.ok:
        return
    trial = _Trial(splits, first, again[0], few_epochs="epochs" in model.settings.model_fields)
    for rule, keeps in RULES.items():
        yield _judge(f"{name}: {rule}", partial(keeps, trial))


def _learn(model: Model, name: str, directory: Path) -> tuple[Splits, Trained]:
    """Train on data of the smallest scale that the model does not refuse."""
    *smaller, largest = (made(name, directory / str(scale), scale=scale) for scale in SCALES)
    for splits in smaller:
        try:
            return splits, _fit(model, splits)
        except TrainingError:
            continue
    return largest, _fit(model, largest)


def _fit(model: Model, splits: Splits) -> Trained:
    module, _, function = model.fit.partition(":")
    fit: Fit = getattr(importlib.import_module(module), function)
    short = {"epochs": 1} if "epochs" in model.settings.model_fields else {}
    trained = fit(model.settings.model_validate(short), splits, SEED)
    if not isinstance(trained, Trained):
        raise BrokenError(f"{model.fit} returned {type(trained).__name__}; return components.models.Trained")
    return trained


def _settings_survive(model: Model) -> None:
    settings = model.settings.model_validate({})
    if not isinstance(settings, TrainSettings):
        raise BrokenError(f"{model.settings.__name__} is no components.models.settings.TrainSettings")
    if type(settings).model_validate_json(settings.model_dump_json()) != settings:
        raise BrokenError("the settings read back from JSON are not the same")


def _refuses(model: Model, splits: Splits) -> None:
    try:
        _fit(model, splits)
    except Exception:  # noqa: BLE001 (whichever error it is, it was not silent)
        return
    kind = splits.rows.kind
    raise BrokenError(f"it learned from {kind} rows; raise a TrainingError, or add {kind} to its kinds")


def _gives_probabilities(trial: _Trial) -> None:
    for inputs in _batches(trial.splits):
        _demand_probabilities(trial.first.predict(inputs), inputs, "predict")


def _demand_probabilities(answers: NDArray[np.float32], inputs: Inputs, who: str) -> None:
    shape = (len(next(iter(inputs.values()))), len(LABELS))
    if answers.shape != shape or answers.dtype != np.float32:
        raise BrokenError(f"{who} gives {answers.dtype} of shape {answers.shape}; give float32 of shape {shape}")
    if not np.isfinite(answers).all() or answers.min() < 0:
        raise BrokenError(f"{who} gives {answers.min()}; probabilities are finite and not negative")
    off = float(np.abs(answers.sum(axis=1) - 1).max())
    if off > SUM_TOLERANCE:
        raise BrokenError(f"{who} gives rows that are {off:.1e} off a sum of one")


def _graph_is_valid(trial: _Trial) -> None:
    onnx.checker.check_model(onnx.load_from_string(trial.first.graph), full_check=True)


def _graph_takes_rows(trial: _Trial) -> None:
    session = _open(trial.first)
    tensors = trial.splits.rows.tensors()
    types = {"FP32": "tensor(float)", "UINT8": "tensor(uint8)", "BYTES": "tensor(string)"}
    wanted = {tensor.name: (types[tensor.datatype], list(tensor.shape)) for tensor in tensors}
    found = {put.name: (put.type, put.shape[1:]) for put in session.get_inputs()}
    if found != wanted:
        raise BrokenError(f"the graph takes {found}; take the raw rows: {wanted}")
    given = [output.name for output in session.get_outputs()]
    if given != ["probabilities"]:
        raise BrokenError(f"the graph gives {given}; give probabilities alone")


def _graph_agrees(trial: _Trial) -> None:
    session = _open(trial.first)
    for inputs in _batches(trial.splits):
        (answers,) = session.run(None, inputs)
        _demand_probabilities(answers, inputs, "the graph")
        apart = float(np.abs(answers - trial.first.predict(inputs)).max())
        if not apart <= trial.first.tolerance:
            raise BrokenError(f"graph and predict are {apart:.1e} apart on {len(answers)} rows")


def _gives_the_same_bytes(trial: _Trial) -> None:
    if trial.first.graph != trial.again.graph:
        raise BrokenError("two graphs of the same arguments differ; draw all randomness from the seed")
    if trial.first.history != trial.again.history:
        raise BrokenError("two histories of the same arguments differ; draw all randomness from the seed")


def _learns(trial: _Trial) -> None:
    train = trial.splits.part("train")
    accuracy = float((trial.first.predict(train.inputs()).argmax(axis=1) == train.y).mean())
    majority = float(np.bincount(train.y).max() / len(train))
    if accuracy <= majority and not trial.few_epochs:  # one epoch proves nothing
        raise BrokenError(
            f"accuracy {accuracy:.2f} on its own training rows; the most frequent class has {majority:.2f}"
        )


def _batches(splits: Splits) -> Iterator[Inputs]:
    """Yield one row, an odd number of rows, and all training rows."""
    yield splits.part("test").inputs(slice(0, 1))
    yield splits.part("test").inputs()
    yield splits.part("train").inputs()


def _open(trained: Trained) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(trained.graph, providers=["CPUExecutionProvider"])


RULES: dict[str, Callable[[_Trial], None]] = {
    "answers with probabilities": _gives_probabilities,
    "the graph is valid ONNX": _graph_is_valid,
    "the graph takes raw rows and gives probabilities": _graph_takes_rows,
    "the graph answers what the model answers": _graph_agrees,
    "the same arguments give the same bytes": _gives_the_same_bytes,
    "learns more than the most frequent class": _learns,
}
