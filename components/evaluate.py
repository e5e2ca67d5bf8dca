"""Evaluate: the exported graph and the test rows in; metrics, figures, one report and the verdict of the gate out."""

import json
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from components import metrics
from components.champion import Comparison
from components.config import Config, Gate
from components.console import say
from components.cost import Took, account, cost, read_samples, summary
from components.dataset import Splits
from components.graph import run_graph
from components.preprocess import read_slices
from components.report import figures, render_report
from components.report.mistakes import worst
from components.sweep import read_trials
from components.train import GRAPH, PACE, TOOK, TRAINING, USAGE
from modelpackage import canonical_json

REPORT = "report.html"


class Evaluation(BaseModel):
    """What was measured on test rows.

    Attributes:
        metrics: By name; every one a number between 0 and 1 for which more is better, but for losses and errors.
        per_class: Precision, recall, F1 and support of each label.
        slices: Accuracy with its interval and rows, by column and value.
        confusion: Rows are true labels, columns predicted ones.
        verdict: Whether the model may be published.
        reason: What the verdict rests on, in one sentence.
        comparison: How it compares with the champion; none where the gate's minimum was the only question.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    metrics: dict[str, float]
    per_class: dict[str, dict[str, float]]
    slices: dict[str, dict[str, dict[str, float]]] = {}
    confusion: tuple[tuple[int, ...], ...]
    verdict: Literal["passed", "refused"]
    reason: str
    comparison: Comparison | None = None

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Read ``evaluation.json``."""
        return cls.model_validate_json((directory / "evaluation.json").read_bytes())


def evaluate(
    config: Config, splits: Splits, model: Path, directory: Path, comparison: Comparison | None = None
) -> Evaluation:
    """Measure the graph that will be served, on the test rows, and decide.

    Args:
        config: The run.
        splits: The data.
        model: What training wrote.
        directory: Created: ``evaluation.json``, ``report.html`` and ``figures/``.
        comparison: How the model compares with the champion.
    """
    test = splits.part("test")
    probabilities = run_graph((model / GRAPH).read_bytes(), test.batches())
    truth = test.y
    measured = metrics.measure(truth, probabilities)
    verdict, reason = decide(config.gate, measured)
    if comparison and verdict == "passed" and comparison.action == "refuse":
        verdict, reason = "refused", comparison.reason
    evaluation = Evaluation(
        metrics=measured,
        per_class=metrics.per_class(truth, probabilities, splits.rows.labels),
        slices=metrics.by_slice(truth, probabilities, read_slices(splits.directory)),
        confusion=metrics.confusion(truth, probabilities),
        verdict=verdict,
        reason=reason,
        comparison=comparison,
    )
    say(f"{verdict}: {reason}")
    if comparison and reason != comparison.reason:
        say(f"{comparison.reason}; so: {comparison.action}")
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "evaluation.json").write_bytes(canonical_json(evaluation.model_dump(mode="json")))
    report = _report(config, splits, model, evaluation, probabilities, directory / "figures")
    (directory / REPORT).write_text(report, encoding="utf-8")
    return evaluation


def _report(
    config: Config,
    splits: Splits,
    model: Path,
    evaluation: Evaluation,
    probabilities: NDArray[np.float32],
    directory: Path,
) -> str:
    """Draw the figures into a folder and return the report."""
    test, trials = splits.part("test"), read_trials(model)
    history = json.loads((model / TRAINING).read_bytes())["history"]
    drawn = figures.draw_all(directory, test, probabilities, history, trials)
    took, pace = Took.read(model / TOOK), read_samples(model / PACE)
    curves = figures.draw_training(directory, pace, read_samples(model / USAGE))
    price = cost(took, config.prices) if took else None
    if took:
        say(summary(took, price))
    told = account(took, price, pace) if took else {}
    return render_report(config, splits, evaluation, drawn, worst(test, probabilities), trials, told, curves)


def decide(gate: Gate, measured: dict[str, float]) -> tuple[Literal["passed", "refused"], str]:
    """Hold the measured metric against the gate's threshold.

    Returns:
        The verdict and the comparison in one sentence.
    """
    value = measured[gate.metric]
    interval = f" (95 % interval of accuracy {measured['accuracy_low']:.4f} to {measured['accuracy_high']:.4f})"
    if value >= gate.minimum:
        return "passed", f"{gate.metric} {value:.4f} reaches the gate's minimum {gate.minimum:.4f}{interval}"
    return "refused", f"{gate.metric} {value:.4f} is below the gate's minimum {gate.minimum:.4f}{interval}"
