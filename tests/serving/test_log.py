import json
import subprocess
import sys

from serving.log import log


def test_an_event_is_one_json_line_with_its_time_first(capsys):
    log("ready", name="a\nb", rows=1)
    written = capsys.readouterr().out
    assert written.count("\n") == 1
    fields = json.loads(written)
    assert list(fields) == ["time", "event", "name", "rows"]
    assert fields["name"] == "a\nb"


def test_a_log_whose_reader_is_gone_does_not_end_the_server():
    program = (
        "from serving.log import log\nfor n in range(5000): log('ready', n=n)\nimport sys; sys.stderr.write('alive')"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read().startswith(b"alive")
