"""The surest mistakes come first, with the row that was mistaken."""

import numpy as np

from components.dataset import Part, Rows, save_arrays
from components.report.mistakes import MOST, worst


def part(tmp_path, y, **arrays):
    rows = Rows(kind="tabular", labels=("no", "yes"), numbers=("age",), categories=("town",), gaps=("age",))
    save_arrays(tmp_path / "test", y=np.array(y), **arrays)
    (tmp_path / "values.json").write_text('[["", "Bern"]]')
    return Part(tmp_path / "test", rows, tmp_path / "values.json")


def test_the_surest_mistakes_come_first_with_their_values(tmp_path):
    numbers, codes = np.array([[1], [np.nan], [3.5], [4]], np.float32), np.array([[1], [0], [1], [1]], np.int32)
    test = part(tmp_path, [0, 0, 1, 1], numbers=numbers, codes=codes)
    probabilities = np.array([[0.9, 0.1], [0.3, 0.7], [0.95, 0.05], [0.2, 0.8]], np.float32)
    first, second = worst(test, probabilities)
    assert (first.row, first.truth, first.predicted) == (2, "yes", "no")
    assert first.values == {"age": "3.5", "town": "Bern"}
    assert second.values == {"age": "", "town": ""}
    assert first.confidence > second.confidence


def test_there_are_no_more_than_a_dozen_and_none_where_all_is_right(tmp_path):
    count = 40
    arrays = {"numbers": np.ones((count, 1), np.float32), "codes": np.zeros((count, 1), np.int32)}
    test = part(tmp_path, [0] * count, **arrays)
    assert len(worst(test, np.tile(np.float32([0.1, 0.9]), (count, 1)))) == MOST
    assert worst(test, np.tile(np.float32([0.9, 0.1]), (count, 1))) == []
