"""The format's names and fields are those of its page, docs/model-package.md."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from modelpackage import (
    DESCRIPTOR,
    FORMAT,
    PARTS,
    SEAL,
    Descriptor,
    File,
    Histogram,
    Lineage,
    Package,
    PackageError,
    Reference,
    Signature,
    Tensor,
    Texts,
    errors,
)
from modelpackage.format import MAX_DESCRIPTOR_BYTES
from modelpackage.golden import DTYPES
from modelpackage.load import seal_text
from modelpackage.signature import NUMPY_TYPES

PAGE = (Path(__file__).parents[2] / "docs" / "model-package.md").read_text()
#: Everything that the page sets as code, or names in such a path.
NAMED = {word for code in re.findall(r"`([^`\n]+)`", PAGE) for word in (code, code.replace("\\|", "|"))}


@pytest.mark.parametrize("model", [Descriptor, File, Lineage, Tensor, Signature, Reference, Histogram, Texts])
def test_every_field_is_named_on_the_page(model: type[BaseModel]):
    assert model.model_fields.keys() <= NAMED


def test_every_field_in_a_table_of_the_page_exists():
    tables = re.findall(r"^\| field \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    fields = {re.match(r"\| `(\w+)`", row)[1] for table in tables for row in table.splitlines()}
    models = (Descriptor, Lineage, Tensor, Reference)
    assert len(tables) == len(models)
    assert fields == set().union(*(model.model_fields for model in models))


def test_every_file_and_limit_is_named_on_the_page():
    assert {DESCRIPTOR, SEAL, *PARTS} <= NAMED
    assert f"format {FORMAT}\n" in PAGE.splitlines(keepends=True)[0]
    assert str(MAX_DESCRIPTOR_BYTES) in PAGE
    assert f"{len(seal_text('0' * 64))} bytes" in PAGE


def test_every_datatype_is_on_the_page_with_its_array_type():
    rows = {tuple(pair) for pair in re.findall(r"`([A-Z]+\d*)` \| `(?:\\)?([|<]\w\d)`", PAGE)}
    assert rows == {
        (name, descr.decode()) for name, kind in NUMPY_TYPES.items() for descr, d in DTYPES.items() if d == kind
    }


def test_every_error_is_on_the_page():
    trees = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, PackageError)}
    assert trees <= NAMED


def test_every_file_that_the_page_points_to_exists():
    root = Path(__file__).parents[2]
    paths = {name for name in NAMED if re.fullmatch(r"(tests|modelpackage)/[\w/.-]+", name)}
    assert paths
    assert all((root / path).exists() for path in paths)


def test_the_files_of_a_package_are_written_in_the_order_of_the_page(sealed: Package):
    (order,) = re.findall(r"^2\. Write (.*)$", PAGE, re.MULTILINE)
    assert re.findall(r"`([^`]+)`", order) == [*PARTS, SEAL, DESCRIPTOR]
    assert set(sealed.descriptor.files) == set(PARTS)
