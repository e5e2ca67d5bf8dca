"""A variant that was accepted: sealed as a package of its own, and published as a challenger of its original.

For ``components.optimize`` and the command line.
"""

import tempfile
from importlib import metadata
from pathlib import Path

from pydantic import JsonValue

import modelpackage
from components import metrics, provenance
from components.champion import Comparison
from components.config import Config
from components.dataset import Splits
from components.destination import Destination
from components.evaluate import Evaluation, decide
from components.graph import run_graph
from components.optimize.int8 import calibration_rows
from components.optimize.judgement import TOLERANCE, Judgement
from components.optimize.original import OPTIMIZE, SHORT
from components.package import CONFIDENCE_EDGES
from components.preprocess import read_slices
from components.publish import Published, enter, upload
from components.record import Record
from components.report.mistakes import worst
from components.report.remarks import remarks
from components.store import open_store
from modelpackage import Golden, Lineage, Package, Reference, canonical_json, histogram

METHOD = "int8"


def describe(original: Package, splits: Splits, config: Config, judgement: Judgement) -> Evaluation:
    """Return what was measured of an accepted variant, in the form of every run."""
    truth, answers = splits.part("test").y, judgement.probabilities
    _, reason = decide(config.gate, judgement.after)
    low, high = judgement.difference[1:]
    comparison = Comparison(
        verdict="better" if low > 0 else "worse" if high < 0 else "equal",
        # Which of the two is served is for a person to say: only the original was the champion's equal by training.
        action="challenge",
        reason=f"{METHOD} of sha256:{original.digest[:SHORT]}: {judgement.told()}",
        digest=original.digest,
        difference=judgement.difference,
    )
    return Evaluation(
        metrics=judgement.after,
        per_class=metrics.per_class(truth, answers, splits.rows.labels),
        slices=metrics.by_slice(truth, answers, read_slices(splits.directory)),
        confusion=metrics.confusion(truth, answers),
        verdict="passed",
        reason=reason,
        comparison=comparison,
    )


def seal_variant(
    original: Package, graph: bytes, splits: Splits, evaluation: Evaluation, judgement: Judgement, directory: Path
) -> Package:
    """Seal a variant: what clients send and read is the original's, what the model answers is its own.

    Args:
        original: The package that it was made from.
        graph: Of the variant.
        splits: The package's own data.
        evaluation: What was measured of the variant.
        judgement: How the variant compares with the original.
        directory: Where the package shall be; must not exist.
    """
    known, inputs, test = original.descriptor, original.golden().inputs, splits.part("test")
    calibrated = calibration_rows(len(splits.part("train")))
    told = [
        f"all layers but the last are in 8-bit integers, calibrated on {calibrated} training rows",
        f"beside its original sha256:{original.digest}: {judgement.told()}",
        f"no probability of a test row moved by more than {judgement.moved:.4f}",
    ]
    return modelpackage.seal(
        directory,
        name=known.name,
        kind=known.kind,
        signature=known.signature,
        labels=known.labels,
        preprocessing=known.preprocessing,
        tolerance=TOLERANCE,
        metrics=evaluation.metrics,
        lineage=_lineage(original, calibrated),
        graph=graph,
        golden=Golden(inputs=inputs, outputs={known.signature.outputs[0].name: run_graph(graph, [inputs])}),
        reference=_reference(original, judgement),
        remarks={"How it was optimised": told, **remarks(splits, evaluation, worst(test, judgement.probabilities))},
    )


def publish_variant(package: Package, config: Config, evaluation: Evaluation, destination: Destination) -> Published:
    """Publish a variant as every run's package is, as a challenger: the champion stays. Safe to repeat.

    Args:
        package: The sealed variant.
        config: The original's configuration.
        evaluation: What was measured of the variant.
        destination: Store and MLflow.

    Raises:
        KeyFileError: The destination names a key that can't sign; nothing was written.
        StoreError: The store refused or can't be reached.
        TrackingError: MLflow refused or can't be reached; package and record are in the store.
    """
    key = modelpackage.read_private_key(destination.signing_key) if destination.signing_key else None
    store = open_store(destination.store)
    uri = upload(store, package, key)
    with tempfile.TemporaryDirectory(prefix="slipway-") as scratch:
        measured, model, folder = (Path(scratch) / name for name in ("evaluation", "model", "record"))
        for path in (measured, model, folder):
            path.mkdir()
        (measured / "evaluation.json").write_bytes(canonical_json(evaluation.model_dump(mode="json")))
        run = f"{METHOD}-{package.digest[:SHORT]}"
        record = Record.gather(config, run, package, uri, measured, model, folder)
        record.keep(store)
        return enter(record, store, destination)


def _lineage(original: Package, calibrated: int) -> Lineage:
    known = original.descriptor.lineage
    made: JsonValue = {"method": METHOD, "from": f"sha256:{original.digest}", "calibration_rows": calibrated}
    tools = {name: metadata.version(name) for name in ("onnx", "onnxruntime")}
    return Lineage(
        data=known.data,
        code=provenance.code_digest(),
        software=known.software | tools,
        parameters={**known.parameters, OPTIMIZE: made},
    )


def _reference(original: Package, judgement: Judgement) -> Reference:
    """Return the drift reference: the same training rows, and the variant's own answers to held-out ones."""
    known, answers = original.reference(), judgement.probabilities
    confidence = histogram(answers.max(axis=1).astype("float64"), CONFIDENCE_EDGES)
    predicted = answers.argmax(axis=1)
    classes = {label: int((predicted == index).sum()) for index, label in enumerate(original.descriptor.labels)}
    return known.model_copy(update={"confidence": confidence, "classes": classes})
