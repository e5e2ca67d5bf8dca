"""The steps of compiled KFP pipelines: container and platform settings, from a file or from a PipelineVersion."""

from dataclasses import dataclass

from manifests.documents import Node, at, kind_of, name_of

#: What KFP's driver gives every step's pod.
KFP_LABELS = {"pipelines.kubeflow.org/v2_component": "true"}


@dataclass(frozen=True)
class Step:
    """One executor of a pipeline.

    Attributes:
        pipeline: Its name.
        name: Of the executor.
        container: As the pipeline says it.
        platform: What it asks of Kubernetes: security context, labels, Secrets.
    """

    pipeline: str
    name: str
    container: Node
    platform: Node

    @property
    def where(self) -> str:
        """Its name in findings."""
        return f"pipeline/{self.pipeline}[{self.name}]"

    @property
    def labels(self) -> Node:
        """Of its pod."""
        return {**KFP_LABELS, **at(self.platform, "podMetadata", "labels")}


def steps_of(documents: list[Node]) -> list[Step]:
    """Return the steps in documents: compiled pipelines (two documents each) and PipelineVersions."""
    found = []
    for index, document in enumerate(documents):
        if "deploymentSpec" in document:
            following = documents[index + 1] if index + 1 < len(documents) else {}
            found += _steps(document, following)
        elif kind_of(document) == "PipelineVersion" and "pipelineSpec" in at(document, "spec"):
            spec = document["spec"]
            found += _steps(spec["pipelineSpec"], at(spec, "platformSpec"), name_of(document))
    return found


def _steps(spec: Node, platform: Node, name: str = "") -> list[Step]:
    asked = at(platform, "platforms", "kubernetes", "deploymentSpec", "executors")
    executors = at(spec, "deploymentSpec", "executors")
    pipeline = name or str(at(spec, "pipelineInfo").get("name", ""))
    return [
        Step(pipeline, label, executor["container"], at(asked, label))
        for label, executor in executors.items()
        if "container" in executor
    ]
