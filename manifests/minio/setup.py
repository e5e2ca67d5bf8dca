"""Makes the buckets and the users of MinIO; whatever is there already stays as it is.

A trainer adds packages, data sets and artifacts and can't delete a model, only its checkpoints; a reader reads models;
MLflow has a bucket of its own. Reads everything from the environment, ends with 0 when all is done, and with an error
otherwise, so that the Job tries again.
"""

import json
import os
import time

import urllib3
from minio import Minio, MinioAdmin
from minio.credentials import StaticProvider
from minio.error import S3Error
from minio.versioningconfig import ENABLED, VersioningConfig

#: By name, whether it keeps what is replaced: checkpoints go when they are of no more use.
BUCKETS = {"models": True, "mlflow": True, "mlpipeline": True, "checkpoints": False}
READ = ["s3:GetObject"]
ADD = [*READ, "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
DELETE = ["s3:DeleteObject"]
LIST = ["s3:ListBucket", "s3:GetBucketLocation", "s3:ListBucketMultipartUploads"]
#: A server that starts beside this Job is asked so many times, so many seconds apart.
TRIES, PAUSE = 60, 1.0

Rule = tuple[list[str], str]
#: What each user may do, with what.
USERS: dict[str, list[Rule]] = {
    "trainer": [
        (LIST, "models"),
        (ADD, "models/*"),
        # The mark of who is registering a version, which goes when that is done.
        (DELETE, "models/*/registering/*"),
        (LIST, "mlpipeline"),
        (ADD + DELETE, "mlpipeline/*"),
        (LIST, "checkpoints"),
        (ADD + DELETE, "checkpoints/*"),
    ],
    "reader": [(LIST, "models"), (READ, "models/*")],
    "mlflow": [(LIST, "mlflow"), (ADD + DELETE, "mlflow/*")],
}


def policy(rules: list[Rule]) -> dict[str, object]:
    """Return the rules in the words of S3."""
    statements = [
        {"Effect": "Allow", "Action": actions, "Resource": [f"arn:aws:s3:::{what}"]} for actions, what in rules
    ]
    return {"Version": "2012-10-17", "Statement": statements}


def started(client: Minio) -> None:
    """Wait until the server answers; the last try's error is raised."""
    for _ in range(TRIES):
        try:
            client.list_buckets()
        except (urllib3.exceptions.HTTPError, S3Error) as error:
            print(f"the object store does not answer yet: {type(error).__name__}", flush=True)
            time.sleep(PAUSE)
        else:
            return
    client.list_buckets()


def main() -> None:
    """Set up the server that the environment names."""
    endpoint, root = os.environ["ENDPOINT"], (os.environ["ROOT_USER"], os.environ["ROOT_PASSWORD"])
    once = urllib3.PoolManager(timeout=10, retries=False)
    client = Minio(endpoint=endpoint, access_key=root[0], secret_key=root[1], secure=False, http_client=once)
    started(client)
    for bucket, versioned in BUCKETS.items():
        if not client.bucket_exists(bucket_name=bucket):
            client.make_bucket(bucket_name=bucket)
        if versioned:
            client.set_bucket_versioning(bucket_name=bucket, config=VersioningConfig(ENABLED))
        print(f"bucket {bucket}: there{', versioned' if versioned else ''}", flush=True)
    admin = MinioAdmin(endpoint=endpoint, credentials=StaticProvider(*root), secure=False)
    for name, rules in USERS.items():
        user = os.environ[f"{name.upper()}_USER"]
        admin.policy_add(policy_name=name, policy=policy(rules))
        admin.user_add(access_key=user, secret_key=os.environ[f"{name.upper()}_PASSWORD"])
        if json.loads(admin.user_info(access_key=user)).get("policyName", "") != name:
            admin.attach_policy(policies=[name], user=user)
        print(f"user of {name}: there, with its policy", flush=True)


if __name__ == "__main__":
    main()
