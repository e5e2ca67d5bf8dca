"""What ``hack/lint-manifests`` and ``hack/checkov`` know of manifests.

A package of its own name, so that the folder ``manifests`` beside ``hack`` can't be taken for it.
"""
