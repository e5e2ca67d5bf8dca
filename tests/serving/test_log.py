import fcntl
import json
import os
import subprocess
import sys
import threading
from datetime import datetime
from pathlib import Path

import pytest

from serving.log import Writer, log, loggable, request_line

CLIENTS_IDS = ["", "7", "x" * 1_000_000, 'a"b\\c', "\r\n\x00\x1b[31m", "\ud800\udfff", "Zürich", "\U0001f600" * 99]
PIPE_BYTES = 4096


@pytest.fixture
def pipe():
    """A pipe that holds one page: whoever writes more waits for the reader."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    yield reader, writer
    for end in (reader, writer):
        try:
            os.close(end)
        except OSError:  # a test closed it
            continue


def read_lines(reader: int, count: int) -> list[bytes]:
    with os.fdopen(os.dup(reader), "rb", buffering=0) as file:
        content = b""
        while content.count(b"\n") < count:
            content += file.read(65536)
    return content.splitlines()


def test_an_event_is_one_json_line_with_its_time_first_and_is_written_at_once(capfd):
    log("ready", name="a\nb", rows=1)
    written = capfd.readouterr().out
    assert written.count("\n") == 1
    fields = json.loads(written)
    assert list(fields) == ["time", "event", "name", "rows"]
    assert fields["name"] == "a\nb"
    assert datetime.fromisoformat(fields["time"]).utcoffset().total_seconds() == 0


def test_an_event_may_hold_what_utf8_can_not(capfd):
    log("fault", traceback="\ud800")
    assert json.loads(capfd.readouterr().out)["traceback"] == "\ud800"


@pytest.mark.parametrize("given_id", CLIENTS_IDS, ids=lambda given: ascii(given[:8]))
def test_a_request_is_one_line_under_200_bytes_whatever_its_id(given_id):
    line = request_line(given_id, "RESOURCE_EXHAUSTED", "0123456789ab", 999_999.9994, 1 << 20, "grpc")
    assert len(line) < 200 and line.count(b"\n") == 1 and line.endswith(b"\n") and line.isascii()
    fields = json.loads(line)
    assert list(fields) == ["time", "event", "id", "code", "digest", "ms", "rows", "protocol"]
    assert fields["id"] == loggable(given_id) and fields["rows"] == 1 << 20


def test_the_time_of_a_line_is_now_in_milliseconds():
    times = [json.loads(request_line("7", "200", "", 1.0, 1, "rest"))["time"] for _ in range(3)]
    assert times == sorted(times)
    assert all(len(time) == len("2026-11-21T05:53:45.149Z") for time in times)
    assert abs(datetime.fromisoformat(times[0]).timestamp() - datetime.now().astimezone().timestamp()) < 60


def test_events_and_requests_keep_their_order(pipe):
    reader, descriptor = pipe
    writer = Writer(descriptor)
    for number in range(100):
        (writer.event if number % 10 == 0 else writer.append)(b"%d\n" % number)
    assert writer.flush(10)
    assert read_lines(reader, 100) == [b"%d" % number for number in range(100)]
    writer.close()


def test_threads_lose_no_line_and_mix_none(pipe):
    reader, descriptor = pipe
    writer = Writer(descriptor)
    threads = [
        threading.Thread(target=lambda n=n: [writer.append(b"%d %d\n" % (n, i)) for i in range(1000)]) for n in range(4)
    ]
    for thread in threads:
        thread.start()
    lines = [tuple(map(int, line.split())) for line in read_lines(reader, 4000)]
    for n in range(4):
        assert [i for thread, i in lines if thread == n] == list(range(1000))
        threads[n].join()
    assert writer.dropped == 0
    writer.close()


def test_a_stalled_reader_costs_lines_and_nothing_else(pipe):
    reader, descriptor = pipe
    writer = Writer(descriptor, limit=20_000)
    line = b"x" * 99 + b"\n"
    for _ in range(1000):
        writer.append(line)
    writer.event(b"an event still has room\n")
    kept = 1001 - writer.dropped
    assert 0 < kept * 100 <= 20_000 + PIPE_BYTES + 200
    lines = read_lines(reader, kept)
    assert lines == [line[:-1]] * (kept - 1) + [b"an event still has room"]
    writer.event(b"and it goes on\n")
    assert read_lines(reader, 1) == [b"and it goes on"]
    writer.close()


def test_closing_before_a_stalled_reader_ends(pipe):
    reader, descriptor = pipe
    writer = Writer(descriptor)
    for _ in range(100):
        writer.append(b"x" * 99 + b"\n")
    writer.close()
    assert not writer.flush(0)
    before = writer.dropped
    writer.append(b"too late\n")
    assert writer.dropped == before + 1
    os.close(reader)
    assert writer.flush(10)


def test_a_reader_that_left_ends_the_writing_quietly(pipe):
    reader, descriptor = pipe
    writer = Writer(descriptor)
    os.close(reader)
    writer.append(b"nobody\n")
    assert writer.flush(10)
    writer.append(b"nobody\n")
    assert writer.dropped == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_costs_lines_and_writing_is_tried_again():
    with Path("/dev/full").open("wb", buffering=0) as full:
        writer = Writer(full.fileno())
        for expected in (1, 2):
            writer.append(b"line\n")
            assert writer.flush(10)
            assert writer.dropped == expected
        writer.close()


def test_a_descriptor_that_does_not_block_loses_nothing(pipe):
    reader, descriptor = pipe
    os.set_blocking(descriptor, False)
    writer = Writer(descriptor)
    for number in range(2000):
        writer.append(b"%d\n" % number)
    assert read_lines(reader, 2000) == [b"%d" % number for number in range(2000)]
    writer.close()


def run(program: str, **options: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", f"from serving.log import log, output, request_line\n{program}"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def test_the_end_of_the_process_writes_what_waits():
    out, errors = run(
        "for n in range(5000): output.append(request_line(str(n), '200', '', 1.0, 1, 'rest'))"
    ).communicate()
    assert [json.loads(line)["id"] for line in out.splitlines()] == [str(n) for n in range(5000)]
    assert errors == b""


def test_a_log_whose_reader_is_gone_does_not_end_the_server():
    with run("for n in range(5000): log('ready', n=n)\nimport sys; sys.stderr.write('alive')") as process:
        process.stdout.close()
        assert process.stderr.read() == b"alive"
    assert process.returncode == 0


def test_a_log_that_nobody_reads_does_not_keep_the_process():
    with run("for n in range(5000): output.append(b'x' * 99 + b'\\n')") as process:
        assert process.wait(timeout=60) == 0
        assert process.stderr.read() == b""
