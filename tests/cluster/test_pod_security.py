"""Our checker of Pod Security against the API server of a real cluster: the same verdict on every case."""

import json
import os
from http import HTTPStatus
from typing import Any

import pod_security_cases
import pytest
from cluster import NAMESPACE
from manifests.podsecurity import violations

kubernetes = pytest.importorskip("kubernetes", reason="the client of the pipeline extra is not installed")

CASES = [case for case in pod_security_cases.cases() if case.creatable]


@pytest.fixture(scope="module")
def server(applied) -> Any:
    """One connection for all cases, to a namespace that enforces the restricted standard."""
    labels = json.loads(applied.run("get", "namespace", NAMESPACE, "--output", "json"))["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    with kubernetes.config.new_client_from_config(os.environ["KUBECONFIG"]) as client:
        yield kubernetes.client.CoreV1Api(client)


def verdict(server: Any, pod: dict[str, Any]) -> str:
    """Return what the API server has against a pod on account of the standard; another refusal is an error."""
    try:
        server.create_namespaced_pod(NAMESPACE, pod, dry_run="All")
    except kubernetes.client.ApiException as error:
        told = str(json.loads(error.body)["message"])
        if error.status != HTTPStatus.FORBIDDEN or "violates PodSecurity" not in told:
            raise AssertionError(told) from error
        return told
    return ""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_api_server_and_our_checker_agree(server, case):
    broken = violations(case.pod["spec"], case.pod["metadata"].get("annotations"))
    refusal = verdict(server, case.pod)
    assert (refusal == "") == case.allowed == (broken == []), (refusal, broken)


def test_the_cases_are_many_and_of_both_kinds():
    allowed = sum(case.allowed for case in CASES)
    print(f"Pod Security: {len(CASES)} pods sent to the API server, {allowed} of them to be admitted")
    assert allowed >= 50 and len(CASES) - allowed >= 80
