"""Makes the Secrets of Slipway with random content; one that is there stays as it is.

The only right that this needs is to create Secrets; it can't read any. Passwords are 32 random bytes in hexadecimal
digits, so that they need no quoting in a URI.
"""

import base64
import secrets
from pathlib import Path

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
CONFLICT = 409
#: What KServe gives the container that brings a package; it reads it off the Secret.
ENDPOINT = {
    "serving.kserve.io/s3-endpoint": "object-store:9000",
    "serving.kserve.io/s3-usehttps": "0",
    "serving.kserve.io/s3-region": "us-east-1",
}


def keys(user: str) -> dict[str, str]:
    """Return the credentials of a user of the object store."""
    return {"AWS_ACCESS_KEY_ID": user, "AWS_SECRET_ACCESS_KEY": secrets.token_hex(32)}


def contents() -> dict[str, dict[str, str]]:
    """Return every Secret by name."""
    password = secrets.token_hex(32)
    uri = f"postgresql+psycopg2://mlflow:{password}@postgres:5432/mlflow"
    return {
        "object-store": {"user": "root", "password": secrets.token_hex(32)},
        "slipway": keys("trainer"),
        "models-reader": keys("reader"),
        # PostgreSQL reads the same Secret: two that must agree could disagree.
        "mlflow": {"password": password, "MLFLOW_BACKEND_STORE_URI": uri, **keys("mlflow")},
    }


def main() -> None:
    """Make what is missing."""
    config.load_incluster_config()
    api, namespace = client.CoreV1Api(), (ACCOUNT / "namespace").read_text()
    for name, content in contents().items():
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in content.items()}
        annotations = ENDPOINT if name == "models-reader" else {}
        metadata = client.V1ObjectMeta(
            name=name, annotations=annotations, labels={"app.kubernetes.io/part-of": "slipway"}
        )
        try:
            api.create_namespaced_secret(namespace, client.V1Secret(metadata=metadata, data=encoded))
            print(f"secret {name}: made", flush=True)
        except ApiException as error:
            if error.status != CONFLICT:
                raise
            print(f"secret {name}: is there already", flush=True)


if __name__ == "__main__":
    main()
