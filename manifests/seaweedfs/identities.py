"""Writes the users of SeaweedFS.

A trainer adds to models, to pipelines' artifacts and to checkpoints, a reader reads models, and MLflow has a bucket of
its own.
"""

import json
import os
from pathlib import Path

ACTIONS = {
    "root": ["Admin", "Read", "List", "Tagging", "Write"],
    "trainer": [
        f"{action}:{bucket}"
        for bucket in ("models", "mlpipeline", "checkpoints")
        for action in ("Read", "List", "Write")
    ],
    "reader": ["Read:models", "List:models"],
    "mlflow": ["Read:mlflow", "List:mlflow", "Write:mlflow"],
}


def main() -> None:
    """Write the file that the server reads at its start."""
    identities = [
        {
            "name": name,
            "credentials": [
                {
                    "accessKey": os.environ[f"{name.upper()}_USER"],
                    "secretKey": os.environ[f"{name.upper()}_PASSWORD"],
                }
            ],
            "actions": actions,
        }
        for name, actions in ACTIONS.items()
    ]
    Path("/identities/s3.json").write_text(json.dumps({"identities": identities}), encoding="utf-8")


if __name__ == "__main__":
    main()
