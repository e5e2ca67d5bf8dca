import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.codec.nesting import depth, parse
from serving.errors import InvalidInputError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text('aé"\\[]{}', max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('a"\\[{', max_size=3), inner, max_size=3),
    max_leaves=12,
)


def measured(value):
    """The same by recursion."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(measured, inner), default=0)


@given(JSON)
def test_the_depth_is_that_of_the_parsed_value(value):
    body = json.dumps(value).encode()
    assert depth(body) == measured(value)


@pytest.mark.parametrize(("inner", "passes"), [(7, True), (8, False)])
def test_a_body_is_as_deep_as_allowed_and_no_deeper(inner, passes):
    body = b'{"a":' + b"[" * inner + b"]" * inner + b"}"
    if passes:
        assert list(parse(body, 8)) == ["a"]
    else:
        with pytest.raises(InvalidInputError, match="nested deeper than 8; send values flat"):
            parse(body, 8)


def test_brackets_side_by_side_and_in_text_are_not_deep():
    assert len(parse(b'{"a":[' + b",".join([b"[]"] * 1000) + b"]}", 4)["a"]) == 1000
    assert parse(json.dumps({"a": "[" * 100, "b": '\\"[' * 100}).encode(), 4)["a"] == "[" * 100


@pytest.mark.parametrize("count", [100, 100_000, 10_000_000])
@pytest.mark.parametrize("closed", [False, True])
def test_any_number_of_brackets_is_refused(count, closed):
    body = b"[" * count + (b"]" * count if closed else b"")
    with pytest.raises(InvalidInputError, match="nested deeper"):
        parse(body, 32)


@given(
    body=st.binary(max_size=50)
    | st.text('[]{}",:\\ 1', max_size=40).map(str.encode)
    | JSON.map(json.dumps).map(str.encode)
)
def test_a_body_is_a_json_object_or_refused(body):
    try:
        assert isinstance(parse(body, 4), dict)
    except InvalidInputError as error:
        assert str(error).startswith("the body is")  # noqa: PT017  # either outcome is right, an error has its words


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body is not JSON, see line 1 column 1"),
        (b'{"inputs": [1,', "not JSON"),
        (b'{"a": NaN}', "not JSON, see line 1 column 7"),
        (b'{"a": Infinity}', "not JSON"),
        (b'{"a": 1e400}', "not JSON"),
        (b'{"a": "\\ud800"}', "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"{} {}", "not JSON"),
        (b"null", "the body is null; send one JSON object"),
        (b"[]", "the body is a list"),
        (b"5", "the body is a number"),
        (b'"' + b"a" * 1000 + b'"', "the body is 'aaaa"),
    ],
)
def test_a_bad_body_is_refused_with_the_reason(body, message):
    with pytest.raises(InvalidInputError, match=message) as caught:
        parse(body, 32)
    assert len(str(caught.value)) < 100


def test_a_view_of_a_body_is_read_like_the_body():
    assert parse(memoryview(b'x{"a": 1}')[1:], 4) == {"a": 1}
