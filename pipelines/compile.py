"""Compiles the graph into one YAML file: the same bytes from the same sources, wherever and whenever."""

import itertools
import tempfile
from pathlib import Path

from kfp import compiler

from components.ports import IMAGE
from pipelines.errors import RunError
from pipelines.lint import lint
from pipelines.training import training

HEADER = "# Compiled from pipelines/training.py; write it anew with: slipway compile\n"
COMPILED = Path(__file__).with_name("training.yaml")


def compile_pipeline(image: str = IMAGE) -> str:
    """Return the compiled pipeline as YAML text.

    Args:
        image: The image of every step.

    Raises:
        RunError: The graph has a shape that would go wrong in silence.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / COMPILED.name
        compiler.Compiler().compile(training, str(path))
        path.write_text(HEADER + with_image(_content(path), image), encoding="utf-8")
        findings = lint(path)
        if findings:
            raise RunError("; ".join(f"{found.rule} at {found.where}: {found.message}" for found in findings))
        return path.read_text(encoding="utf-8")


def _content(path: Path) -> str:
    """Return a compiled file without the compiler's comments, which print defaults in the order of a hash."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return "".join(itertools.dropwhile(lambda line: line.startswith("#"), lines))


def with_image(compiled: str, image: str) -> str:
    """Return a compiled pipeline whose steps run in another image."""
    return compiled.replace(f"image: {IMAGE}\n", f"image: {image}\n")
