"""What the model card tells besides figures: the data, where the model is weaker, and what it mistook."""

from collections.abc import Sequence

from components.dataset import SPLITS, Splits
from components.evaluate import Evaluation
from components.preprocess import read_findings
from components.report.mistakes import Mistake

MOST_MISTAKES = 5
MOST_VALUES = 5


def remarks(splits: Splits, evaluation: Evaluation, mistakes: Sequence[Mistake]) -> dict[str, list[str]]:
    """Return sentences by title, each a list that may be empty.

    Args:
        splits: The data.
        evaluation: What was measured on test rows.
        mistakes: The most confident ones, the surest first.
    """
    return {
        "Data": [
            f"rows: {', '.join(f'{len(splits.part(name))} {name}' for name in SPLITS)}",
            *(f"{finding.severity}: {finding.text}" for finding in read_findings(splits.directory)),
        ],
        "Where it is weaker": [*_classes(evaluation), *_slices(evaluation)],
        "Its surest mistakes": [_told(mistake) for mistake in mistakes[:MOST_MISTAKES]],
    }


def _classes(evaluation: Evaluation) -> list[str]:
    ranked = sorted(evaluation.per_class.items(), key=lambda item: (item[1]["recall"], item[0]))
    return [
        f"class {label}: {figures['recall']:.0%} of its {figures['support']:.0f} test rows found, "
        f"{figures['precision']:.0%} of what is called so is"
        for label, figures in ranked[:MOST_VALUES]
    ]


def _slices(evaluation: Evaluation) -> list[str]:
    return [
        f"{column} {value}: accuracy {figures['accuracy']:.4f} ({figures['accuracy_low']:.4f} to "
        f"{figures['accuracy_high']:.4f}) on {figures['rows']:.0f} rows"
        for column, values in evaluation.slices.items()
        for value, figures in list(values.items())[:MOST_VALUES]
    ]


def _told(mistake: Mistake) -> str:
    row = ", ".join(f"{name}={value}" for name, value in mistake.values.items())
    told = f"{mistake.truth} taken for {mistake.predicted}, {mistake.confidence:.0%} sure"
    return f"{told}: {row}" if row else f"{told} (a picture; the report shows it)"
