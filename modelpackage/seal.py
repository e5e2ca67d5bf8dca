"""Parts in, a verified package directory out; the descriptor is written last and the directory appears whole."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from modelpackage.card import render_card
from modelpackage.descriptor import Descriptor, File, Lineage
from modelpackage.errors import DescriptorError, PackageError, fault
from modelpackage.format import CARD, DESCRIPTOR, FORMAT, GOLDEN, GRAPH, REFERENCE, SEAL
from modelpackage.golden import Golden
from modelpackage.load import Package, load, seal_text
from modelpackage.reference import Reference
from modelpackage.signature import Signature


def seal(
    directory: Path | str,
    *,
    name: str,
    kind: Literal["tabular", "image"],
    signature: Signature,
    labels: Sequence[str],
    preprocessing: Mapping[str, Any],
    tolerance: float,
    metrics: Mapping[str, float],
    lineage: Lineage,
    graph: bytes,
    golden: Golden,
    reference: Reference,
    remarks: Mapping[str, Sequence[str]] | None = None,
) -> Package:
    """Write a package, deterministically: equal arguments give equal bytes and so the same digest.

    Args:
        directory: Where the package shall be; it must not exist yet.
        name: Name of the model.
        kind: What the inputs are.
        signature: Tensors of the graph.
        labels: The class of each column of the first output.
        preprocessing: The transformation inside the graph, for the record.
        tolerance: Largest absolute difference at which a golden output counts as reproduced.
        metrics: What evaluation measured.
        lineage: Where the model came from.
        graph: The ONNX graph.
        golden: Recorded examples.
        reference: The drift reference.
        remarks: What else the card tells: sentences by title.

    Returns:
        The package, loaded again from where it was written.

    Raises:
        PackageError: The directory exists.
        DescriptorError: A part breaks the format, or parts contradict each other.
    """
    directory = Path(directory)
    if directory.exists():
        raise PackageError(f"{directory} exists already; a sealed package is never overwritten, choose a new place")
    golden.match(signature)
    reference.match(labels)
    card = render_card(
        name=name,
        kind=kind,
        labels=labels,
        signature=signature,
        metrics=metrics,
        lineage=lineage,
        remarks=remarks or {},
    )
    parts = {GRAPH: graph, GOLDEN: golden.render(), REFERENCE: reference.render(), CARD: card.encode()}
    try:
        descriptor = Descriptor(
            format=FORMAT,
            name=name,
            task="classification",
            kind=kind,
            signature=signature,
            labels=tuple(labels),
            preprocessing=dict(preprocessing),
            tolerance=tolerance,
            metrics=dict(metrics),
            lineage=lineage,
            files={
                part: File(sha256=hashlib.sha256(content).hexdigest(), size=len(content))
                for part, content in parts.items()
            },
        )
    except ValidationError as error:
        raise DescriptorError(f"{name!r} can't be sealed: {fault(error)}") from None
    parts[SEAL] = seal_text(descriptor.digest).encode()
    parts[DESCRIPTOR] = descriptor.render()
    _write_whole(directory, parts)
    return load(directory, digest=descriptor.digest)


def _write_whole(directory: Path, parts: Mapping[str, bytes]) -> None:
    """Write the files in order into a folder beside the target, then rename it: a killed run leaves no half package."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", suffix=".partial", dir=directory.parent))
    try:
        for name, content in parts.items():
            with (partial / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        partial.chmod(0o755)  # mkdtemp makes it private; a predictor under another user must be able to read it
        partial.rename(directory)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
