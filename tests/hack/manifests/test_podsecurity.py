import pod_security_cases
import pytest
from manifests.podsecurity import BASELINE, LINUX, RESTRICTED, violations

CASES = pod_security_cases.cases()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_pod_is_admitted_or_refused_as_the_standard_says(case):
    found = violations(case.pod["spec"], case.pod["metadata"].get("annotations"))
    assert (found == []) == case.allowed, found


def test_the_cases_are_many_and_break_every_control():
    assert len({case.name for case in CASES}) == len(CASES) >= 120
    broken = {
        each.control for case in CASES for each in violations(case.pod["spec"], case.pod["metadata"].get("annotations"))
    }
    assert broken == {*BASELINE, *RESTRICTED, *LINUX}


def test_a_violation_names_the_container():
    pod = pod_security_cases.changed("spec initContainers 0 securityContext runAsUser", 0)
    assert violations(pod["spec"]) == [("runAsUser", "init", "runAsUser is 0")]
