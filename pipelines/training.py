"""The path as one graph: data set, splits, model, verdict, and either a published package or a refusal.

``training`` trains one model; ``sweep`` trains many side by side and goes on with the best.
"""

from pathlib import Path
from typing import List  # noqa: UP035 (kfp knows lists of artifacts by this name)

import yaml
from kfp import dsl
from kfp.dsl import Dataset, Input, Model

from components import ports
from pipelines.resources import accelerated, outside, step

#: Runs of the compiled file without parameters train this: the smallest workload there is.
DEFAULT = yaml.safe_load((Path(__file__).parent.parent / "configs" / "digits.yaml").read_text(encoding="utf-8"))


def _prepare(config: dict, *, sweeps: bool) -> dsl.PipelineTask:
    prepared = step(ports.prepare(config=config, sweeps=sweeps))
    outside(prepared)
    return prepared


def _judge(config: dict, splits: Dataset, model: Model) -> None:
    """Measure a model, beside the champion, and publish or refuse it."""
    assessed = step(ports.assess(config=config, splits=splits, model=model))
    outside(assessed)
    judged = {
        "config": config,
        "run": dsl.PIPELINE_JOB_ID_PLACEHOLDER,
        "evaluation": assessed.outputs["evaluation"],
        "model": model,
    }
    with dsl.If(assessed.outputs["verdict"] == "passed", "passed"):
        outside(step(ports.publish(package=assessed.outputs["package"], **judged)))
    with dsl.Else("refused"):
        outside(step(ports.refuse(**judged)))


@dsl.pipeline(name="candidate")
def candidate(
    config: dict, trial: str, fingerprint: str, splits: Input[Dataset], cpu: str, memory: str, gpus: str
) -> Model:
    """Train one trial; resources from parameters need the top level of a pipeline."""
    tried = step(ports.attempt(config=config, trial=trial, fingerprint=fingerprint, splits=splits), cached=True)
    accelerated(tried, cpu, memory, gpus)
    outside(tried)
    return tried.outputs["model"]


@dsl.pipeline(name="candidates")
def candidates(
    config: dict, trials: list, fingerprint: str, splits: Input[Dataset], cpu: str, memory: str, gpus: str
) -> List[Model]:  # noqa: UP006 (kfp knows lists of artifacts by this name)
    """Train every trial; a loop and what it uses from outside must share a pipeline of their own."""
    with dsl.ParallelFor(trials) as trial:
        tried = candidate(
            config=config, trial=trial, fingerprint=fingerprint, splits=splits, cpu=cpu, memory=memory, gpus=gpus
        )
    models: List[Model] = dsl.Collected(tried.output)  # noqa: UP006 (as above)
    return models


@dsl.pipeline(name="training", description="From a labelled data set to a published, sealed model package.")
def training(config: dict = DEFAULT, cpu: str = "2", memory: str = "4G", gpus: str = "0") -> None:
    """Train, judge and publish a model.

    Args:
        config: Content of a file in ``configs/``.
        cpu: CPU limit of the training step.
        memory: Memory limit of the training step.
        gpus: Number of GPUs of the training step.
    """
    prepared = _prepare(config, sweeps=False)
    trained = step(
        ports.train(config=config, fingerprint=prepared.outputs["fingerprint"], splits=prepared.outputs["splits"]),
        cached=True,
    )
    accelerated(trained, cpu, memory, gpus)
    outside(trained)
    _judge(config, prepared.outputs["splits"], trained.outputs["model"])


@dsl.pipeline(name="sweep", description="From a labelled data set to the best of several models, published.")
def sweep(config: dict = DEFAULT, cpu: str = "2", memory: str = "4G", gpus: str = "0") -> None:
    """Train the trials of a sweep, choose on validation rows, judge and publish the winner.

    Args:
        config: Content of a file in ``configs/``, with ``sweep``.
        cpu: CPU limit of each training step.
        memory: Memory limit of each training step.
        gpus: Number of GPUs of each training step.
    """
    prepared = _prepare(config, sweeps=True)
    tried = candidates(
        config=config,
        trials=prepared.outputs["trials"],
        fingerprint=prepared.outputs["fingerprint"],
        splits=prepared.outputs["splits"],
        cpu=cpu,
        memory=memory,
        gpus=gpus,
    )
    chosen = step(ports.choose(config=config, models=tried.output))
    outside(chosen)
    _judge(chosen.outputs["config"], prepared.outputs["splits"], chosen.outputs["model"])
