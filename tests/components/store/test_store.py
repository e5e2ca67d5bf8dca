"""Stores are opened by their URIs."""

from pathlib import Path

import pytest

from components.errors import ConfigError, StoreError
from components.store import FolderStore, open_store


def test_a_folder_is_named_by_its_path(tmp_path: Path):
    store = open_store(f"file://{tmp_path}/a%20b")
    assert isinstance(store, FolderStore)
    assert store.root == tmp_path / "a b"


@pytest.mark.parametrize("uri", ["gs://bucket", "models", "file:models", "file://host/models", "s3://", "http://x/y"])
def test_what_is_no_store_is_refused_with_what_is(uri):
    with pytest.raises(StoreError, match="use file:///absolute/path or s3://bucket/prefix"):
        open_store(uri)


def test_s3_without_credentials_names_the_variable(monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with pytest.raises(ConfigError, match="AWS_ENDPOINT_URL is not set"):
        open_store("s3://models")
