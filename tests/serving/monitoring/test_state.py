"""What survives: kills at any moment, damage of any kind, and the end of a process."""

import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tiny

from serving.monitoring.drift import Drift
from serving.monitoring.feedback import Feedback
from serving.monitoring.record import Record
from serving.monitoring.state import FILE, State

#: Answers request after request, each with the class that its number tells, and says what it has flushed.
WRITER = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[2:4]
import numpy as np, tiny
from modelpackage import load
from serving.monitoring.drift import Drift
from serving.monitoring.feedback import Feedback
from serving.monitoring.record import Record
from serving.monitoring.state import State

package = load(Path(sys.argv[4]))
drift, feedback = Drift(package.descriptor, package.reference()), Feedback(tiny.LABELS)
state = State(Path(sys.argv[1]), package=package.digest, drift=drift, feedback=feedback, interval=0)
number = max((int(key) for key in feedback.changes(whole=True).predictions), default=-1) + 1
while True:
    records = []
    for number in range(number, number + 50):
        classes = np.array([number % 3])
        records.append(Record(str(number), 0.0, {"image": tiny.rows(1)}, classes, np.ones(1, np.float32)))
    number += 1
    drift.take(records)
    for record in records:
        feedback.remember(record)
    for record in records[::5]:
        feedback.judge(record.id, [tiny.LABELS[record.classes[0]]])
    print("flushing", flush=True)
    state.take(records)
    print("flushed", number, flush=True)
"""
ROOT = Path(__file__).parents[3]


class Watchers:
    """Drift and feedback of the tiny model, and their state."""

    def __init__(self, directory, package, **settings):
        self.drift = Drift(package.descriptor, package.reference())
        self.feedback = Feedback(tiny.LABELS, **settings)
        self.state = State(directory, package=package.digest, drift=self.drift, feedback=self.feedback)

    def answer(self, *ids):
        classes = np.array([0, 1])
        records = [Record(each, 0.0, {"image": tiny.rows(2)}, classes, np.ones(2, np.float32)) for each in ids]
        self.drift.take(records)
        for record in records:
            self.feedback.remember(record)
        self.state.take(records)

    @property
    def known(self):
        return set(self.feedback.changes(whole=True).predictions)

    @property
    def told(self):
        found = [
            sample
            for watcher in (self.drift, self.feedback)
            for family in watcher.collect()
            for sample in family.samples
        ]
        return {(sample.name, *sample.labels.values()): sample.value for sample in found}


@pytest.fixture
def start(sealed):
    """Start watchers as a process does; what is still open ends with the test."""
    started = []

    def one(directory, package=sealed, **settings):
        started.append(Watchers(directory, package, **settings))
        return started[-1]

    yield one
    for each in started:
        each.state.close()


def test_a_clean_end_keeps_everything(start, tmp_path):
    first = start(tmp_path / "made")
    first.answer("a", "b")
    first.feedback.judge("a", ["left", "left"])
    first.state.close()
    second = start(tmp_path / "made")
    assert second.known == {"a", "b"}
    assert second.told == first.told
    assert second.feedback.judge("b", ["left", "right"])["correct"] == 2


def test_later_flushes_write_what_is_new_and_drop_what_is_forgotten(start, tmp_path):
    first = start(tmp_path, capacity=3, window=4)
    for index in range(6):
        first.answer(f"id {index}")
        first.feedback.judge(f"id {index}", ["left", "left"])
        assert first.state.flush()
    first.state.close()
    with sqlite3.connect(tmp_path / FILE) as reader:
        counts = [
            len(reader.execute(select).fetchall())
            for select in ("SELECT * FROM predictions", "SELECT * FROM judgements", "SELECT * FROM drift")
        ]
    reader.close()
    assert counts == [3, 2, 1]
    second = start(tmp_path)
    assert second.known == {"id 3", "id 4", "id 5"}
    assert second.told == first.told


def test_the_file_does_not_grow_with_the_number_of_requests(start, tmp_path):
    watchers = start(tmp_path, capacity=200)
    sizes = []
    for round_number in range(40):
        watchers.answer(*(f"{round_number} {index}" for index in range(100)))
        watchers.state.flush()
        sizes.append((tmp_path / FILE).stat().st_size + (tmp_path / f"{FILE}-wal").stat().st_size)
    assert max(sizes) < 6 << 20
    watchers.state.close()
    assert (tmp_path / FILE).stat().st_size < 1 << 17


def test_another_package_starts_empty_and_takes_the_file_over(start, tmp_path, capfd):
    first = start(tmp_path)
    first.answer("a")
    first.state.close()
    other = tiny.seal(tmp_path / "other", tolerance=1e-4)
    second = start(tmp_path, other)
    assert second.known == set()
    assert "is that of package" in capfd.readouterr().out
    second.answer("b")
    second.state.close()
    assert start(tmp_path, other).known == {"b"}


def damage_middle(path):
    content = bytearray(path.read_bytes())
    content[4096:12288] = bytes(reversed(content[4096:12288]))
    path.write_bytes(content)


def execute(statement):
    def change(path):
        with sqlite3.connect(path) as connection:
            connection.execute(statement)
        connection.close()

    return change


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b"no database at all" * 100),
        lambda path: path.write_bytes(path.read_bytes()[:5000]),
        lambda path: path.write_bytes(path.read_bytes()[:-4096]),
        damage_middle,
        execute("ALTER TABLE predictions RENAME COLUMN classes TO others"),
        execute("UPDATE drift SET snapshot = '[]'"),
        execute("UPDATE drift SET snapshot = '{'"),
        execute("UPDATE predictions SET classes = x'05000000'"),
        execute("UPDATE predictions SET classes = x'0500'"),
        execute("UPDATE predictions SET classes = 'text'"),
        execute("UPDATE judgements SET truth = x''"),
        execute("UPDATE predictions SET id = CAST(x'ff' AS TEXT)"),
    ],
)
def test_a_damaged_file_is_set_aside_with_one_line_and_the_predictor_starts_empty(damage, start, tmp_path, capfd):
    first = start(tmp_path)
    first.answer(*(["a"] if damage.__name__ == "change" else map(str, range(2000))))
    first.feedback.judge(min(first.known), ["left", "left"])
    first.state.close()
    damage(tmp_path / FILE)
    capfd.readouterr()
    second = start(tmp_path)
    assert second.known == set()
    assert capfd.readouterr().out.count("is damaged, set aside, starting empty") == 1
    assert (tmp_path / f"{FILE}.damaged").exists()
    second.answer("b")
    second.state.close()
    assert start(tmp_path).known == {"b"}


def test_an_empty_file_is_a_new_one(start, tmp_path):
    (tmp_path / FILE).touch()
    first = start(tmp_path)
    first.answer("a")
    first.state.close()
    assert start(tmp_path).known == {"a"}


def test_a_directory_that_cannot_be_used_is_no_reason_not_to_start(start, tmp_path, capfd):
    (tmp_path / "file").touch()
    watchers = start(tmp_path / "file" / "below")
    watchers.answer("a")
    assert not watchers.state.flush()
    assert not watchers.state.flush()
    assert capfd.readouterr().out.count("can't be used, nothing is kept") == 1


def test_a_file_in_use_by_another_process_is_taken_up_when_it_is_free(start, tmp_path, capfd):
    first = start(tmp_path)
    first.answer("a")
    first.state.flush()
    second = start(tmp_path)
    assert "database is locked" in capfd.readouterr().out
    second.answer("b")
    assert not second.state.flush()
    first.state.close()
    assert second.state.flush()
    assert second.known == {"a", "b"}
    second.state.close()
    assert start(tmp_path).known == {"a", "b"}


def test_a_flush_that_fails_is_made_up_for(start, tmp_path, capfd):
    watchers = start(tmp_path)
    watchers.answer("a")
    watchers.state._connection.execute("PRAGMA query_only = ON")
    assert not watchers.state.flush()
    assert "can't be written" in capfd.readouterr().out
    watchers.answer("b")
    assert watchers.state.flush()
    before = watchers.told
    watchers.state.close()
    second = start(tmp_path)
    assert second.known == {"a", "b"}
    assert second.told == before


def test_an_id_that_cannot_be_written_stops_nothing_and_passes(start, tmp_path):
    watchers = start(tmp_path, capacity=2)
    watchers.answer("half a pair \ud800")
    assert not watchers.state.flush()
    watchers.answer("a", "b")
    assert watchers.state.flush()
    watchers.state.close()
    assert start(tmp_path).known == {"a", "b"}


def test_a_killed_process_comes_back_with_all_it_had_flushed(sealed, start, tmp_path):
    moments, flushed = random.Random(0), 0  # noqa: S311  # moments need no secrecy
    command = [sys.executable, "-c", WRITER, tmp_path, ROOT, ROOT / "tests" / "support", sealed.path]
    for _ in range(10):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        for line in process.stdout:
            if found := re.fullmatch(r"flushed (\d+)\n", line):
                flushed = int(found[1])
            elif moments.random() < 0.2:
                time.sleep(moments.random() * 0.004)
                break
        process.send_signal(signal.SIGKILL)
        rest, _ = process.communicate(timeout=10)
        flushed = max([flushed, *map(int, re.findall(r"flushed (\d+)\n", rest))])
        assert process.returncode == -signal.SIGKILL
    watchers = start(tmp_path)
    assert not (tmp_path / f"{FILE}.damaged").exists()
    assert {str(number) for number in range(flushed)} <= watchers.known
    assert len(watchers.known) % 50 == 0
    everything = watchers.feedback.changes(whole=True)
    assert all(each.classes.tolist() == [int(key) % 3] for key, each in everything.predictions.items())
    assert len(everything.judgements) == len(everything.predictions) / 5
    assert watchers.told["slipway_live_accuracy",] == 1
    assert watchers.told["slipway_drift_rows", "input"] == min(1000, len(watchers.known))
