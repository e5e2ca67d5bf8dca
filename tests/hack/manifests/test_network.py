import pytest
from manifests.network import Endpoint, matrix, reachable

WEB, JOB, OTHER = {"app.kubernetes.io/name": "web"}, {"app.kubernetes.io/name": "promote"}, {"app": "x"}
DNS = Endpoint({"k8s-app": "kube-dns"}, "kube-system")
OUTSIDE, METADATA = Endpoint(address="203.0.113.5"), Endpoint(address="169.254.169.254")


def policy(name, selector, namespace="slipway", **spec):
    metadata = {"name": name, "namespace": namespace}
    return {"kind": "NetworkPolicy", "metadata": metadata, "spec": {"podSelector": selector, **spec}}


DENY = policy("deny", {}, policyTypes=["Ingress", "Egress"])
NAMES = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}
ALLOW_DNS = policy(
    "dns", {}, policyTypes=["Egress"],
    egress=[{"to": [{**NAMES, "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}],
             "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53}]}],
)  # fmt: skip
JOB_TO_WEB = policy(
    "job", {"matchLabels": JOB}, policyTypes=["Egress"],
    egress=[{"to": [{"podSelector": {"matchLabels": WEB}}], "ports": [{"port": 5000}]}],
)  # fmt: skip


def test_pods_that_no_policy_selects_are_open():
    assert reachable([], WEB, JOB, 80)
    assert reachable([policy("other", {"matchLabels": OTHER}, policyTypes=["Ingress"])], JOB, WEB, 80)


def test_a_policy_for_one_side_leaves_the_other_open(good):
    assert reachable(good, JOB, WEB, 5000)
    assert not reachable(good, OTHER, WEB, 5000)
    assert reachable(good, WEB, OTHER, 80)


def test_default_deny_denies_both_ways(good):
    assert not reachable([DENY], JOB, WEB, 5000)
    assert not reachable([DENY], WEB, OUTSIDE, 443)
    assert not reachable([DENY], DNS, WEB, 5000)


def test_both_sides_must_allow(good):
    assert not reachable([*good, DENY], JOB, WEB, 5000)
    assert reachable([*good, DENY, JOB_TO_WEB], JOB, WEB, 5000)
    assert not reachable([DENY, JOB_TO_WEB], JOB, WEB, 5000)
    assert not reachable([*good, DENY, JOB_TO_WEB], JOB, WEB, 5001)
    assert not reachable([*good, DENY, JOB_TO_WEB], WEB, JOB, 5000)


def test_a_named_port_is_the_number_that_the_target_gives_it(good):
    assert not reachable(good, JOB, WEB, 80)
    assert not reachable([each for each in good if each["kind"] != "Deployment"], JOB, WEB, 5000)


def test_dns_is_reached_over_its_protocols_alone():
    assert reachable([DENY, ALLOW_DNS], WEB, DNS, 53, "UDP")
    assert reachable([DENY, ALLOW_DNS], WEB, DNS, 53, "TCP")
    assert not reachable([DENY, ALLOW_DNS], WEB, DNS, 53, "SCTP")
    assert not reachable([DENY, ALLOW_DNS], WEB, DNS, 443)
    assert not reachable([DENY, ALLOW_DNS], WEB, Endpoint({"k8s-app": "other"}, "kube-system"), 53, "UDP")
    assert not reachable([DENY, ALLOW_DNS], WEB, Endpoint({"k8s-app": "kube-dns"}, "elsewhere"), 53, "UDP")


def test_a_block_of_addresses_is_outside_and_may_have_holes():
    block = {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]}
    outside = policy("out", {"matchLabels": WEB}, policyTypes=["Egress"], egress=[{"to": [{"ipBlock": block}]}])
    assert reachable([DENY, outside], WEB, OUTSIDE, 443)
    assert not reachable([DENY, outside], WEB, METADATA, 80)
    assert not reachable([DENY, outside], JOB, OUTSIDE, 443)
    assert not reachable([DENY, outside], WEB, DNS, 53)


def test_a_rule_without_peers_allows_everyone_and_one_without_ports_every_port():
    everyone = policy("all", {"matchLabels": WEB}, policyTypes=["Ingress"], ingress=[{"ports": [{"port": 80}]}])
    assert reachable([everyone], OUTSIDE, WEB, 80)
    assert not reachable([everyone], JOB, WEB, 81)
    anything = policy("all", {"matchLabels": WEB}, policyTypes=["Ingress"], ingress=[{}])
    assert reachable([anything], JOB, WEB, 81)


def test_no_rule_at_all_allows_nobody():
    assert not reachable([policy("none", {}, policyTypes=["Ingress"], ingress=[])], JOB, WEB, 80)


def test_a_port_may_be_a_range():
    rule = [{"ports": [{"port": 8000, "endPort": 8010}]}]
    ranged = policy("range", {}, policyTypes=["Ingress"], ingress=rule)
    assert [reachable([ranged], JOB, WEB, port) for port in (7999, 8000, 8010, 8011)] == [False, True, True, False]


def test_left_out_types_are_assumed_as_kubernetes_does():
    assert not reachable([policy("a", {})], JOB, WEB, 80)
    assert reachable([policy("a", {})], WEB, OUTSIDE, 80)
    assert not reachable([policy("a", {}, egress=[])], WEB, OUTSIDE, 80)


def test_namespaces_are_selected_by_the_labels_that_the_rendering_gives_them():
    peer = [{"namespaceSelector": {"matchLabels": {"team": "ml"}}}]
    rules = policy("team", {}, policyTypes=["Ingress"], ingress=[{"from": peer}])
    namespace = {"kind": "Namespace", "metadata": {"name": "work", "labels": {"team": "ml"}}}
    assert reachable([rules, namespace], Endpoint(OTHER, "work"), WEB, 80)
    assert not reachable([rules], Endpoint(OTHER, "work"), WEB, 80)


def test_with_policies_of_two_namespaces_each_end_must_say_its_own():
    there = policy("there", {}, "there", policyTypes=["Ingress"])
    with pytest.raises(ValueError, match="slipway, there: name the namespace"):
        reachable([DENY, there], WEB, JOB, 80)
    assert not reachable([DENY, there], Endpoint(OTHER, "elsewhere"), Endpoint(WEB, "there"), 80)
    assert reachable([there], Endpoint(OTHER, "there"), Endpoint(WEB, "elsewhere"), 80)


def test_the_matrix_names_for_each_source_what_it_reaches(good):
    ends = {"web": Endpoint(WEB), "promote": Endpoint(JOB), "dns": DNS}
    targets = {"web": (ends["web"], 5000), "dns": (DNS, 53), "outside": (OUTSIDE, 443)}
    documents = [*good, DENY, JOB_TO_WEB, ALLOW_DNS]
    assert matrix(documents, ends, targets) == {"web": {"dns"}, "promote": {"web", "dns"}, "dns": {"outside"}}
