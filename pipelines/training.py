"""The path as one graph: data set, splits, model, verdict, and either a published package or a refusal."""

from pathlib import Path

import yaml
from kfp import dsl

from components import ports
from pipelines.resources import accelerated, outside, step

#: Runs of the compiled file without parameters train this: the smallest workload there is.
DEFAULT = yaml.safe_load((Path(__file__).parent.parent / "configs" / "digits.yaml").read_text(encoding="utf-8"))


@dsl.pipeline(name="training", description="From a labelled data set to a published, sealed model package.")
def training(config: dict = DEFAULT, cpu: str = "2", memory: str = "4G", gpus: str = "0") -> None:
    """Train, judge and publish a model.

    Args:
        config: Content of a file in ``configs/``.
        cpu: CPU limit of the training step.
        memory: Memory limit of the training step.
        gpus: Number of GPUs of the training step.
    """
    prepared = step(ports.prepare(config=config))
    outside(prepared)

    trained = step(
        ports.train(config=config, fingerprint=prepared.outputs["fingerprint"], splits=prepared.outputs["splits"]),
        cached=True,
    )
    accelerated(trained, cpu, memory, gpus)

    assessed = step(ports.assess(config=config, splits=prepared.outputs["splits"], model=trained.outputs["model"]))

    judged = {
        "config": config,
        "run": dsl.PIPELINE_JOB_ID_PLACEHOLDER,
        "evaluation": assessed.outputs["evaluation"],
        "model": trained.outputs["model"],
    }
    with dsl.If(assessed.outputs["verdict"] == "passed", "passed"):
        outside(step(ports.publish(package=assessed.outputs["package"], **judged)))
    with dsl.Else("refused"):
        outside(step(ports.refuse(**judged)))
