"""The record of a run: whole or not there, and enough to tell everything later."""

import json
import shutil
from pathlib import Path

import pytest
from stages import DIGITS, Run

from components.champion import Comparison
from components.config import read_config
from components.errors import StoreError
from components.evaluate import evaluate
from components.package import package
from components.record import NOTE, Record, runs
from components.store import FolderStore
from modelpackage import Package


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


TOOK = {"seconds": 7200.0, "device": "cpu", "gpus": 0, "processes": 1, "cores": 4.0, "memory_gb": 1.5}


def gathered(run: Run, folder: Path, *overrides: str) -> tuple[Record, Package]:
    """Return the record, and the package, of a run whose training took two hours on four cores."""
    model = folder / "model"
    shutil.copytree(run.model, model)
    (model / "took.json").write_text(json.dumps(TOOK))
    (model / "pace.json").write_text(json.dumps([{"step": 1, "seconds": 1.0, "rows_per_second": 900.0}]))
    sealed = package(run.config, run.splits, model, run.evaluation, folder / "package")
    (folder / "record").mkdir()
    config = read_config(DIGITS, ["train.trees=40", *overrides])
    record = Record.gather(config, "r", sealed, "file:///p/", run.evaluation_path, model, folder / "record")
    return record, sealed


def test_the_card_of_a_record_tells_what_the_sealed_one_can_not(forest_run, tmp_path):
    record, sealed = gathered(forest_run, tmp_path, "prices.cpu=0.05")
    card, told = (sealed.path / "card.md").read_text(), (record.folder / "card.md").read_text()
    assert told.startswith(card.rstrip())
    assert "What training took" not in card
    assert "- time: 2 h 0 min\n- device: cpu\n" in told
    assert "- rows per second: 900\n- cost: 2 h x (4 cores x 0.05) = 0.4 USD\n" in told
    assert (record.cost.amount, record.pace[0]["step"]) == (pytest.approx(0.4), 1)


def test_prices_do_not_change_a_package(forest_run, tmp_path):
    digests = set()
    for number, overrides in enumerate([(), ("prices.cpu=0.05",)]):
        (tmp_path / str(number)).mkdir()
        record, sealed = gathered(forest_run, tmp_path / str(number), *overrides)
        digests.add(sealed.digest)
        assert (record.cost is None) == (not overrides)
    assert len(digests) == 1


def test_a_record_of_an_earlier_version_tells_no_cost(record):
    for name in ("took.json", "pace.json"):
        (record.folder / name).unlink(missing_ok=True)
    assert (record.took, record.cost, record.pace) == (None, None, [])
    assert record.card("# digits\n") == "# digits\n"


def test_a_refused_run_has_no_card(record):
    assert not (record.folder / "card.md").exists()


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
