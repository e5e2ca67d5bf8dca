"""The training side: each file is one stage, a plain function over paths and a validated configuration.

Only ``components/ports.py`` knows Kubeflow Pipelines; nothing here imports ``serving`` or ``pipelines``.
"""
