from pathlib import Path

import pytest

from serving.errors import SettingsError
from serving.settings import Settings, flag, variable


def test_the_defaults_are_those_of_a_container():
    settings = Settings.read([], {})
    assert (settings.package, settings.host) == (Path("/mnt/models"), "0.0.0.0")  # noqa: S104  # nothing listens here
    assert (settings.http_port, settings.grpc_port) == (8080, 8081)


def test_a_flag_wins_over_the_environment_and_the_environment_over_the_default():
    environment = {"SLIPWAY_HTTP_PORT": "1", "SLIPWAY_GRPC_PORT": "2"}
    settings = Settings.read(["--http-port", "3"], environment)
    assert (settings.http_port, settings.grpc_port) == (3, 2)


def test_an_empty_variable_counts_as_absent():
    assert Settings.read([], {"SLIPWAY_DIGEST": ""}).digest is None


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_has_a_flag_and_a_variable(name):
    value = {"digest": "a" * 64, "name": "other", "package": "/p", "host": "127.0.0.1"}.get(name, "7")
    by_flag = Settings.read([flag(name), value], {})
    by_variable = Settings.read([], {variable(name): value})
    assert by_flag == by_variable
    assert str(getattr(by_flag, name)) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("http_port", "65536"),
        ("http_port", "-1"),
        ("http_port", "eighty"),
        ("digest", "sha256:abc"),
        ("name", "Not A Name"),
        ("threads", "-1"),
        ("max_rows", "0"),
        ("max_body_bytes", "0"),
        ("grace_seconds", "1.5"),
    ],
)
def test_a_bad_value_is_refused_by_the_names_that_set_it(name, value):
    with pytest.raises(SettingsError) as caught:
        Settings.read([], {variable(name): value})
    message = str(caught.value)
    assert flag(name) in message
    assert variable(name) in message
    assert value in message
    assert "\n" not in message


def test_an_unknown_flag_is_refused(capsys):
    with pytest.raises(SystemExit) as caught:
        Settings.read(["--port", "1"], {})
    assert caught.value.code == 2
    assert "--port" in capsys.readouterr().err
