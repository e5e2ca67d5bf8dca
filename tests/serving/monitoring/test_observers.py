"""What was answered, on its way to those who watch."""

import threading
from contextlib import contextmanager

import numpy as np

from serving.codec.answer import Scores
from serving.codec.query import Query
from serving.monitoring import observers as module
from serving.monitoring.observers import Observers

CONFIDENCE = np.float32([0.5])


class Watcher:
    """Keeps what it is told, unless it is told to fail."""

    def __init__(self, *, fails=False):
        self.records, self.calls, self.fails = [], 0, fails

    def take(self, records):
        self.calls += 1
        if self.fails:
            raise RuntimeError("no pencil")
        self.records.extend(records)


def query(name="7", rows=1, size=4):
    return Query(name, rows, {"image": np.zeros((rows, size), np.float32)}, [], (), frozenset(), 0.0)


def scores(rows=1):
    return Scores({}, np.zeros(rows, np.int64), np.repeat(CONFIDENCE, rows))


@contextmanager
def observing(*watchers, **changes):
    made = Observers(watchers, **changes)
    try:
        yield made
    finally:
        made.close()


def test_every_watcher_gets_every_answer_in_order():
    first, second = Watcher(), Watcher()
    with observing(first, second) as made:
        for number in range(5):
            made.add(query(str(number)), scores())
        made._hand_on()
        assert [record.id for record in first.records] == ["0", "1", "2", "3", "4"]
        assert first.records == second.records


def test_the_last_answers_are_handed_on_at_the_end():
    watcher = Watcher()
    with observing(watcher) as made:
        made.add(query(), scores())
    assert [record.id for record in watcher.records] == ["7"]
    assert "observers" not in {thread.name for thread in threading.enumerate()}


def test_watchers_are_called_in_every_interval_also_with_nothing(monkeypatch):
    monkeypatch.setattr(module, "INTERVAL_SECONDS", 0.01)
    watcher, twice = Watcher(), threading.Event()
    take = watcher.take
    watcher.take = lambda records: (take(records), twice.set() if watcher.calls > 1 else None)
    with observing(watcher):
        assert twice.wait(15)


def test_a_watcher_that_fails_is_told_of_once_and_left_out(capfd):
    bad, good = Watcher(fails=True), Watcher()
    with observing(bad, good) as made:
        for _ in range(3):
            made.add(query(), scores())
            made._hand_on()
        assert bad.calls == 1
        assert len(good.records) == 3
    out = capfd.readouterr().out
    assert out.count('"event":"fault"') == 1
    assert '"id":"Watcher"' in out
    assert "no pencil" in out


def test_inputs_are_kept_of_a_sample_and_of_those_that_are_wanted(monkeypatch):
    monkeypatch.setattr(module, "SAMPLED_ROWS", 10)
    watcher = Watcher()
    with observing(watcher, wanted=lambda name: name == "19") as made:
        for turn in range(2):
            for number in range(20):
                made.add(query(str(number), rows=2), scores(2))
            made._hand_on()
            kept = [record.id for record in watcher.records[20 * turn :] if record.inputs is not None]
            assert kept == ["0", "1", "2", "3", "4", "19"]


def test_inputs_that_wait_have_a_bound_in_bytes_whoever_wants_them(monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 1000)
    watcher = Watcher()
    with observing(watcher, wanted=lambda _name: True) as made:
        for _ in range(10):
            made.add(query(size=100), scores())
        made._hand_on()
    assert sum(record.inputs is not None for record in watcher.records) == 3
    assert len(watcher.records) == 10


def test_answers_that_wait_have_a_bound(monkeypatch):
    monkeypatch.setattr(module, "MOST_WAITING", 5)
    watcher = Watcher()
    with observing(watcher) as made:
        for _ in range(9):
            made.add(query(), scores())
        made._hand_on()
        made.add(query(), scores())
    assert len(watcher.records) == 6


def test_each_answer_is_remembered_at_once_and_in_order():
    remembered = []
    with observing(remember=remembered.append) as made:
        for number in range(3):
            made.add(query(str(number)), scores())
        assert [record.id for record in remembered] == ["0", "1", "2"]


def test_what_is_kept_of_an_input_is_no_part_of_its_body():
    watcher = Watcher()
    with observing(watcher) as made:
        body = np.zeros((1000, 4), np.float32)
        made.add(Query("7", 1, {"image": body[:1]}, [], (), frozenset(), 0.0), scores())
        made._hand_on()
    (record,) = watcher.records
    assert record.inputs["image"].base is None


def test_answers_that_come_from_a_thread_while_others_are_handed_on_are_not_lost():
    watcher = Watcher()
    with observing(watcher) as made:
        handing = threading.Thread(target=lambda: [made._hand_on() for _ in range(200)])
        handing.start()
        for number in range(3000):
            made.add(query(str(number)), scores())
        handing.join()
    assert [record.id for record in watcher.records] == [str(number) for number in range(3000)]
