"""The steps of the pipeline: stages put together into few, fat ones, because every step costs a cluster two pods.

A stage is a step of its own only where resources (train), caching (prepare) or a decision (publish, refuse) change.
"""

import functools
import json
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from components import provenance
from components.config import Config
from components.console import label, say
from components.dataset import Splits
from components.destination import Destination, cache_folder, run_checkpoints, run_name
from components.errors import ConfigError, GateRefusedError, SlipwayError, Stopped, TrackingError
from components.models import find
from modelpackage import PackageError, canonical_json

P = ParamSpec("P")
R = TypeVar("R")


def step(function: Callable[P, R]) -> Callable[P, R]:
    """Give a step its one way to fail, a single line and exit code 1, and its account of time and memory."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        start = time.monotonic()
        try:
            result = function(*args, **kwargs)
        except (SlipwayError, PackageError) as error:
            say(f"error: {error}")
            raise SystemExit(1) from None
        except Stopped as stopped:
            raise SystemExit(stopped.code) from None
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        say(f"used {time.monotonic() - start:.1f} s and {peak_mb:.0f} MB")
        return result

    return run


@step
def prepare(config: Mapping[str, Any], splits: str, profile: str, *, sweeps: bool) -> tuple[str, list[str]]:
    """Ingest and preprocess, after everything was checked that could stop a later step.

    Args:
        config: Content of the configuration.
        splits: Directory to write.
        profile: File to write the picture of the data to.
        sweeps: Whether this pipeline trains several trials.

    Returns:
        The fingerprint of all that training depends on besides the configuration, and the configuration of each trial
        as JSON.
    """
    from components.ingest import ingest
    from components.preprocess import PROFILE, preprocess
    from components.sweep import trials

    settings = Config.build(config)
    if settings.sweep and not sweeps:
        raise ConfigError(
            "this configuration has a sweep, this pipeline trains one model; use pipelines/sweep.yaml, as slipway does"
        )
    tried = trials(settings)
    models = sorted({trial.train.model for trial in tried})
    for model in models:
        find(model).require()
    Destination.from_environment()
    with tempfile.TemporaryDirectory() as scratch:
        snapshot = ingest(settings.data, Path(scratch), cache_folder(Path(scratch)))
        counts = preprocess(settings, snapshot, Path(splits))
    shutil.copyfile(Path(splits) / PROFILE, profile)
    digest = Splits(Path(splits)).rows.digest
    say(f"data sha256:{digest[:12]}: " + ", ".join(f"{count} {name}" for name, count in counts.items()))
    return provenance.fingerprint(digest, models), [json.dumps(trial.plain()) for trial in tried]


@step
def train(config: Mapping[str, Any], fingerprint: str, splits: str, model: str) -> None:
    """Train, unless this environment is not the one that the fingerprint was taken in.

    Args:
        config: Content of the configuration.
        fingerprint: As ``prepare`` returned it; it is what a cache of this step is keyed by.
        splits: What ``prepare`` wrote.
        model: Directory to write.
    """
    _train([Config.build(config)], fingerprint, splits, model)


@step
def attempt(config: Mapping[str, Any], trial: str, fingerprint: str, splits: str, model: str) -> None:
    """Train one trial of a sweep.

    Args:
        config: Content of the configuration, with its sweep.
        trial: Content of the trial's configuration, as JSON.
        fingerprint: As ``prepare`` returned it.
        splits: What ``prepare`` wrote.
        model: Directory to write.
    """
    from components.sweep import difference, trials

    whole, chosen = Config.build(config), Config.build(json.loads(trial))
    tried = trials(whole)
    label(f"trial {tried.index(chosen) + 1}/{len(tried)}")
    say(", ".join(f"{name}={value}" for name, value in difference(whole, chosen).items()))
    _train([chosen, *tried], fingerprint, splits, model)


@step
def choose(config: Mapping[str, Any], models: Sequence[str], model: str) -> dict[str, Any]:
    """Choose the trial that is best on validation rows.

    Args:
        config: Content of the configuration, with its sweep.
        models: What ``attempt`` wrote for each trial, in their order.
        model: Directory to write.

    Returns:
        Content of the chosen trial's configuration.
    """
    from components.checkpoints import clear
    from components.sweep import choose as best

    tried = [Path(path) for path in models]
    chosen = best(Config.build(config), tried, Path(model)).plain()
    for trial in tried:
        clear(trial)
    return chosen


def _train(configs: Sequence[Config], fingerprint: str, splits: str, model: str) -> None:
    """Train the first of the configurations that the fingerprint was taken for."""
    # Threads that wait for each other sleep instead of spinning: on cores that others use, too, spinning costs several
    # times the work. Read when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from components.machines import train_on_machines
    from components.processes import train_together
    from components.train import USAGE
    from components.train import train as run
    from components.usage import Usage

    data = Splits(Path(splits))
    if fingerprint != provenance.fingerprint(data.rows.digest, {config.train.model for config in configs}):
        raise SlipwayError(
            "this step's code or libraries are not those of the step prepare; give all steps the same image"
        )
    config, place = configs[0], Path(model)
    place.mkdir(parents=True, exist_ok=True)
    settings = config.train.model_dump()
    if settings.get("machines", 1) > 1:
        train_on_machines(config, fingerprint, data.directory, place)
        return
    processes = settings.get("processes", 0)
    with Usage(place / USAGE, gpus=processes):
        if processes > 1:
            train_together(config, fingerprint, data.directory, place)
        else:
            run(config, data, place, run_checkpoints(config.name, provenance.run_key(config, fingerprint)))


@step
def assess(
    config: Mapping[str, Any], splits: str, model: str, package: str, evaluation: str, report: str
) -> tuple[str, dict[str, float], tuple[list[str], list[list[int]]]]:
    """Compare with the champion, evaluate and package.

    Args:
        config: Content of the configuration.
        splits: What ``prepare`` wrote.
        model: What ``train`` wrote.
        package: Directory to write the sealed package to.
        evaluation: Directory to write.
        report: File to write the report to.

    Returns:
        The verdict, the metrics, and the confusion matrix with its labels.
    """
    from components.champion import challenge
    from components.checkpoints import clear
    from components.evaluate import REPORT, evaluate
    from components.package import package as seal

    settings, data = Config.build(config), Splits(Path(splits))
    with tempfile.TemporaryDirectory() as scratch:
        comparison = challenge(settings, data, Path(model), Destination.from_environment(), Path(scratch))
    measured = evaluate(settings, data, Path(model), Path(evaluation), comparison)
    shutil.copyfile(Path(evaluation) / REPORT, report)
    seal(settings, data, Path(model), measured, Path(package))
    clear(Path(model))
    matrix = [list(row) for row in measured.confusion]
    return measured.verdict, measured.metrics, (list(data.rows.labels), matrix)


@step
def publish(config: Mapping[str, Any], run: str, package: str, evaluation: str, model: str, record: str) -> None:
    """Publish the package and the run.

    Args:
        config: Content of the configuration.
        run: The pipeline run's id.
        package: What ``assess`` sealed.
        evaluation: What ``assess`` measured.
        model: What ``train`` wrote.
        record: File to write: where everything is now, as JSON.
    """
    from components.publish import publish as send

    destination = Destination.from_environment()
    published = send(Config.build(config), run_name(run), Path(package), Path(evaluation), Path(model), destination)
    Path(record).write_bytes(canonical_json(asdict(published)))


@step
def refuse(config: Mapping[str, Any], run: str, evaluation: str, model: str) -> None:
    """Record the run in MLflow and fail, so that no one takes a refused run for a good one.

    Args:
        config: Content of the configuration.
        run: The pipeline run's id.
        evaluation: What ``assess`` measured.
        model: What ``train`` wrote.
    """
    from components.evaluate import Evaluation
    from components.publish import refuse as keep

    destination = Destination.from_environment()
    try:
        keep(Config.build(config), run_name(run), Path(evaluation), Path(model), destination)
    except TrackingError as error:
        say(f"the refused run is not in MLflow: {error}")
    measured = Evaluation.open(Path(evaluation))
    by_champion = measured.comparison is not None and measured.reason == measured.comparison.reason
    by = "beside the champion" if by_champion else "by the gate"
    raise GateRefusedError(f"refused {by}: {measured.reason}; nothing was published")
