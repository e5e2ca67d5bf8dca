import pytest


@pytest.mark.parametrize(
    ("place", "path", "value", "said"),
    [
        ("service/web", "spec ports 0 targetPort", "https", "leads to https, which no container has"),
        ("service/web", "spec ports 0 targetPort", 5001, "leads to 5001, which no container has"),
        ("service/web", "spec ports 0 targetPort", ..., "leads to 80, which no container has"),
        ("podmonitor/digits", "spec podMetricsEndpoints 0 port", "metrics", "endpoint metrics is a port that no"),
    ],
)
def test_a_port_that_no_container_has_is_found(broken, place, path, value, said):
    [(rule, where, text)] = broken.change(place, path, value).found()
    assert (rule, where) == ("dangling", place)
    assert said in text


def test_ports_may_be_said_by_number(broken):
    assert broken.change("service/web", "spec ports 0 targetPort", 5000).found() == []
