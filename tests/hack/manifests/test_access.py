import pytest

RULE = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"verbs": ["*"]}, "allows verbs *"),
        ({"resources": ["*"]}, "allows resources *"),
        ({"resources": ["pods/*"]}, "allows resources pods/*"),
        ({"apiGroups": ["*"]}, "allows apiGroups *"),
        ({"nonResourceURLs": ["*"]}, "allows nonResourceURLs *"),
        ({"resources": ["pods/exec"], "verbs": ["create"]}, "allows pods/exec"),
        ({"resources": ["secrets"], "verbs": ["get", "list"]}, "allows to list secrets"),
        ({"resources": ["secrets"], "verbs": ["watch"]}, "allows to watch secrets"),
        ({"resources": ["roles"], "verbs": ["escalate"]}, "allows to escalate"),
        ({"resources": ["roles"], "verbs": ["bind"]}, "allows to bind"),
        ({"resources": ["users"], "verbs": ["impersonate"]}, "allows to impersonate"),
    ],
    ids=str,
)
def test_a_rule_that_allows_too_much_is_found(broken, more, said):
    [(rule, where, text)] = broken.change("role/promoter", "rules 1", {**RULE, **more}).found()
    assert (rule, where) == ("rbac", "role/promoter")
    assert said in text


def test_secrets_may_be_got_by_name(broken):
    assert broken.change("role/promoter", "rules 1", {**RULE, "resources": ["secrets"]}).found() == []


def test_cluster_admin_is_found(broken):
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    [(rule, where, _)] = broken.change("rolebinding/promoter", "roleRef", role).found()
    assert (rule, where) == ("rbac", "rolebinding/promoter")


def test_rights_for_the_default_account_are_found(broken):
    subject = {"kind": "ServiceAccount", "name": "default", "namespace": "slipway"}
    [(rule, where, text)] = broken.change("rolebinding/promoter", "subjects 1", subject).found()
    assert (rule, where) == ("rbac", "rolebinding/promoter")
    assert "default account" in text
