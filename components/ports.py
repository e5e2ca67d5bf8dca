"""The Kubeflow Pipelines declarations of the steps: what goes in, what comes out, one call.

``install_kfp_package=False`` and our own image: nothing is installed at run time, and the same declaration runs in a
local process, in a container and on a cluster.
"""

from typing import List, NamedTuple  # noqa: UP035 (kfp knows lists of artifacts by this name)

from kfp import dsl
from kfp.dsl import HTML, Artifact, ClassificationMetrics, Dataset, Input, Metrics, Model, Output

#: The image of every step; ``slipway compile --image`` puts another one in.
IMAGE = "slipway/component:0.1.0"

port = dsl.component(base_image=IMAGE, install_kfp_package=False)


@port
def prepare(
    config: dict,
    sweeps: bool,  # noqa: FBT001 (kfp reads the signature)
    splits: Output[Dataset],
    profile: Output[HTML],
) -> NamedTuple("Prepared", [("fingerprint", str), ("trials", list)]):
    """Take a snapshot of the data, judge it, and split it."""
    from components import steps

    return steps.prepare(config, splits.path, profile.path, sweeps=sweeps)


@port
def train(config: dict, fingerprint: str, splits: Input[Dataset], model: Output[Model]) -> None:
    """Train the model and export it to ONNX."""
    from components import steps

    steps.train(config, fingerprint, splits.path, model.path)


@port
def attempt(config: dict, trial: str, fingerprint: str, splits: Input[Dataset], model: Output[Model]) -> None:
    """Train one trial of a sweep and export it to ONNX."""
    from components import steps

    steps.attempt(config, trial, fingerprint, splits.path, model.path)


@port
def choose(
    config: dict,
    models: Input[List[Model]],  # noqa: UP006 (as above)
    model: Output[Model],
) -> NamedTuple("Chosen", [("config", dict)]):
    """Choose the trial that is best on validation rows."""
    from components import steps

    return (steps.choose(config, [artifact.path for artifact in models], model.path),)


@port
def assess(
    config: dict,
    splits: Input[Dataset],
    model: Input[Model],
    package: Output[Model],
    evaluation: Output[Artifact],
    report: Output[HTML],
    metrics: Output[Metrics],
    confusion: Output[ClassificationMetrics],
) -> NamedTuple("Assessed", [("verdict", str)]):
    """Measure the model on held-out rows, hold it against the gate and the champion, and seal it."""
    from components import steps

    paths = [artifact.path for artifact in (splits, model, package, evaluation, report)]
    verdict, metrics.metadata, matrix = steps.assess(config, *paths)
    confusion.log_confusion_matrix(*matrix)
    return (verdict,)


@port
def publish(
    config: dict,
    run: str,
    package: Input[Model],
    evaluation: Input[Artifact],
    model: Input[Model],
    record: Output[Artifact],
) -> None:
    """Publish the package to the object store and the run to MLflow."""
    from components import steps

    steps.publish(config, run, *[artifact.path for artifact in (package, evaluation, model, record)])


@port
def refuse(config: dict, run: str, evaluation: Input[Artifact], model: Input[Model]) -> None:
    """Record that the gate refused the model, and fail."""
    from components import steps

    steps.refuse(config, run, evaluation.path, model.path)
