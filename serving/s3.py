"""An S3 server: how to reach it, told by the environment's usual names, and a client whose every call ends soon.

Credentials are given, never looked up, and are in no message. May be imported by ``serving`` wherever packages come
from or records go to.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

import urllib3
from minio import Minio

from serving.errors import SettingsError

#: The store is near, and the next try comes soon.
CONNECT_SECONDS, READ_SECONDS = 2.0, 10.0


@dataclass(frozen=True, kw_only=True)
class S3:
    """How to reach an S3 server.

    Attributes:
        endpoint: URL of the server, ``http://host:port`` or ``https://host``.
        access_key: Name of the credential.
        secret_key: The credential; never printed.
        region: Region, for the signature.
    """

    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)
    region: str = "us-east-1"

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Self | None:
        """Return the server that the environment names, if it names one whole."""
        endpoint, *keys = (
            environment.get(name, "") for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        )
        if not (endpoint and all(keys)):
            return None
        region = environment.get("AWS_DEFAULT_REGION") or environment.get("AWS_REGION") or "us-east-1"
        return cls(endpoint=endpoint, access_key=keys[0], secret_key=keys[1], region=region)

    def address(self) -> tuple[str, bool]:
        """Return host and port, and whether it is reached by TLS.

        Raises:
            SettingsError: The endpoint is no URL of a server.
        """
        try:
            parts = urlsplit(self.endpoint)
            known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and "@" not in parts.netloc
            if known and parts.path in ("", "/") and not parts.query:
                return parts.netloc, parts.scheme == "https"
        except ValueError:  # a port that is no number
            pass
        # The value stays out: it may hold a password.
        raise SettingsError("AWS_ENDPOINT_URL names no S3 server; give it as http://host:port or https://host")

    def client(self) -> Minio:
        """Return a client that never waits long and never tries again by itself.

        Raises:
            SettingsError: The endpoint is no URL of a server.
        """
        address, secure = self.address()
        timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
        return Minio(
            endpoint=address,
            access_key=self.access_key,
            secret_key=self.secret_key,
            secure=secure,
            region=self.region,
            http_client=urllib3.PoolManager(timeout=timeout, retries=urllib3.Retry(0)),
        )
