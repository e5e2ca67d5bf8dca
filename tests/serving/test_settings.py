import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from serving.errors import SettingsError
from serving.settings import Limits, Settings, flag, variable

ROOT = Path(__file__).parents[2]


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


#: Of settings that take no small number, another value than the default.
OTHERS = {
    "digest": "a" * 64,
    "log": "errors",
    "max_header_bytes": "300",
    "max_json_containers": "16",
    "max_json_values": "16",
    "package": "/p",
    "page": "True",
    "prediction_sample": "0.5",
}


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_has_a_flag_and_a_variable(name):
    value = OTHERS.get(name, "7")
    by_flag = Settings.read([flag(name), value], {})
    by_variable = Settings.read([], {variable(name): value})
    assert by_flag == by_variable
    assert str(getattr(by_flag, name)) in (value, f"{value}.0")
    assert by_flag != Settings.read([], {})


@pytest.mark.parametrize("name", Limits.model_fields)
def test_every_limit_has_a_bound_on_both_sides(name):
    for value in ("0", "-1", str(1 << 60), "nan", "inf", ""):
        with pytest.raises(SettingsError, match=re.escape(flag(name))):
            Settings.read([flag(name), value], {})


def test_the_limits_are_told_by_name():
    settings = Settings.read(["--max-rows", "9"], {})
    limits = settings.limits()
    assert limits.keys() == Limits.model_fields.keys()
    assert limits["max_rows"] == 9
    assert "package" not in limits


@pytest.mark.parametrize(("files", "connections"), [(300, 22), (200, 1), (2000, 872), (4000, 1024)])
def test_no_more_connections_are_allowed_than_there_are_files_for(files, connections):
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if before[1] < files:
        pytest.skip(f"this system allows no {files} files")
    script = (
        "import resource; from serving.settings import Settings;"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, (100, {files}));"
        "print(Settings.read([], {}).fitted().max_connections, *resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    said = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert said.split() == [str(connections), str(files), str(files)]


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
        ("grace_seconds", "-1"),
        ("grace_seconds", "soon"),
        ("drain_seconds", "inf"),
        ("max_batch_rows", "0"),
        ("batch_milliseconds", "0"),
        ("prediction_sample", "0"),
        ("log", "none"),
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
