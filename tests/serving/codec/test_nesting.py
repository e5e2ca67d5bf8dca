import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.codec.nesting import NAME, PIECE, depth, parse
from serving.errors import InvalidInputError
from serving.settings import Limits

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text('aé"\\[]{}', max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('a"\\[{', max_size=3), inner, max_size=3),
    max_leaves=12,
)


def bounds(nesting):
    return Limits(max_nesting=nesting)


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
        assert list(parse(body, bounds(8))) == ["a"]
    else:
        with pytest.raises(InvalidInputError, match="nested deeper than 8; send values flat"):
            parse(body, bounds(8))


def test_brackets_side_by_side_and_in_text_are_not_deep():
    assert len(parse(b'{"a":[' + b",".join([b"[]"] * 1000) + b"]}", bounds(4))["a"]) == 1000
    assert parse(json.dumps({"a": "[" * 100, "b": '\\"[' * 100}).encode(), bounds(4))["a"] == "[" * 100


@pytest.mark.parametrize("count", [100, 100_000, 10_000_000])
@pytest.mark.parametrize("closed", [False, True])
def test_any_number_of_brackets_is_refused(count, closed):
    body = b"[" * count + (b"]" * count if closed else b"")
    with pytest.raises(InvalidInputError, match="nested deeper" if count <= 100_000 else "most is 100000"):
        parse(body, Limits())


@pytest.mark.parametrize("item", [b"[]", b"{}", b'"["', b'"}{"'])
def test_lists_and_objects_are_as_many_as_allowed_and_no_more(item):
    limits = Limits(max_json_containers=16)
    assert len(parse(b'{"a":[' + b",".join([item] * 14) + b"]}", limits)["a"]) == 14
    with pytest.raises(InvalidInputError) as caught:
        parse(b'{"a":[' + b",".join([item] * 15) + b"]}", limits)
    told = "the body has 17 lists and objects, the most is 16; send fewer rows, or the binary tensor extension"
    assert str(caught.value) == told


@pytest.mark.parametrize(("value", "each"), [(b"1,2,3,", 3), (b'",",', 2), (b'":",', 1 + NAME)])
def test_values_are_as_many_as_allowed_and_no_more(value, each):
    body = b'{"a":[' + value * 20 + b"0]}"
    counted = 20 * each + 1 + NAME
    assert parse(body, Limits(max_json_values=counted))["a"][-1] == 0
    with pytest.raises(InvalidInputError) as caught:
        parse(body, Limits(max_json_values=counted - 1))
    assert str(caught.value) == (
        f"the body has {counted} values, counting a name as {NAME}, the most is {counted - 1}; "
        "send fewer rows, or the binary tensor extension"
    )


@pytest.mark.parametrize("text", ['"', "\\", '\\"', "\\\\", "[", '\\"]'])
@pytest.mark.parametrize("off", range(-4, 4))
def test_the_depth_is_the_same_wherever_a_piece_of_the_body_ends(text, off):
    value = ["x" * (PIECE - 16 + off), text * 8, [[text]]]
    assert depth(json.dumps(value).encode()) == 3
    assert depth(bytearray(json.dumps([value, text], separators=(",", ":")).encode())) == 4


@given(
    body=st.binary(max_size=50)
    | st.text('[]{}",:\\ 1', max_size=40).map(str.encode)
    | JSON.map(json.dumps).map(str.encode)
)
def test_a_body_is_a_json_object_or_refused(body):
    try:
        assert isinstance(parse(body, bounds(4)), dict)
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
        parse(body, Limits())
    assert len(str(caught.value)) < 100


def test_a_view_of_a_body_is_read_like_the_body():
    assert parse(memoryview(b'x{"a": 1}')[1:], bounds(4)) == {"a": 1}
