"""A snapshot has one digest, whatever order its source has."""

import numpy as np
import pytest
from stages import DIGITS

from components import ingest as module
from components.config import Data, read_config
from components.dataset import Rows
from components.errors import ConfigError
from components.ingest import ingest


def test_digits_are_all_there(forest_run):
    x, y = np.load(forest_run.raw / "x.npy"), np.load(forest_run.raw / "y.npy")
    assert (x.shape, x.dtype, y.shape) == ((1797, 8, 8), np.float32, (1797,))
    assert (x.min(), x.max()) == (0, 16)
    assert np.bincount(y).min() > 170


def test_the_same_rows_in_another_order_are_the_same_snapshot(tmp_path, monkeypatch):
    x = np.random.default_rng(0).random((20, 3)).astype(np.float32)
    y = np.arange(20) % 2
    rows = Rows(kind="tabular", shape=(3,), labels=("a", "b"))
    order = np.random.default_rng(1).permutation(20)
    sources = {"builtin://straight": (x, y, rows), "builtin://shuffled": (x[order], y[order], rows)}
    monkeypatch.setattr(module, "SOURCES", {name: lambda value=value: value for name, value in sources.items()})
    digests = {ingest(Data(source=name), tmp_path / name[10:]) for name in sources}
    assert len(digests) == 1
    straight, shuffled = ((tmp_path / name / "x.npy").read_bytes() for name in ("straight", "shuffled"))
    assert straight == shuffled


def test_one_changed_value_is_another_snapshot(tmp_path, monkeypatch):
    config = read_config(DIGITS)
    x, y, rows = module.SOURCES["builtin://digits"]()
    changed = x.copy()
    changed[0, 0, 0] += 1
    monkeypatch.setattr(module, "SOURCES", {config.data.source: lambda: (changed, y, rows)})
    first = ingest(config.data, tmp_path / "changed")
    monkeypatch.setattr(module, "SOURCES", {config.data.source: lambda: (x, y, rows)})
    assert ingest(config.data, tmp_path / "original") != first


def test_an_unknown_source_is_named_with_those_that_exist(tmp_path):
    with pytest.raises(ConfigError, match="builtin://nothing is not known; choose one of builtin://digits"):
        ingest(Data(source="builtin://nothing"), tmp_path / "raw")
    assert not (tmp_path / "raw").exists()
