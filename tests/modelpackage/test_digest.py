"""Equal values have one rendering, as the page describes it, and files one digest."""

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelpackage import canonical_json, file_digest
from modelpackage.digest import CHUNK_BYTES

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(value=JSON)
def test_what_is_rendered_reads_back_as_the_same_value(value: object):
    raw = canonical_json(value)
    assert json.loads(raw) == value
    assert canonical_json(json.loads(raw)) == raw


@given(value=st.dictionaries(st.text(), JSON))
def test_the_order_of_keys_does_not_matter(value: dict[str, object]):
    assert canonical_json(dict(reversed(value.items()))) == canonical_json(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({}, "{}"),
        ([], "[]"),
        ({"b": [1, True, None], "a": {}}, '{\n  "a": {},\n  "b": [\n    1,\n    true,\n    null\n  ]\n}'),
        ({"\U00010000": 0, "\uffff": 0}, '{\n  "\uffff": 0,\n  "\U00010000": 0\n}'),
        ('é / \x7f \u2028 " \\ \n\r\t\b\f \x1f', '"é / \x7f \u2028 \\" \\\\ \\n\\r\\t\\b\\f \\u001f"'),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (9999999999999998.0, "9999999999999998.0"),
        (1e16, "1e+16"),
        (2.5e-7, "2.5e-07"),
        (1e100, "1e+100"),
        (0.1 + 0.2, "0.30000000000000004"),
        (3.0, "3.0"),
        (3, "3"),
        (-0.0, "-0.0"),
        (10**30, "1" + "0" * 30),
    ],
)
def test_a_value_is_rendered_as_the_page_says(value: object, text: str):
    assert canonical_json(value) == text.encode() + b"\n"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), {"a": [float("nan")]}, "\ud800"])
def test_what_json_does_not_have_is_refused(value: object):
    with pytest.raises(ValueError, match=r"not JSON compliant|surrogates not allowed"):
        canonical_json(value)


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES])
def test_a_file_has_the_digest_of_its_bytes(tmp_path: Path, size: int):
    content = bytes(range(256)) * (size // 256 + 1)
    (tmp_path / "file").write_bytes(content[:size])
    assert file_digest(tmp_path / "file") == hashlib.sha256(content[:size]).hexdigest()
