"""The compiled pipelines as resources of Kubernetes, for a Kubeflow Pipelines that keeps its pipelines there.

A ``PipelineVersion`` can't be changed once it exists, so its name carries what it holds: the same file has the same
name, and another file is another version beside it.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

HEADER = "# Made from the compiled pipelines; write it anew with: slipway compile\n"
#: Beside a checkout's sources; an installed package has no manifests.
RESOURCES = Path(__file__).parent.parent / "manifests" / "kubeflow-pipelines" / "pipelines.yaml"
API = "pipelines.kubeflow.org/v2beta1"
#: Of the digest, in a name.
DIGITS = 12
LABELS = {"app.kubernetes.io/part-of": "slipway"}


def resources(compiled: Mapping[str, str]) -> str:
    """Return a ``Pipeline`` and a ``PipelineVersion`` for each compiled file, as YAML text.

    Args:
        compiled: Compiled files by name, ``training.yaml`` and the like.
    """
    documents = [document for name, text in compiled.items() for document in _pair(Path(name).stem, text)]
    return HEADER + yaml.safe_dump_all(documents, sort_keys=False, width=120)


def _pair(name: str, text: str) -> list[dict[str, Any]]:
    spec, *platform = yaml.safe_load_all(text)
    description = spec["pipelineInfo"]["description"]
    version = f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:DIGITS]}"
    content = {"pipelineName": name, "displayName": version, "description": description, "pipelineSpec": spec}
    if platform:
        content["platformSpec"] = platform[0]
    return [
        {
            "apiVersion": API,
            "kind": "Pipeline",
            # Argo CD applies it before its versions, which are refused while it isn't there.
            "metadata": {"name": name, "labels": LABELS, "annotations": {"argocd.argoproj.io/sync-wave": "0"}},
            "spec": {"displayName": name, "description": description},
        },
        {
            "apiVersion": API,
            "kind": "PipelineVersion",
            # Runs refer to a version, so it stays when a newer one takes its place in Git.
            "metadata": {
                "name": version,
                "labels": LABELS,
                "annotations": {
                    "argocd.argoproj.io/sync-wave": "1",
                    "argocd.argoproj.io/sync-options": "Prune=false",
                },
            },
            "spec": content,
        },
    ]
