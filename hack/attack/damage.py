"""Attacks on what is served: a package with a byte changed, a file cut short, gone, or one too many."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random

from attack.ground import Ground, Outcome
from attack.process import refused

#: Notes about the run that made a package; no part of it, and so not proven.
BESIDE = {"run.json"}


def corrupt(ground: Ground) -> Outcome:
    """Start the predictor on packages that are damaged."""
    served, tried = [], 0
    for name, copy in _damaged(ground):
        tried += 1
        if not refused(copy, ground.folder):
            served.append(name)
        shutil.rmtree(copy)
    return Outcome(f"{len(served)} of {tried} damaged packages served {', '.join(served)}".strip(), "0", not served)


def _damaged(ground: Ground) -> Iterator[tuple[str, Path]]:
    random = Random(0)  # noqa: S311  # no secret
    names = sorted(path.name for path in ground.package.iterdir() if path.is_file() and path.name not in BESIDE)
    for name in names:
        content = (ground.package / name).read_bytes()
        places = [random.randrange(len(content)) for _ in range(ground.scale.flips)]
        for place in places:
            flipped = bytearray(content)
            flipped[place] ^= 1 << random.randrange(8)
            yield f"{name} flipped at {place}", _copy(ground, name, bytes(flipped))
        yield f"{name} cut", _copy(ground, name, content[: len(content) // 2])
        yield f"{name} emptied", _copy(ground, name, b"")
    yield "a file too many", _copy(ground, "extra.bin", b"x")
    gone = _copy(ground, "model.onnx", b"")
    (gone / "model.onnx").unlink()
    yield "no graph", gone


def _copy(ground: Ground, name: str, content: bytes) -> Path:
    folder = Path(shutil.copytree(ground.package, ground.folder / "damaged"))
    (folder / name).chmod(0o644) if (folder / name).exists() else None
    (folder / name).write_bytes(content)
    return folder
