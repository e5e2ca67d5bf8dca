"""A small real run of the first stages, for tests that start in the middle."""

from dataclasses import dataclass
from pathlib import Path

from components.config import Config, read_config
from components.dataset import Splits
from components.evaluate import Evaluation, evaluate
from components.ingest import ingest
from components.preprocess import preprocess
from components.snapshot import Snapshot
from components.train import train

CONFIGS = Path(__file__).parents[2] / "configs"
DIGITS = CONFIGS / "digits.yaml"


@dataclass(frozen=True)
class Run:
    """The stages of one run up to the verdict."""

    config: Config
    snapshot: Snapshot
    splits: Splits
    model: Path
    evaluation: Evaluation
    evaluation_path: Path


def run_stages(root: Path, *overrides: str, path: Path = DIGITS) -> Run:
    """Run ingest, preprocess, train and evaluate on digits, or on what another configuration names."""
    config = read_config(path, overrides)
    snapshot = ingest(config.data, root / "scratch", root / "cache")
    preprocess(config, snapshot, root / "splits")
    splits = Splits(root / "splits")
    train(config, splits, root / "model")
    evaluation = evaluate(config, splits, root / "model", root / "evaluation")
    return Run(config, snapshot, splits, root / "model", evaluation, root / "evaluation")
