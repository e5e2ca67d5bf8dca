"""The environment is read in one place and missing variables are named."""

from pathlib import Path

import pytest

from components.destination import S3, Destination, run_name
from components.errors import ConfigError

S3_VARIABLES = {
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9000",
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "hush",
}
FOLDER = {"SLIPWAY_STORE": "file:///models", "MLFLOW_TRACKING_URI": "sqlite:///mlflow.db"}


def test_a_folder_needs_no_credentials():
    assert Destination.from_environment(FOLDER).store == "file:///models"


@pytest.mark.parametrize("missing", [*FOLDER, *S3_VARIABLES])
def test_each_missing_variable_is_named_before_anything_is_written(missing):
    environment = FOLDER | {"SLIPWAY_STORE": "s3://models"} | S3_VARIABLES
    del environment[missing]
    with pytest.raises(ConfigError, match=f"{missing} is not set"):
        Destination.from_environment(environment)


def test_a_key_that_signs_is_named_by_its_path_or_nothing_signs():
    assert Destination.from_environment(FOLDER).signing_key is None
    assert Destination.from_environment(FOLDER | {"SLIPWAY_SIGNING_KEY": ""}).signing_key is None
    named = Destination.from_environment(FOLDER | {"SLIPWAY_SIGNING_KEY": "/keys/private.pem"})
    assert named.signing_key == Path("/keys/private.pem")


def test_a_secret_is_not_in_a_printed_value():
    assert "hush" not in repr(S3.from_environment(S3_VARIABLES))


def test_a_run_is_named_by_its_runner_or_else_by_the_platform():
    assert run_name("id", {"SLIPWAY_RUN": "mine"}) == "mine"
    assert run_name("id", {}) == "id"
