"""The model card (Mitchell et al. 2019, "Model Cards for Model Reporting"), generated from the descriptor's content."""

from collections.abc import Mapping, Sequence
from typing import Any

from modelpackage.descriptor import Lineage
from modelpackage.signature import Signature, Tensor


def render_card(
    *,
    name: str,
    kind: str,
    labels: Sequence[str],
    signature: Signature,
    metrics: Mapping[str, float],
    lineage: Lineage,
    remarks: Mapping[str, Sequence[str]],
) -> str:
    """Return the card as Markdown; equal arguments give equal text.

    Args:
        name: Name of the model.
        kind: What the inputs are.
        labels: The classes.
        signature: Tensors of the graph.
        metrics: What evaluation measured.
        lineage: Where the model came from.
        remarks: What else a reader should know: sentences by title.
    """
    return "\n".join(
        [
            f"# {name}",
            "",
            f"Classifies {kind} data into {len(labels)} classes: {', '.join(labels)}.",
            "",
            "## How to ask it",
            "",
            *_table(("tensor", "datatype", "shape", "range"), [_tensor_row(t) for t in signature.inputs]),
            "",
            "It answers with:",
            "",
            *_table(("tensor", "datatype", "shape", "range"), [_tensor_row(t) for t in signature.outputs]),
            "",
            "The graph holds the preprocessing; clients send raw values.",
            "",
            *_columns(signature),
            "## How good it is",
            "",
            "Measured on rows that training never saw.",
            "",
            *_table(("metric", "value"), [(key, f"{value:.4f}") for key, value in sorted(metrics.items())]),
            "",
            *(line for title, sentences in remarks.items() for line in _section(title, sentences)),
            "## Where it came from",
            "",
            f"- data: `sha256:{lineage.data}`",
            f"- code: `sha256:{lineage.code}`",
            f"- software: {', '.join(f'{key} {value}' for key, value in sorted(lineage.software.items()))}",
            "- parameters:",
            "",
            *_table(("parameter", "value"), sorted(_flat(lineage.parameters))),
            "",
            "## What it is not for",
            "",
            "Inputs unlike the training rows: compare `reference.json` with what you send before you trust an answer.",
            "",
        ]
    )


def _section(title: str, sentences: Sequence[str]) -> list[str]:
    return [f"## {title}", "", *(f"- {' '.join(sentence.split())}" for sentence in sentences), ""] if sentences else []


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(map(_cell, line))} |" for line in lines]


def _cell(text: str) -> str:
    """Keep a value in its cell: on one line, its bars escaped."""
    return " ".join(text.split()).replace("|", r"\|")


def _columns(signature: Signature) -> list[str]:
    """Name the columns of tables, in their order."""
    rows = [
        (field, tensor.name, "yes" if tensor.missing else "no")
        for tensor in signature.inputs
        for field in tensor.fields or ()
    ]
    return [*_table(("column", "tensor", "may be missing"), rows), ""] if rows else []


def _tensor_row(tensor: Tensor) -> tuple[str, str, str, str]:
    low, high = tensor.minimum, tensor.maximum
    limits = "any" if low is None and high is None else f"{low} to {high}"
    return tensor.name, tensor.datatype, str(tensor.batch_shape), limits


def _flat(parameters: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows = []
    for key, value in parameters.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", str(value)))
    return rows
