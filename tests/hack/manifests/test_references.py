import pytest

POD = "spec template spec"
WEB = f"{POD} containers 0"

BROKEN = [
    (
        "deployment/web",
        f"{WEB} env 0 valueFrom secretKeyRef name",
        "databases",
        "deployment/web[web]",
        "Secret databases",
    ),
    ("deployment/web", f"{WEB} env 1 valueFrom configMapKeyRef name", "wob", "deployment/web[web]", "ConfigMap wob"),
    ("deployment/web", f"{WEB} env 1 valueFrom configMapKeyRef key", "STORE", "deployment/web[web]", "the key STORE"),
    ("deployment/web", f"{WEB} envFrom", [{"secretRef": {"name": "none"}}], "deployment/web[web]", "Secret none"),
    ("deployment/web", f"{POD} volumes 0 persistentVolumeClaim claimName", "none", "deployment/web", "Claim none"),
    ("deployment/web", f"{POD} volumes 1 configMap name", "none", "deployment/web", "ConfigMap none"),
    (
        "deployment/web",
        f"{POD} volumes 2",
        {"name": "keys", "secret": {"secretName": "none"}},
        "deployment/web",
        "Secret none",
    ),
    (
        "deployment/web",
        f"{POD} volumes 2",
        {"name": "all", "projected": {"sources": [{"secret": {"name": "none"}}]}},
        "deployment/web",
        "Secret none",
    ),
    ("deployment/web", f"{POD} serviceAccountName", "none", "deployment/web", "ServiceAccount none"),
    ("deployment/web", f"{POD} imagePullSecrets", [{"name": "none"}], "deployment/web", "Secret none"),
    ("deployment/web", f"{POD} priorityClassName", "none", "deployment/web", "PriorityClass none"),
    ("deployment/web", f"{WEB} volumeMounts 0 name", "none", "deployment/web[web]", "mounts the volume none"),
    ("rolebinding/promoter", "roleRef name", "none", "rolebinding/promoter", "Role none"),
    (
        "rolebinding/promoter",
        "subjects 1",
        {"kind": "ServiceAccount", "name": "none"},
        "rolebinding/promoter",
        "ServiceAccount none",
    ),
    ("serviceaccount/web", "secrets", [{"name": "none"}], "serviceaccount/web", "Secret none"),
    ("scaledobject/digits", "spec scaleTargetRef name", "digits", "scaledobject/digits", "Deployment digits"),
    (
        "scaledobject/digits",
        "spec triggers 0 authenticationRef",
        {"name": "none"},
        "scaledobject/digits",
        "TriggerAuthentication none",
    ),
    (
        "inferenceservice/digits",
        "metadata annotations serving.kserve.io/storageSecretName",
        "none",
        "inferenceservice/digits",
        "Secret none",
    ),
]


@pytest.mark.parametrize(("place", "path", "value", "where", "said"), BROKEN, ids=lambda value: str(value)[:40])
def test_a_reference_to_what_nothing_makes_is_found(broken, place, path, value, where, said):
    [(rule, at, text)] = broken.change(place, path, value).found()
    assert (rule, at) == ("dangling", where)
    assert said in text


def test_a_runtime_that_nothing_makes_is_found(broken):
    found = broken.change("inferenceservice/digits", "spec predictor model runtime", "none").found()
    assert ("dangling", "inferenceservice/digits") in {(rule, where) for rule, where, _ in found}


def test_what_may_be_absent_is_no_finding(broken):
    broken.change("deployment/web", f"{WEB} env 0 valueFrom secretKeyRef", {"name": "x", "key": "y", "optional": True})
    broken.change("deployment/web", f"{POD} volumes 1 configMap", {"name": "none", "optional": True})
    assert broken.found() == []


def test_a_secret_is_made_by_a_job_that_says_so_or_by_an_external_secret(broken):
    broken.change("job/promote", "metadata annotations slipway.dev/creates", "models-reader")
    [(rule, where, text)] = broken.found()
    assert (rule, where) == ("dangling", "deployment/web[web]")
    assert "slipway.dev/creates" in text
    store = {"kind": "ClusterSecretStore", "name": "vault"}
    external = {"kind": "ExternalSecret", "metadata": {"name": "database", "namespace": "slipway"}}
    broken.documents.append({**external, "spec": {"secretStoreRef": store, "target": {"name": "database"}}})
    assert broken.found() == []
    broken.change("externalsecret/database", "spec secretStoreRef kind", "SecretStore")
    assert [text for _, _, text in broken.found() if "SecretStore vault" in text]


def test_a_claim_of_a_stateful_set_is_a_volume(broken):
    deployment = broken.object("deployment/web")
    del deployment["spec"]["template"]["spec"]["volumes"][0]
    deployment["kind"] = "StatefulSet"
    assert [text for _, _, text in broken.found()] == ["mounts the volume data, which there is not; add it"]
    deployment["spec"] |= {"volumeClaimTemplates": [{"metadata": {"name": "data"}}], "serviceName": "web"}
    assert broken.found() == []
    deployment["spec"]["serviceName"] = "none"
    assert [text.split(",")[0] for _, _, text in broken.found()] == ["names the Service none"]


def test_a_route_leads_to_a_service_of_kserve(broken):
    spec = {"parentRefs": [{"name": "public", "namespace": "gateways"}]}
    route = {"kind": "HTTPRoute", "metadata": {"name": "digits", "namespace": "slipway"}, "spec": spec}
    broken.documents.append(route)
    for name, findings in (("digits-predictor", 0), ("digits", 0), ("web", 0), ("digits-server", 1)):
        spec["rules"] = [{"backendRefs": [{"name": name, "port": 80}]}]
        assert len(broken.found()) == findings, name
    spec |= {"rules": [], "parentRefs": [{"name": "public"}]}
    assert [text.split(",")[0] for _, _, text in broken.found()] == ["names the Gateway public"]
