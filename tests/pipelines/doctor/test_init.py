from components.errors import StoreError
from components.kube import ClusterError
from pipelines.doctor import Finding, diagnose, ok


def refuse(error):
    raise error
    yield


def test_what_a_check_is_refused_is_a_finding_and_the_next_one_runs():
    errors = (
        StoreError("no answer;\n too\n slow; start it; now"),
        ClusterError("not allowed; ask", 403),
        OSError("disk"),
    )
    checks = [lambda error=error: refuse(error) for error in errors]
    assert list(diagnose([*checks, lambda: [ok("fine")]])) == [
        Finding("problem", "no answer", "too slow; start it; now"),
        Finding("warning", "not allowed", "ask"),
        Finding("problem", "disk", "see the message above"),
        Finding("ok", "fine"),
    ]
