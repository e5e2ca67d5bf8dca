"""``model.json`` has one rendering, and everything else is refused with the field's name."""

import copy
import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelpackage import Descriptor, DescriptorError, FormatError, Package, canonical_json
from modelpackage.errors import MAX_FAULT_CHARACTERS

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def content(sealed: Package) -> dict[str, Any]:
    return json.loads((sealed.path / "model.json").read_bytes())


def test_what_is_rendered_is_parsed(sealed: Package):
    raw = (sealed.path / "model.json").read_bytes()
    assert Descriptor.parse(raw) == sealed.descriptor
    assert sealed.descriptor.render() == raw
    assert sealed.descriptor.digest == hashlib.sha256(raw).hexdigest()


@given(
    preprocessing=st.dictionaries(st.text(), JSON, max_size=3), metric=st.floats(allow_nan=False, allow_infinity=False)
)
@settings(max_examples=150, deadline=None)
def test_any_json_in_the_free_fields_survives(sealed: Package, preprocessing: dict[str, Any], metric: float):
    changed = sealed.descriptor.model_copy(update={"preprocessing": preprocessing, "metrics": {"m": metric}})
    assert Descriptor.parse(changed.render()) == changed


def test_absent_options_are_left_out_and_not_null(sealed: Package):
    assert b"null" not in sealed.descriptor.render()
    assert b'"fields"' not in sealed.descriptor.render()


def at(content: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """The content with one field replaced, or removed if the value is ``...``."""
    changed = copy.deepcopy(content)
    *above, last = [int(step) if step.isdigit() else step for step in path.split("/")]
    place: Any = changed
    for step in above:
        place = place[step]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return changed


@pytest.mark.parametrize(
    ("path", "value"),
    [
        *((field, ...) for field in Descriptor.model_fields if field != "format"),
        ("name", "Upper"),
        ("name", "a" * 64),
        ("name", "-a"),
        ("name", "a/../b"),
        ("name", "a\n"),
        ("name", ""),
        ("task", "regression"),
        ("kind", "text"),
        ("labels", ["one"]),
        ("labels", ["a", "a", "b"]),
        ("labels", ["a", "b"]),
        ("labels", ["a", "b", 3]),
        ("tolerance", -1e-9),
        ("tolerance", 0.2),
        ("tolerance", "0"),
        ("metrics/accuracy", "1"),
        ("metrics/accuracy", None),
        ("author", "someone"),
        ("signature/outputs", []),
        ("signature/inputs", []),
        ("signature/inputs/0/dtype", "FP32"),
        ("signature/inputs/0/shape", [2.0, 2]),
        ("lineage/data", "0" * 63),
        ("lineage/data", "A" * 64),
        ("lineage/code", "sha256:" + "0" * 64),
        ("lineage/software", {"numpy": 2}),
        ("lineage/time", "now"),
        ("files/model.onnx", ...),
        ("files/extra.bin", {"sha256": "0" * 64, "size": 1}),
        ("files/../escape", {"sha256": "0" * 64, "size": 1}),
        ("files/model.onnx/size", -1),
        ("files/model.onnx/size", True),
        ("files/model.onnx/sha256", "0" * 65),
    ],
)
def test_a_fault_is_refused_and_named(content: dict[str, Any], path: str, value: object):
    # A slash in a file name is no step of the path.
    changed = at(content, path, value) if "escape" not in path else at(content, "files", {"../escape": value})
    with pytest.raises(DescriptorError) as caught:
        Descriptor.parse(canonical_json(changed))
    steps = path.replace("..", "").split("/")
    assert steps[0] in str(caught.value) or steps[-1] in str(caught.value) or "output" in str(caught.value)


@pytest.mark.parametrize("number", [0, 3, -1, 10**30, "1", None, [1], {}, 1.5, ...])
def test_another_format_number_is_refused_before_anything_else(content: dict[str, Any], number: object):
    changed = at(content, "format", number) | {"task": "something new"}
    with pytest.raises(FormatError, match="format"):
        Descriptor.parse(canonical_json(changed))


@pytest.mark.parametrize("number", [True, 1.0])
def test_what_only_equals_the_format_number_is_refused(content: dict[str, Any], number: object):
    with pytest.raises(DescriptorError):
        Descriptor.parse(canonical_json(at(content, "format", number)))


OTHER_RENDERINGS: dict[str, Callable[[bytes], bytes]] = {
    "no newline": lambda raw: raw[:-1],
    "two newlines": lambda raw: raw + b"\n",
    "dos": lambda raw: raw.replace(b"\n", b"\r\n"),
    "byte order mark": lambda raw: b"\xef\xbb\xbf" + raw,
    "compact": lambda raw: json.dumps(json.loads(raw), sort_keys=True).encode(),
    "unsorted": lambda raw: json.dumps(dict(reversed(json.loads(raw).items())), indent=2).encode() + b"\n",
    "escaped": lambda raw: raw.replace(b'"tiny"', b'"\\u0074iny"'),
    "utf-16": lambda raw: raw.decode().encode("utf-16"),
    "integer": lambda raw: raw.replace(b'"accuracy": 1.0', b'"accuracy": 1'),
    "exponent": lambda raw: raw.replace(b'"tolerance": 1e-05', b'"tolerance": 0.00001'),
    "null": lambda raw: raw.replace(b'"maximum": 16.0', b'"fields": null,\n        "maximum": 16.0'),
    "twice": lambda raw: raw.replace(b'"name": "tiny"', b'"name": "other",\n  "name": "tiny"'),
    "format twice": lambda raw: raw.replace(b'"format": 2', b'"format": 1,\n  "format": 2'),
}


@pytest.mark.parametrize("render", OTHER_RENDERINGS.values(), ids=OTHER_RENDERINGS)
def test_another_rendering_of_the_same_content_is_refused(sealed: Package, render: Callable[[bytes], bytes]):
    raw = sealed.descriptor.render()
    assert render(raw) != raw
    with pytest.raises(DescriptorError):
        Descriptor.parse(render(raw))


HOSTILE = {
    "empty": b"",
    "list": b"[]\n",
    "number": b"1\n",
    "text": b'"format"\n',
    "NaN": b"NaN",
    "not UTF-8": b'{"format": 1, "name": "\xff\xfe"}',
    "lone surrogate": b'{"format": 1, "name": "\\ud800"}',
    "deep lists": b'{"format": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep format": b'{"format": ' + b"[" * 900 + b"]" * 900 + b"}",
    "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "many digits": b'{"format": ' + b"9" * 100_000 + b"}",
    "large exponent": b'{"format": 1e999}',
    "infinity": b'{"format": -Infinity}',
    "10 MB of text": b'{"format": 1, "name": "' + b"a" * 10_000_000 + b'"}',
    "10 MB format": b'{"format": "' + b"a" * 10_000_000 + b'"}',
    "many fields": b'{"format": 1,' + b",".join(b'"%d": 1' % index for index in range(100_000)) + b"}",
    "long field": b'{"format": 1, "' + b"a" * 100_000 + b'": 1}',
    "cut": b'{"format": 1',
}


@pytest.mark.parametrize("raw", HOSTILE.values(), ids=HOSTILE)
def test_hostile_bytes_are_refused_with_one_short_line(raw: bytes):
    with pytest.raises(DescriptorError) as caught:
        Descriptor.parse(raw)
    assert len(str(caught.value)) < MAX_FAULT_CHARACTERS + 100


@pytest.mark.parametrize("depth", [10, 100, 180, 250, 900, 5000])
def test_deep_nesting_in_a_free_field_is_read_or_refused(content: dict[str, Any], depth: int):
    deep = b'{"a": ' + b"[" * depth + b"]" * depth + b"}"
    raw = canonical_json(at(content, "preprocessing", "HERE")).replace(b'"HERE"', deep)
    with pytest.raises(DescriptorError):  # if it can be read, then this is not how it is rendered
        Descriptor.parse(raw)


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e999"])
@pytest.mark.parametrize("field", ["metrics", "preprocessing"])
def test_numbers_that_are_none_are_refused(content: dict[str, Any], field: str, number: bytes):
    raw = canonical_json(at(content, field, {"a": "HERE"})).replace(b'"HERE"', number)
    with pytest.raises(DescriptorError):
        Descriptor.parse(raw)


@given(raw=st.binary(max_size=300) | JSON.map(canonical_json))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_refused_with_a_package_error(raw: bytes):
    with pytest.raises(DescriptorError):
        Descriptor.parse(raw)


@given(path=st.sampled_from(["labels", "signature", "signature/inputs/0", "files", "lineage", "metrics"]), value=JSON)
@settings(max_examples=200, deadline=None)
def test_any_json_in_a_typed_field_is_read_or_refused_with_a_package_error(
    content: dict[str, Any], path: str, value: object
):
    raw = canonical_json(at(content, path, value))
    with suppress(DescriptorError):  # three texts are labels, and floats by name are metrics
        assert Descriptor.parse(raw).render() == raw


@pytest.mark.parametrize("feature", [{"missing": True}, {"datatype": "BYTES", "minimum": ..., "maximum": ...}])
def test_format_1_knows_neither_text_nor_missing_values(content: dict[str, Any], feature: dict[str, Any]):
    changed = content
    for field, value in feature.items():
        changed = at(changed, f"signature/inputs/0/{field}", value)
    assert Descriptor.parse(canonical_json(changed)).format == 2
    with pytest.raises(DescriptorError, match="format 1 knows neither text nor missing values"):
        Descriptor.parse(canonical_json(at(changed, "format", 1)))
