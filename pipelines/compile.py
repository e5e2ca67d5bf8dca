"""Compiles the graphs into one YAML file each: the same bytes from the same sources, wherever and whenever."""

import itertools
import re
import tempfile
from pathlib import Path

from kfp import compiler

from components.ports import IMAGE
from pipelines.errors import RunError
from pipelines.lint import lint
from pipelines.training import sweep, training

#: Where a compiled file names the image of a step.
OF_A_STEP = re.compile(r"^( {8}image: )(.+)$", re.MULTILINE)
HEADER = "# Compiled from pipelines/training.py; write it anew with: slipway compile\n"
PIPELINES = {"training.yaml": training, "sweep.yaml": sweep}
COMPILED = {name: Path(__file__).with_name(name) for name in PIPELINES}


def compile_pipelines(image: str = IMAGE) -> dict[str, str]:
    """Return the compiled pipelines as YAML text, by file name.

    Args:
        image: The image of every step.

    Raises:
        RunError: A graph has a shape that would go wrong in silence.
    """
    compiled = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, pipeline in PIPELINES.items():
            path = Path(folder) / name
            compiler.Compiler().compile(pipeline, str(path))
            path.write_text(HEADER + with_image(_content(path), image), encoding="utf-8")
            findings = lint(path)
            if findings:
                raise RunError("; ".join(f"{found.rule} at {found.where}: {found.message}" for found in findings))
            compiled[name] = path.read_text(encoding="utf-8")
    return compiled


def _content(path: Path) -> str:
    """Return a compiled file without the compiler's comments, which print defaults in the order of a hash."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return "".join(itertools.dropwhile(lambda line: line.startswith("#"), lines))


def with_image(compiled: str, image: str) -> str:
    """Return a compiled pipeline whose steps run in another image."""
    return OF_A_STEP.sub(lambda found: found[1] + image, compiled)


def image_of(path: Path) -> str:
    """Return the image that a compiled file's steps run in; ours, if there is no such file."""
    found = OF_A_STEP.search(path.read_text(encoding="utf-8")) if path.exists() else None
    return found[2] if found else IMAGE
