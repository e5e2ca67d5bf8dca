import pytest

WEB = "spec template spec containers 0"
POD = "spec template spec"
RUNTIME = "servingruntime/slipway"
SERVER = "inferenceservice/digits[kserve-container]"

BROKEN = [
    ("probes", "deployment/web", f"{WEB} readinessProbe", ..., "deployment/web[web]", "neither a startup nor"),
    ("probes", "deployment/web", f"{WEB} livenessProbe", ..., "deployment/web[web]", "no liveness probe"),
    ("probes", RUNTIME, "spec containers 0 livenessProbe", ..., SERVER, "no liveness probe"),
    (
        "probes",
        RUNTIME,
        "spec containers 0 readinessProbe httpGet path",
        "/ready",
        SERVER,
        "readinessProbe asks for /ready",
    ),
    ("probes", RUNTIME, "spec containers 0 livenessProbe httpGet path", "/healthz", SERVER, "livenessProbe asks for"),
    (
        "probes",
        RUNTIME,
        "spec containers 0 startupProbe httpGet path",
        "/v2/health/live",
        SERVER,
        "answers without a model",
    ),
    (
        "resources",
        "deployment/web",
        f"{WEB} resources requests cpu",
        ...,
        "deployment/web[web]",
        "resources.requests.cpu",
    ),
    ("resources", "deployment/web", f"{WEB} resources requests memory", ..., "deployment/web[web]", "requests.memory"),
    ("resources", "deployment/web", f"{WEB} resources limits", ..., "deployment/web[web]", "limits.memory"),
    (
        "resources",
        "deployment/web",
        f"{POD} initContainers 0 resources limits",
        ...,
        "deployment/web[migrate]",
        "limits",
    ),
    ("resources", "job/promote", f"{WEB} resources limits", ..., "job/promote[promote]", "limits.memory"),
    ("security-context", "deployment/web", f"{POD} hostNetwork", True, "deployment/web", "hostNetwork is true"),
    (
        "security-context",
        "deployment/web",
        f"{WEB} securityContext readOnlyRootFilesystem",
        ...,
        "deployment/web[web]",
        "can write its root file system",
    ),
    (
        "security-context",
        "job/promote",
        f"{WEB} securityContext allowPrivilegeEscalation",
        True,
        "job/promote[promote]",
        "(allowPrivilegeEscalation)",
    ),
    (
        "security-context",
        "clusterstoragecontainer/slipway",
        "spec container securityContext runAsNonRoot",
        ...,
        "clusterstoragecontainer/slipway[storage-initializer]",
        "runAsNonRoot",
    ),
    (
        "security-context",
        "deployment/web",
        f"{POD} automountServiceAccountToken",
        True,
        "deployment/web",
        "mounts a token",
    ),
    ("security-context", "deployment/web", f"{POD} enableServiceLinks", ..., "deployment/web", "a variable for every"),
    (
        "security-context",
        "inferenceservice/digits",
        "spec predictor securityContext runAsUser",
        0,
        "inferenceservice/digits",
        "runAsUser is 0",
    ),
]


@pytest.mark.parametrize(("rule", "place", "path", "value", "where", "said"), BROKEN, ids=lambda value: str(value)[:50])
def test_what_a_pod_leaves_out_is_found(broken, rule, place, path, value, where, said):
    [(found, at, text)] = broken.change(place, path, value).found()
    assert (found, at) == (rule, where)
    assert said in text


def test_a_job_and_an_init_container_need_no_probes_and_a_sidecar_does(broken):
    broken.change("deployment/web", "spec template spec initContainers 0 restartPolicy", "Always")
    assert {(rule, where) for rule, where, _ in broken.found()} == {("probes", "deployment/web[migrate]")}


def test_an_account_that_mounts_no_token_is_enough(broken):
    assert broken.change("deployment/web", f"{POD} automountServiceAccountToken", ...).found() == []


def test_an_account_without_a_role_needs_no_token(broken):
    broken.documents = [each for each in broken.documents if each["kind"] != "RoleBinding"]
    [(rule, where, text)] = broken.found()
    assert (rule, where) == ("security-context", "job/promote")
    assert "account promoter, which has no role" in text


def test_a_probe_may_name_the_model_or_the_whole_server(broken):
    for path in ("/v2/health/ready", "/v2/models/digits/ready"):
        assert broken.change(RUNTIME, "spec containers 0 readinessProbe httpGet path", path).found() == []
