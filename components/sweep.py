"""Sweeps: one configuration in, one per trial out; and of the trained trials, the best on validation rows."""

import itertools
import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from components.config import MOST_TRIALS, Config, Range, Sweep, lay
from components.console import say
from components.errors import ConfigError
from components.train import TRAINING
from modelpackage import canonical_json

TRIALS = "trials.json"


def trials(config: Config) -> list[Config]:
    """Return the configuration of every trial, each valid and without a sweep; the configuration itself without one.

    Raises:
        ConfigError: A trial breaks a rule, or there are too many.
    """
    if config.sweep is None:
        return [config]
    base = config.plain()
    del base["sweep"]
    found = []
    for settings in _drawn(config.sweep, config.seed):
        content = json.loads(json.dumps(base))
        # The model first: what follows are settings of that model.
        for key in sorted(settings, key=lambda name: name != "model"):
            lay(content, f"train.{key}", settings[key])
        found.append(Config.build(content))
    return found


def difference(config: Config, trial: Config) -> dict[str, str]:
    """Return the settings of a trial that its sweep tries, by dotted name below ``train``."""
    flat = trial.flat()
    return {name: flat.get(f"train.{name}", "") for name in (config.sweep.settings if config.sweep else ())}


def choose(config: Config, models: Sequence[Path], directory: Path) -> Config:
    """Copy the trial that is best on validation rows, with the account of all, and return its configuration.

    Args:
        config: The run.
        models: What training wrote for each trial, in the order of :func:`trials`.
        directory: Created, like what training writes; also ``trials.json``.
    """
    tried = trials(config)
    scores = [json.loads((model / TRAINING).read_bytes())["validation"] for model in models]
    metric = config.sweep.metric if config.sweep else "accuracy"
    ranks = [_rank(score, metric) for score in scores]
    best = ranks.index(max(ranks))
    account = [
        {"settings": difference(config, trial), "validation": score, "chosen": number == best}
        for number, (trial, score) in enumerate(zip(tried, scores, strict=True))
    ]
    shutil.copytree(models[best], directory, dirs_exist_ok=True)
    (directory / TRIALS).write_bytes(canonical_json(account))
    settings = ", ".join(f"{name}={value}" for name, value in account[best]["settings"].items())
    say(f"chose trial {best + 1} of {len(tried)}: {settings} (validation accuracy {scores[best]['accuracy']:.4f})")
    return tried[best]


def read_trials(model: Path) -> list[dict[str, Any]]:
    """Return the account of a sweep; empty for a run without one."""
    path = model / TRIALS
    return json.loads(path.read_bytes()) if path.exists() else []


def _rank(score: dict[str, float], metric: str) -> tuple[float, float]:
    accuracy, loss = score["accuracy"], -score["log_loss"]
    return (accuracy, loss) if metric == "accuracy" else (loss, accuracy)


def _drawn(sweep: Sweep, seed: int) -> list[dict[str, Any]]:
    if sweep.search == "grid":
        ranges = [name for name, values in sweep.settings.items() if isinstance(values, Range)]
        if ranges:
            raise ConfigError(f"sweep.settings.{ranges[0]} is a range; list its values, or set sweep.search to random")
        choices = [values for values in sweep.settings.values() if not isinstance(values, Range)]
        count = math.prod(map(len, choices))
        if not 1 <= count <= MOST_TRIALS:
            raise ConfigError(f"sweep.settings makes {count} trials, 1 to {MOST_TRIALS} are allowed; try fewer values")
        return [dict(zip(sweep.settings, values, strict=True)) for values in itertools.product(*choices)]
    random = Random(seed)  # noqa: S311 (a search, not a secret)
    return [{name: _draw(values, random) for name, values in sweep.settings.items()} for _ in range(sweep.trials)]


def _draw(values: Sequence[Any] | Range, random: Random) -> Any:
    if not isinstance(values, Range):
        return random.choice(values)
    low, high = (math.log(values.low), math.log(values.high)) if values.log else (values.low, values.high)
    drawn = random.uniform(low, high)
    drawn = math.exp(drawn) if values.log else drawn
    return round(drawn) if values.whole else float(f"{drawn:.6g}")
