"""What workers say at their end."""

from components.processes.verdict import STOPPED, read_verdict, write_verdict


def test_who_says_nothing_has_no_verdict(tmp_path):
    (tmp_path / "job.json").write_text("{}")
    assert read_verdict(tmp_path) is None


def test_of_several_that_speak_the_lowest_rank_is_heard(tmp_path):
    write_verdict(tmp_path, 100, "the hundredth")
    write_verdict(tmp_path, 2, "the second: naïve")
    write_verdict(tmp_path, 11, STOPPED)
    assert read_verdict(tmp_path) == "the second: naïve"
