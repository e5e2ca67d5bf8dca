"""What a model depends on besides its configuration: code and library versions, without a clock or a host."""

import hashlib
import json
import sys
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from pathlib import Path

import components
import modelpackage
from components.config import Config
from components.models import find


def code_digest() -> str:
    """Return the SHA-256 over the sources of the steps and of the contract, 64 hexadecimal digits.

    Sources and not a Git revision: an image has no repository, and an uncommitted change is a change.
    """
    return _tree_digest(Path(package.__path__[0]) for package in (components, modelpackage))


@cache
def _version(distribution: str) -> str:
    return metadata.version(distribution)


def software(models: Iterable[str]) -> dict[str, str]:
    """Return the versions that shape models of these kinds."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    names = sorted({name for model in models for name in find(model).software})
    return {"python": python} | {name: _version(name) for name in names}


def fingerprint(data: str, models: Iterable[str]) -> str:
    """Return one digest of everything outside the configuration that a trained model depends on.

    A cached training step takes it as an input, so a cache can't answer for other data, other code or another library.

    Args:
        data: Digest of the snapshot.
        models: Kinds of model.
    """
    parts = [data, code_digest(), *(f"{name}={version}" for name, version in software(models).items())]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def run_key(config: Config, fingerprint: str) -> str:
    """Return what names a training: two of the same key give the same model, so one may go on from the other.

    Args:
        config: One model's, without a sweep.
        fingerprint: Of data, code and libraries.
    """
    content = json.dumps(config.identity(), sort_keys=True)
    return hashlib.sha256(f"{fingerprint}\n{content}".encode()).hexdigest()


def _tree_digest(roots: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for root in roots:
        for path in sorted(root.rglob("*.py")):
            name = f"{root.name}/{path.relative_to(root).as_posix()}"
            digest.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()
