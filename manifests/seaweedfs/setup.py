"""Makes the buckets of the object store; whatever is there already stays as it is."""

import os
import time

import urllib3
from minio import Minio
from minio.error import S3Error
from minio.versioningconfig import ENABLED, VersioningConfig

#: By name, whether it keeps what is replaced: checkpoints go when they are of no more use.
BUCKETS = {"models": True, "mlflow": True, "mlpipeline": True, "checkpoints": False}
#: A server that starts beside this Job is asked so many times, so many seconds apart.
TRIES, PAUSE = 60, 1.0


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


if __name__ == "__main__":
    main()
