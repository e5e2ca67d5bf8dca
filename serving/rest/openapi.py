"""The description of the REST API: ``openapi.json`` beside this file, with the served model's names and example put in.

The file is written by hand and is the one source. It says OpenAPI 3.1 and keeps to what 3.0 shares with it, since the
viewer at ``/docs`` knows 3.0 alone. May be imported by ``serving.rest``.
"""

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any


def document(
    *, name: str | None = None, version: str | None = None, example: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the description as a JSON object.

    Args:
        name: The model's name in URLs; without one the description is that of any model.
        version: The model's version in URLs.
        example: A v2 request that the model answers; takes the place of the general examples.
    """
    described: dict[str, Any] = json.loads((files(__package__) / "openapi.json").read_text(encoding="utf-8"))
    components = described["components"]
    for parameter, value in (("ModelName", name), ("ModelVersion", version)):
        if value is not None:
            components["parameters"][parameter]["example"] = value
    if example is not None:
        body = components["requestBodies"]["Inference"]["content"]["application/json"]
        body["examples"] = {"rows": {"summary": "A row that this model answers", "value": dict(example)}}
    return described
