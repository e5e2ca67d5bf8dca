"""Package: proves that the graph is the trained model and seals it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import modelpackage
from components import provenance
from components.config import Config
from components.console import say
from components.dataset import Splits
from components.errors import ParityError
from components.evaluate import Evaluation
from components.graph import run_graph
from components.report.mistakes import worst
from components.report.remarks import remarks
from components.train import GRAPH, NATIVE, TRAINING
from modelpackage import Golden, Histogram, Lineage, Package, Reference, Signature, Tensor, Texts, histogram

GOLDEN_ROWS_OF_A_CLASS = 2
#: Confidence is a probability: ten equal parts, whatever the model.
CONFIDENCE_EDGES = tuple(round(edge / 10, 1) for edge in range(11))


def package(config: Config, splits: Splits, model: Path, evaluation: Evaluation, directory: Path) -> Package:
    """Seal the model package.

    Args:
        config: The run.
        splits: The data.
        model: What training wrote.
        evaluation: What evaluation measured.
        directory: Where the package shall be; must not exist.

    Raises:
        ParityError: The graph answers otherwise than the trained model did.
    """
    test = splits.part("test")
    graph, native = (model / GRAPH).read_bytes(), np.load(model / NATIVE, allow_pickle=False)
    served = run_graph(graph, test.batches())
    account = json.loads((model / TRAINING).read_bytes())
    tolerance, parameters = account["tolerance"], config.identity()
    # What was left to the machine: auto says nothing about the bytes, what it came out as does.
    parameters["train"] |= account["settled"]
    difference = check_parity(served, native, tolerance)
    say(f"graph equals the trained model on all {len(native)} test rows, largest difference {difference:.1e}")
    chosen = _golden_rows(test.y)
    sealed = modelpackage.seal(
        directory,
        name=config.name,
        kind=splits.rows.kind,
        signature=_signature(splits),
        labels=splits.rows.labels,
        preprocessing=_preprocessing(splits),
        tolerance=tolerance,
        metrics=evaluation.metrics,
        lineage=Lineage(
            data=splits.rows.digest,
            code=provenance.code_digest(),
            software=provenance.software([config.train.model]),
            parameters=parameters,
        ),
        graph=graph,
        golden=Golden(
            inputs=test.inputs(chosen),
            outputs={"probabilities": native[chosen]},
        ),
        reference=_reference(splits, served),
        remarks=remarks(splits, evaluation, worst(test, served)),
    )
    say(f"sealed sha256:{sealed.digest}")
    return sealed


def check_parity(served: NDArray[np.float32], native: NDArray[np.float32], tolerance: float) -> float:
    """Return the largest absolute difference between the graph's and the trained model's probabilities.

    Args:
        served: By the graph, shape (rows, classes).
        native: By the trained model, same shape.
        tolerance: What rounding explains.

    Raises:
        ParityError: Shapes differ, or the difference is larger than the tolerance or not a number.
    """
    if served.shape != native.shape:
        raise ParityError(
            f"the graph answers with shape {served.shape}, the trained model with {native.shape}; "
            "this is a fault of the export, report it"
        )
    difference = float(np.abs(served.astype(np.float64) - native).max())
    if not difference <= tolerance:
        row = int(np.nanargmax(np.abs(served - native).max(axis=1)))
        raise ParityError(
            f"the graph differs from the trained model by {difference:.3g} (test row {row}), allowed is "
            f"{tolerance:.0e}; nothing was packaged, report it with the configuration"
        )
    return difference


def _signature(splits: Splits) -> Signature:
    classes = len(splits.rows.labels)
    probabilities = Tensor(name="probabilities", datatype="FP32", shape=(classes,), minimum=0.0, maximum=1.0)
    return Signature(inputs=splits.rows.tensors(), outputs=(probabilities,))


def _preprocessing(splits: Splits) -> dict[str, Any]:
    """Return the preprocessing as data: how an encoded picture becomes a row, and how the graph prepares a row."""
    name = "scaling" if splits.rows.kind == "image" else "encoding"
    found = {name: splits.preprocessing.model_dump(mode="json")}
    if splits.rows.picture:
        found["picture"] = splits.rows.picture.model_dump(mode="json")
    return found


def _golden_rows(y: NDArray[np.int64]) -> NDArray[np.int64]:
    """Choose the first test rows of every class: few, always the same, and no class left unproven."""
    return np.sort(np.concatenate([np.flatnonzero(y == c)[:GOLDEN_ROWS_OF_A_CLASS] for c in np.unique(y)]))


def _reference(splits: Splits, probabilities: NDArray[np.float32]) -> Reference:
    described = json.loads((splits.directory / "reference.json").read_bytes())
    predicted = probabilities.argmax(axis=1)
    confidence = probabilities.max(axis=1).astype(np.float64)
    return Reference(
        rows=len(splits.part("train")),
        inputs={
            name: Histogram.model_validate_json(json.dumps(counts)) for name, counts in described["inputs"].items()
        },
        confidence=histogram(confidence, CONFIDENCE_EDGES),
        classes={label: int((predicted == index).sum()) for index, label in enumerate(splits.rows.labels)},
        missing=described["missing"] or None,
        texts={name: Texts.model_validate(counts) for name, counts in described["texts"].items()} or None,
    )
