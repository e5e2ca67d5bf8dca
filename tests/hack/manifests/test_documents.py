import pytest
from manifests.documents import at, group_of, listed, matches, selects, texts, where


def test_a_path_that_ends_early_leads_to_nothing():
    node = {"a": {"b": [1]}, "c": None, "d": 5}
    assert at(node, "a") == {"b": [1]}
    assert at(node, "a", "b") == at(node, "c", "x") == at(node, "d") == at(None, "a") == {}
    assert listed(node, "a", "b") == [1]
    assert listed(node, "a") == listed(node, "x", "b") == []


def test_an_object_is_named_by_kind_name_and_container():
    document = {"kind": "Job", "metadata": {"name": "a"}}
    assert (where(document), where(document, "b")) == ("job/a", "job/a[b]")


def test_the_core_has_no_group():
    assert group_of({"apiVersion": "v1"}) == ""
    assert group_of({"apiVersion": "apps/v1"}) == "apps"


def test_texts_come_with_their_path():
    assert list(texts({"a": ["x", {"b": "y"}], "c": 5})) == [("a[0]", "x"), ("a[1].b", "y")]


LABELS = {"app": "a", "tier": "b"}


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        ({}, True),
        ({"matchLabels": {"app": "a"}}, True),
        ({"matchLabels": {"app": "a", "other": "x"}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["a", "z"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["z"]}]}, False),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["z"]}]}, True),
        ({"matchExpressions": [{"key": "other", "operator": "NotIn", "values": ["z"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, False),
        ({"matchLabels": {"app": "a"}, "matchExpressions": [{"key": "x", "operator": "Exists"}]}, False),
    ],
    ids=str,
)
def test_a_selector_selects_as_kubernetes_does(selector, selected):
    assert selects(selector, LABELS) is selected


@pytest.mark.parametrize(
    ("pattern", "text", "matched"),
    [
        ("job/*", "job/a[b]", True),
        ("job/a[b]", "job/a[b]", True),
        ("job/a[*]", "job/a[b]", True),
        ("job/?", "job/a", False),
        ("job/a", "job/ab", False),
    ],
)
def test_only_the_star_is_special_in_a_pattern(pattern, text, matched):
    assert matches(pattern, text) is matched
