import json

from serving.log import log


def test_an_event_is_one_json_line_with_its_time_first(capsys):
    log("ready", name="a\nb", rows=1)
    written = capsys.readouterr().out
    assert written.count("\n") == 1
    fields = json.loads(written)
    assert list(fields) == ["time", "event", "name", "rows"]
    assert fields["name"] == "a\nb"
