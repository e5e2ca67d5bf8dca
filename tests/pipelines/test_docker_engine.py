"""The container engine: named where it is not, and nothing left open."""

import gc
import socket
import warnings

import pytest

from pipelines.docker_engine import docker_engine
from pipelines.errors import RunError


def refusal() -> str:
    with pytest.raises(RunError) as refused, docker_engine():
        pass
    return str(refused.value)


def test_an_engine_that_is_not_there_is_named_with_the_way_out_and_no_socket_stays_open(tmp_path, monkeypatch):
    place = f"unix://{tmp_path / 'docker.sock'}"
    monkeypatch.setenv("DOCKER_HOST", place)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        told = refusal()
        gc.collect()
    assert told.startswith(f"no container engine answers at {place} (No such file or directory); start Docker")
    assert [str(one.message) for one in seen if one.category is ResourceWarning] == []


def test_a_socket_that_nobody_listens_at_is_no_engine(tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as bound:
        bound.bind(str(tmp_path / "docker.sock"))
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path / 'docker.sock'}")
        assert "(Connection refused)" in refusal()
