"""The record of a run: whole or not there, and enough to tell everything later."""

import pytest

from components.champion import Comparison
from components.errors import StoreError
from components.evaluate import evaluate
from components.record import NOTE, Record, runs
from components.store import FolderStore


@pytest.fixture
def record(forest_run, tmp_path) -> Record:
    (tmp_path / "record").mkdir()
    evaluation, model = forest_run.evaluation_path, forest_run.model
    return Record.gather(forest_run.config, "run-1", None, None, evaluation, model, tmp_path / "record")


def test_what_is_kept_comes_back(record, tmp_path):
    store = FolderStore(tmp_path / "store")
    record.keep(store)
    assert runs(store) == runs(store, "digits") == [("digits", "run-1")]
    assert runs(store, "iris") == []
    (tmp_path / "back").mkdir()
    back = Record.bring(store, "digits", "run-1", tmp_path / "back")
    assert back.note == record.note
    assert (tmp_path / "back" / "figures" / "confusion-matrix.svg").exists()


def test_the_note_comes_last_so_that_a_record_is_whole_or_not_there(record, tmp_path):
    class Counting(FolderStore):
        def __init__(self, root) -> None:
            super().__init__(root)
            self.written: list[str] = []

        def put(self, key, path) -> None:
            self.written.append(key)
            if key.endswith(NOTE):
                raise StoreError("the store went away")
            super().put(key, path)

    store = Counting(tmp_path / "store")
    with pytest.raises(StoreError):
        record.keep(store)
    assert store.written[-1] == "digits/runs/run-1/run.json"
    assert runs(store) == []


def test_the_comparison_is_told(forest_run, tmp_path):
    comparison = Comparison(verdict="worse", action="refuse", reason="worse than champion version 1", version="1")
    path = tmp_path / "evaluation"
    measured = evaluate(forest_run.config, forest_run.splits, forest_run.model, path, comparison)
    assert (measured.verdict, measured.reason) == ("refused", "worse than champion version 1")
    assert (
        "Beside the champion: worse than champion version 1. This model is not published"
        in (path / "report.html").read_text()
    )
    (tmp_path / "record").mkdir()
    record = Record.gather(forest_run.config, "r", None, None, path, forest_run.model, tmp_path / "record")
    assert record.note.tags()["comparison"] == "worse"
    assert (record.note.gate, record.note.package) == ("refused", None)
