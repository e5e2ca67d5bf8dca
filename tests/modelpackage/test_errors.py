"""The errors form the tree that their module draws, and each message is one line that says enough."""

import re

import pytest
from pydantic import ValidationError

from modelpackage import PackageChangedError, PackageError, Tensor, errors
from modelpackage.errors import MAX_FAULT_CHARACTERS, fault


def test_the_drawn_tree_is_the_tree():
    drawn: dict[str, str] = {}
    above = {0: "ValueError"}
    for line in errors.__doc__.splitlines():
        if match := re.match(r"((?:[│├└─ ]{4})*)(\w+Error)\b", line):
            depth = len(match[1]) // 4
            drawn[match[2]], above[depth + 1] = above[depth], match[2]
    built = {
        name: kind.__base__.__name__
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, PackageError)
    }
    assert drawn == built


def test_missing_extra_and_changed_stand_apart_in_one_line():
    error = PackageChangedError("place", missing=["a", "b"], extra=["c"], changed={"d": ("was", "now")})
    assert (error.missing, error.extra, error.changed) == (("a", "b"), ("c",), {"d": ("was", "now")})
    assert str(error) == (
        "place is not the package that was sealed; missing: a, b; not part of it: c; "
        "changed: d (sealed was, found now); fetch or build it again"
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"missing": ["a"]}, "missing: a"),
        ({"extra": ["a"]}, "not part of it: a"),
        ({"changed": {"a": ("was", "now")}}, r"changed: a \(sealed was, found now\)"),
    ],
)
def test_what_is_in_order_is_not_mentioned(given, expected):
    assert re.fullmatch(
        rf"place is not the package that was sealed; {expected}; fetch .*", str(PackageChangedError("place", **given))
    )


def refused(**fields: object) -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        Tensor(**{"name": "x", "datatype": "FP32", "shape": ()} | fields)
    return caught.value


def test_a_fault_names_the_field_and_the_rule():
    assert fault(refused(minimum="0")) == "minimum: Input should be a valid number"
    assert fault(refused(shape=(1, 0))) == "shape.1: Input should be greater than or equal to 1"


def test_further_faults_are_counted():
    assert fault(refused(minimum="0", maximum="1")).endswith(" (+1 more)")


def test_a_fault_of_the_whole_says_so():
    assert fault(refused(minimum=2.0, maximum=1.0)).startswith("the whole: ")


def test_a_long_name_does_not_make_a_long_message():
    assert len(fault(refused(**{"a" * 10**6: 1}))) <= MAX_FAULT_CHARACTERS
