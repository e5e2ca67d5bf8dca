"""A broken rule is told in the user's own words."""

from typing import Annotated

import pytest
from pydantic import Field

from components.errors import ConfigError
from components.section import Section, validate


class Inner(Section):
    depth: Annotated[int, Field(ge=1)] = 1


class Outer(Section):
    inner: Inner = Inner()
    maybe: Inner | None = None
    checksum: Annotated[str, Field(pattern="^a+$")] = "a"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"inner": {"depht": 2}}, "top.inner.depht is not a setting; did you mean top.inner.depth?"),
        ({"maybe": {"depht": 2}}, "top.maybe.depht is not a setting; did you mean top.maybe.depth?"),
        ({"zebra": 2}, "top.zebra is not a setting; known here: checksum, inner, maybe"),
        ({"inner": {"depth": 0}}, "top.inner.depth=0: Input should be greater than or equal to 1"),
        ({"inner": 3}, "top.inner=3: Input should be a valid dictionary"),
    ],
)
def test_the_place_the_value_and_the_rule_are_named(content, told):
    with pytest.raises(ConfigError) as caught:
        validate(Outer, content, "top")
    assert str(caught.value).startswith(told)


def test_a_section_can_not_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        validate(Outer, {}).checksum = "b"
