from serving.refusal import refuse


def test_a_refusal_is_on_standard_error_and_where_kubernetes_looks(tmp_path, capsys):
    place = tmp_path / "termination-log"
    place.write_text("")
    assert refuse("no package", place) == 1
    assert (capsys.readouterr().err, place.read_text()) == ("no package\n", "no package")


def test_outside_of_a_container_no_termination_log_is_made(tmp_path):
    refuse("no package", tmp_path / "termination-log")
    assert list(tmp_path.iterdir()) == []
