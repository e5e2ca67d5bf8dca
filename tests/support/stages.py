"""A small real run of the first stages, for tests that start in the middle."""

from dataclasses import dataclass
from pathlib import Path

from components.config import Config, read_config
from components.dataset import Splits
from components.evaluate import Evaluation, evaluate
from components.ingest import ingest
from components.preprocess import preprocess
from components.train import train

DIGITS = Path(__file__).parents[2] / "configs" / "digits.yaml"


@dataclass(frozen=True)
class Run:
    """The stages of one run up to the verdict."""

    config: Config
    raw: Path
    splits: Splits
    model: Path
    evaluation: Evaluation
    evaluation_path: Path


def run_stages(root: Path, *overrides: str) -> Run:
    """Run ingest, preprocess, train and evaluate on digits."""
    config = read_config(DIGITS, overrides)
    ingest(config.data, root / "raw")
    preprocess(config.split, config.seed, root / "raw", root / "splits")
    splits = Splits(root / "splits")
    train(config, splits, root / "model")
    evaluation = evaluate(config, splits, root / "model", root / "evaluation")
    return Run(config, root / "raw", splits, root / "model", evaluation, root / "evaluation")
