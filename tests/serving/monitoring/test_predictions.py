import gzip
import json
import re
import secrets
import threading
from pathlib import Path

import numpy as np
import pytest
import tiny
import tiny_table
from prometheus_client import CollectorRegistry, generate_latest

from modelpackage import Package, describe
from serving.monitoring import predictions
from serving.monitoring.predictions import PredictionLog
from serving.monitoring.record import Record
from serving.monitoring.sink import SinkError, open_sink
from serving.s3 import S3

TIME = 1_763_704_425.149
OBJECT = re.compile(r"tiny/predictions/\d{4}-\d\d-\d\d/\d{6}-[0-9a-f]{8}-\d+\.jsonl\.gz")
#: Longer than any test: only what fills an object, or closing, writes one.
LONG = 3600.0


class GatedSink:
    """Holds every object back until it is let go, like a store that is slow."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.called = threading.Semaphore(0)
        self.stored: dict[str, bytes] = {}

    def put(self, name: str, content: bytes) -> None:
        self.called.release()
        self.gate.wait()
        self.stored[name] = content


class BrokenSink:
    """Refuses the first objects, like a store that comes back."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.names: list[str] = []
        self.taken = threading.Event()

    def put(self, name: str, content: bytes) -> None:
        self.names.append(name)
        if len(self.names) <= self.failures:
            raise SinkError("the store is away")
        self.taken.set()


def record(request_id: str = "7", rows: int = 2, **changes: object) -> Record:
    content = {
        "id": request_id,
        "time": TIME,
        "inputs": {"image": tiny.rows(rows)},
        "classes": np.arange(rows) % 3,
        "confidence": np.linspace(0.5, 0.9, rows, dtype=np.float32),
    }
    return Record(**(content | changes))


def start(sink: object, package: Package, **settings: object) -> PredictionLog:
    return PredictionLog(sink, package.descriptor, **({"name": "tiny", "interval": LONG} | settings))


def stored(folder: Path) -> list[dict]:
    lines = [gzip.decompress(path.read_bytes()).splitlines() for path in sorted(folder.rglob("*.gz"))]
    return [json.loads(line) for part in lines for line in part]


def rows(log: PredictionLog) -> tuple[int, int]:
    """What the metric says of rows written and dropped."""
    registry = CollectorRegistry()
    registry.register(log)
    assert b"# TYPE slipway_prediction_log_rows_total counter" in generate_latest(registry)
    values = [
        registry.get_sample_value("slipway_prediction_log_rows_total", {"result": r}) for r in ("written", "dropped")
    ]
    return int(values[0]), int(values[1])


@pytest.fixture
def table(tmp_path: Path) -> Package:
    return tiny_table.seal(tmp_path / "table")


def test_closing_writes_every_row_with_what_a_reader_needs(sealed, tmp_path):
    folder = tmp_path / "log"
    log = start(open_sink(folder.as_uri()), sealed)
    log.take([record("7"), record("8", rows=1)])
    log.close()
    assert [OBJECT.fullmatch(path.relative_to(folder).as_posix()) is not None for path in folder.rglob("*.gz")] == [
        True
    ]
    lines = stored(folder)
    assert [(line["id"], line["row"], line["label"]) for line in lines] == [
        ("7", 0, "left"),
        ("7", 1, "right"),
        ("8", 0, "left"),
    ]
    assert list(lines[0]) == ["time", "id", "row", "package", "label", "confidence", "inputs"]
    assert lines[0]["time"] == "2025-11-21T05:53:45.149Z"
    assert lines[0]["package"] == f"sha256:{sealed.digest}"
    assert [line["confidence"] for line in lines[:2]] == [0.5, 0.9]
    assert [line["inputs"]["image"] for line in lines[:2]] == tiny.rows(2).reshape(2, 4).tolist()
    assert rows(log) == (3, 0)


def test_a_table_is_recorded_with_its_gaps_and_its_text(table, tmp_path):
    log = start(open_sink((tmp_path / "log").as_uri()), table)
    inputs = {"numbers": tiny_table.NUMBERS, "categories": tiny_table.TEXT}
    log.take([record(rows=4, inputs=inputs, classes=np.zeros(4, np.int64))])
    log.close()
    assert [line["inputs"] for line in stored(tmp_path / "log")] == [
        {"numbers": [30.0, 1.0], "categories": ["Zürich"]},
        {"numbers": [None, 2.0], "categories": [""]},
        {"numbers": [50.0, None], "categories": ["東京"]},
        {"numbers": [40.0, 4.0], "categories": ["Paris"]},
    ]


def test_of_a_large_image_only_brightness_and_contrast_are_recorded(sealed, tmp_path):
    images = np.random.default_rng(0).random((2, 33, 32), dtype=np.float32)
    log = start(open_sink((tmp_path / "log").as_uri()), sealed)
    log.take([record(inputs={"image": images})])
    log.close()
    expected = describe(images, kind="image")
    for row, line in enumerate(stored(tmp_path / "log")):
        assert "inputs" not in line
        assert line["described"]["image"] == {name: values[row] for name, values in expected.items()}


def test_a_record_without_inputs_and_an_id_that_utf8_can_not_hold_are_recorded(sealed, tmp_path):
    log = start(open_sink((tmp_path / "log").as_uri()), sealed)
    log.take([record("a\ud800\n", rows=1, inputs=None)])
    log.close()
    (line,) = stored(tmp_path / "log")
    assert line["id"] == "a?\n" and "inputs" not in line and "described" not in line


def test_replicas_agree_about_the_sample_and_it_has_its_share(sealed):
    logs = [start(GatedSink(), sealed, sample=share) for share in (0.0, 0.25, 0.25, 1.0)]
    none, first, second, every = ([log.sampled(str(n)) for n in range(4000)] for log in logs)
    assert not any(none) and all(every)
    assert first == second
    assert 900 < sum(first) < 1100
    for log in logs:
        log.close()


def test_what_is_not_sampled_is_neither_written_nor_dropped(sealed, tmp_path):
    log = start(open_sink((tmp_path / "log").as_uri()), sealed, sample=0.5)
    log.take(record(str(n), rows=1) for n in range(100))
    log.close()
    expected = [str(n) for n in range(100) if log.sampled(str(n))]
    assert [line["id"] for line in stored(tmp_path / "log")] == expected
    assert rows(log) == (len(expected), 0)


def test_rows_are_written_while_the_process_lives(sealed):
    sink = GatedSink()
    log = start(sink, sealed, interval=0.01)
    log.take([record()])
    assert sink.called.acquire(timeout=30)
    sink.gate.set()
    log.close()
    assert rows(log) == (2, 0)


@pytest.mark.parametrize("limit", [{"max_rows": 4}, {"max_bytes_per_object": 1000}])
def test_an_object_keeps_its_limits_and_requests_stay_whole(sealed, tmp_path, limit):
    folder = tmp_path / "log"
    log = start(open_sink(folder.as_uri()), sealed, **limit)
    for number in range(10):
        log.take([record(str(number))])
    log.take([record("large", rows=6)])
    log.close()
    written, dropped = rows(log)
    assert written + dropped == 26 and written == len(stored(folder))
    for path in folder.rglob("*.gz"):
        content = gzip.decompress(path.read_bytes())
        ids = {json.loads(line)["id"] for line in content.splitlines()}
        assert len(ids) == 1 or content.count(b"\n") <= limit.get("max_rows", 26)
        assert len(ids) == 1 or len(content) <= limit.get("max_bytes_per_object", 1 << 20)


def test_two_replicas_never_write_the_same_object(sealed, tmp_path):
    folder = tmp_path / "log"
    logs = [start(open_sink(folder.as_uri()), sealed) for _ in range(3)]
    for log in logs:
        log.take([record(rows=1)])
        log.close()
    assert len(stored(folder)) == 3


def test_after_the_budget_of_the_hour_rows_are_dropped_and_counted(sealed, tmp_path, monkeypatch):
    log = start(open_sink((tmp_path / "log").as_uri()), sealed, max_bytes_per_hour=1)
    hours = [TIME]
    monkeypatch.setattr(predictions.time, "time", lambda: hours[0])
    log.take([record("1", rows=1), record("2", rows=3)])
    hours[0] += 3600
    log.take([record("3", rows=1)])
    log.close()
    assert [line["id"] for line in stored(tmp_path / "log")] == ["1", "3"]
    assert rows(log) == (2, 3)


def test_a_slow_store_costs_the_oldest_rows_and_no_memory(sealed):
    sink = GatedSink()
    log = start(sink, sealed, max_bytes_per_object=2000, interval=0.01)
    log.take([record("first", rows=1)])
    assert sink.called.acquire(timeout=30)
    for number in range(1000):
        log.take([record(str(number), rows=1)])
        assert log._bytes <= predictions.WAITING_OBJECTS * 2000
    sink.gate.set()
    log.close()
    lines = [json.loads(line) for content in sink.stored.values() for line in gzip.decompress(content).splitlines()]
    ids = [line["id"] for line in lines]
    assert ids == ["first", *map(str, range(1001 - len(ids), 1000))]
    assert rows(log) == (len(ids), 1001 - len(ids)) and 10 < len(ids) < 100


def test_a_store_that_comes_back_gets_the_object_under_the_same_name(sealed, capfd):
    sink = BrokenSink(failures=3)
    log = start(sink, sealed, interval=0.01)
    log.take([record()])
    assert sink.taken.wait(30)
    log.close()
    assert len(sink.names) == 4 and len(set(sink.names)) == 1
    assert rows(log) == (2, 0)
    (line,) = map(json.loads, capfd.readouterr().out.splitlines())
    assert (line["event"], line["error"]) == ("predictions_not_written", "the store is away")


def test_closing_does_not_wait_for_a_store_that_hangs(sealed, monkeypatch):
    monkeypatch.setattr(predictions, "CLOSE_SECONDS", 0.1)
    sink = GatedSink()
    log = start(sink, sealed, max_rows=2)
    log.take([record("1")])
    assert sink.called.acquire(timeout=30)
    log.take([record("2")])
    log.close()
    assert sink.stored == {} and rows(log) == (0, 2)
    log.take([record("late")])
    assert rows(log) == (0, 4)
    sink.gate.set()
    log._thread.join()


def test_a_dead_endpoint_costs_rows_and_nothing_else(sealed, capfd):
    secret = secrets.token_hex(8)
    server = S3(endpoint="http://127.0.0.1:9", access_key="someone", secret_key=secret)
    log = start(open_sink("s3://bucket", server), sealed)
    log.take([record()])
    log.close()
    assert rows(log) == (0, 2)
    written = capfd.readouterr().out
    assert "can't reach s3://bucket on 127.0.0.1:9" in json.loads(written)["error"]
    assert secret not in written and "someone" not in written


def test_a_real_bucket_gets_the_rows(sealed, bucket, minio_server):
    server = S3(
        endpoint=minio_server["AWS_ENDPOINT_URL"],
        access_key=minio_server["AWS_ACCESS_KEY_ID"],
        secret_key=minio_server["AWS_SECRET_ACCESS_KEY"],
    )
    sink = open_sink(f"{bucket}/kept", server)
    log = start(sink, sealed)
    log.take([record()])
    log.close()
    name = bucket.removeprefix("s3://")
    (entry,) = sink._client.list_objects(bucket_name=name, recursive=True)
    assert OBJECT.fullmatch(entry.object_name.removeprefix("kept/"))
    with sink._client.get_object(bucket_name=name, object_name=entry.object_name) as answer:
        lines = gzip.decompress(answer.read()).splitlines()
    assert [json.loads(line)["row"] for line in lines] == [0, 1]
    assert rows(log) == (2, 0)
