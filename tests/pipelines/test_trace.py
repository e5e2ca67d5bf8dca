"""Finding what is meant, and what answered."""

import io

import pytest

from components.tracking.registry import Version
from pipelines.errors import RunError
from pipelines.trace import answered_by, find


def a_version(number: str, digest: str, *aliases: str) -> Version:
    return Version(
        name="digits", version=number, aliases=aliases, digest=digest, uri="", run_id="", created=0.0, tags={}
    )


KNOWN = [a_version("2", "ab" * 32, "champion"), a_version("1", "ab" * 4 + "c" * 56)]


@pytest.mark.parametrize(
    ("what", "number"),
    [
        ("digits@champion", "2"),
        ("digits@1", "1"),
        ("ab" * 32, "2"),
        ("sha256-" + "ab" * 6, "2"),
        ("sha256:" + "ab" * 4 + "cc", "1"),
    ],
)
def test_a_version_is_named_in_several_ways(what, number):
    assert find(KNOWN, what).version == number


@pytest.mark.parametrize("what", ["digits@old", "iris@champion", "ab", "ff" * 8, ""])
def test_what_names_none_is_refused(what):
    with pytest.raises(RunError, match="is no registered model"):
        find(KNOWN, what)


def test_the_log_may_come_from_standard_input(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO('[]\nnoise\n{"id": "r", "digest": "12"}\n'))
    assert answered_by("r", None) == "12"
