"""What a step took of the machine."""

import json
import subprocess
import sys
import time

import pytest
from nvml import compiled

from components import gpu, usage
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


def test_what_the_process_started_is_seen_with_it(tmp_path):
    program = """
import time
held = bytearray(50_000_000)
until = time.process_time() + 0.3
while time.process_time() < until:
    pass
"""
    with Usage(tmp_path / "usage.json"):
        subprocess.run([sys.executable, "-c", program], check=True)
    samples = json.loads((tmp_path / "usage.json").read_text())
    assert max(sample["cpu_percent"] for sample in samples) > 50
    assert max(sample["memory_mb"] for sample in samples) > samples[0]["memory_mb"] + 50


def test_gpus_are_seen_where_there_are_any(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "LIBRARY", compiled(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with Usage(tmp_path / "usage.json", gpus=2):
        time.sleep(0.1)
    samples = json.loads((tmp_path / "usage.json").read_text())
    assert {(sample["gpu_percent"], sample["gpu_memory_mb"]) for sample in samples} == {(50.0, 70500.0)}


def test_nothing_is_told_of_gpus_where_there_are_none(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "LIBRARY", str(tmp_path / "none.so"))
    with Usage(tmp_path / "usage.json"):
        time.sleep(0.1)
    samples = json.loads((tmp_path / "usage.json").read_text())
    assert {tuple(sample) for sample in samples} == {("cpu_percent", "memory_mb", "seconds")}


def test_a_long_run_has_a_short_account(tmp_path, monkeypatch):
    monkeypatch.setattr(usage, "MOST_SAMPLES", 4)
    with Usage(tmp_path / "usage.json"):
        time.sleep(0.4)
    assert 2 <= len(json.loads((tmp_path / "usage.json").read_text())) <= 5


def test_work_that_failed_leaves_no_account(tmp_path):
    with pytest.raises(KeyError), Usage(tmp_path / "usage.json"):
        raise KeyError
    assert not (tmp_path / "usage.json").exists()
