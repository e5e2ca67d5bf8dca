"""The card tells of the data, of weak spots and of mistakes, in sentences."""

from components.report.mistakes import Mistake
from components.report.remarks import remarks


def test_the_worst_class_the_slices_and_the_surest_mistakes_are_told(forest_run):
    slices = {"town": {"Bern": {"accuracy": 0.5, "accuracy_low": 0.4, "accuracy_high": 0.6, "rows": 90}}}
    evaluation = forest_run.evaluation.model_copy(update={"slices": slices})
    mistakes = [Mistake(row=3, truth="4", predicted="9", confidence=0.875, values={"age": "31"})] * 9
    told = remarks(forest_run.splits, evaluation, mistakes)
    assert told["Data"][0] == "rows: 1439 train, 179 validation, 179 test"
    recalls = {label: figures["recall"] for label, figures in evaluation.per_class.items()}
    assert told["Where it is weaker"][0].startswith(
        f"class {min(recalls, key=recalls.get)}: {min(recalls.values()):.0%}"
    )
    assert told["Where it is weaker"][-1] == "town Bern: accuracy 0.5000 (0.4000 to 0.6000) on 90 rows"
    assert told["Its surest mistakes"] == ["4 taken for 9, 88% sure: age=31"] * 5
