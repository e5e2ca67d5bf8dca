"""The object store: S3, or a folder, behind one small interface.

Nothing here depends on more than S3: plain puts, gets, listings, uploads in parts, and the conditional put
(``If-None-Match: *``). Whoever needs a store takes :func:`open_store`; what lies below is for this package alone.
"""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from components.destination import S3
from components.errors import StoreError
from components.store.contract import Done, Object, Store
from components.store.folder import FolderStore
from components.store.mirror import mirror

__all__ = ["Done", "FolderStore", "Object", "Store", "mirror", "open_store"]


def open_store(uri: str) -> Store:
    """Open a store by its URI.

    Args:
        uri: ``file:///absolute/path`` or ``s3://bucket/prefix`` (credentials from the environment).

    Raises:
        StoreError: The URI names no store.
        ConfigError: The environment lacks what S3 needs.
    """
    parts = urlsplit(uri)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path.startswith("/"):
        return FolderStore(Path(unquote(parts.path)))
    if parts.scheme == "s3" and parts.netloc:
        from components.store.s3 import S3Store

        return S3Store(S3.from_environment(), parts.netloc, parts.path.strip("/"))
    raise StoreError(f"{uri!r} is not a store; use file:///absolute/path or s3://bucket/prefix")
