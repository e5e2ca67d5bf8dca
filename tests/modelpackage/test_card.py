"""The model card says what the descriptor says, in Markdown that stays whole whatever is in it."""

import pytest
import tiny
import tiny_table

from modelpackage import Lineage, Package, Signature, Tensor
from modelpackage.card import render_card

LINEAGE = Lineage(
    data="0" * 64,
    code="1" * 64,
    software={"numpy": "2.4", "onnx": "1.19"},
    parameters={"seed": 7, "train": {"model": {"trees": 10}}, "note": "a|b\nc"},
)


def card(**changes: object) -> str:
    content = {
        "name": "tiny",
        "kind": "image",
        "labels": tiny.LABELS,
        "signature": tiny.SIGNATURE,
        "metrics": {"recall": 0.5, "accuracy": 1.0},
        "lineage": LINEAGE,
        "remarks": {"Data": ["two\nlines"], "Nothing": []},
    }
    return render_card(**content | changes)


def test_the_card_of_a_package_is_made_of_its_descriptor(sealed: Package):
    known = sealed.descriptor
    fields = {field: getattr(known, field) for field in ("name", "kind", "labels", "signature", "metrics", "lineage")}
    assert sealed.read("card.md").decode() == render_card(**fields, remarks={})


@pytest.mark.parametrize(
    "line",
    [
        "# tiny",
        "Classifies image data into 3 classes: left, right, none.",
        "| image | FP32 | [-1, 2, 2] | 0.0 to 16.0 |",
        "| probabilities | FP32 | [-1, 3] | any |",
        "| accuracy | 1.0000 |",
        "| recall | 0.5000 |",
        f"- data: `sha256:{'0' * 64}`",
        f"- code: `sha256:{'1' * 64}`",
        "- software: numpy 2.4, onnx 1.19",
        "| train.model.trees | 10 |",
        "| seed | 7 |",
        r"| note | a\|b c |",
        "## Data",
        "- two lines",
    ],
)
def test_the_card_holds_the_line(line: str):
    assert line in card().splitlines()


def test_a_remark_without_sentences_has_no_title():
    assert "Nothing" not in card()


def test_equal_content_in_another_order_gives_the_same_card():
    turned = Lineage(
        data=LINEAGE.data,
        code=LINEAGE.code,
        software=dict(reversed(LINEAGE.software.items())),
        parameters=dict(reversed(LINEAGE.parameters.items())),
    )
    assert card(lineage=turned, metrics={"accuracy": 1.0, "recall": 0.5}) == card()


def test_every_row_of_a_table_has_the_columns_of_its_head():
    columns = 0
    for line in card().splitlines():
        bars = line.replace(r"\|", "").count("|")
        columns = columns or bars
        assert bars in (0, columns)
        columns = columns if bars else 0


@pytest.mark.parametrize(
    "line",
    [
        "| column | tensor | may be missing |",
        "| age | numbers | yes |",
        "| town | categories | yes |",
        "| categories | BYTES | [-1, 1] | any |",
    ],
)
def test_the_card_of_a_table_names_its_columns(line: str):
    assert line in card(kind="tabular", signature=tiny_table.SIGNATURE).splitlines()


def test_a_column_without_gaps_says_so():
    whole = Tensor(name="x", datatype="FP32", shape=(1,), fields=("a|b",))
    signature = Signature(inputs=(whole,), outputs=tiny.SIGNATURE.outputs)
    assert r"| a\|b | x | no |" in card(kind="tabular", signature=signature).splitlines()
    assert "may be missing" not in card()
