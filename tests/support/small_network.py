"""A small convolutional network on digits, trained for real and sealed."""

from dataclasses import dataclass
from pathlib import Path

from stages import Run, run_stages

from components.package import package
from modelpackage import Package


@dataclass(frozen=True)
class Network:
    """A run and its package."""

    run: Run
    package: Package


def sealed_network(root: Path) -> Network:
    """Train two epochs and seal."""
    run = run_stages(root, "train.model=mnist_cnn", "train.epochs=2", "gate.minimum=0.5")
    return Network(run, package(run.config, run.splits, run.model, run.evaluation, root / "package"))
