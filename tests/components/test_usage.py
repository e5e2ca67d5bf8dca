"""What a step took of the machine."""

import json
import time

import pytest

from components import usage
from components.usage import Usage


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(usage, "SECONDS", 0.02)


def test_work_is_seen_while_it_is_done(tmp_path):
    with Usage(tmp_path / "usage.json"):
        until = time.process_time() + 0.2
        while time.process_time() < until:
            pass
    samples = json.loads((tmp_path / "usage.json").read_text())
    assert [sample["seconds"] for sample in samples] == sorted(sample["seconds"] for sample in samples)
    assert max(sample["cpu_percent"] for sample in samples) > 50
    assert all(sample["memory_mb"] > 1 for sample in samples)


def test_a_long_run_has_a_short_account(tmp_path, monkeypatch):
    monkeypatch.setattr(usage, "MOST_SAMPLES", 4)
    with Usage(tmp_path / "usage.json"):
        time.sleep(0.4)
    assert 2 <= len(json.loads((tmp_path / "usage.json").read_text())) <= 5


def test_work_that_failed_leaves_no_account(tmp_path):
    with pytest.raises(KeyError), Usage(tmp_path / "usage.json"):
        raise KeyError
    assert not (tmp_path / "usage.json").exists()
