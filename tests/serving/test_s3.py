import pytest

from serving.errors import SettingsError
from serving.s3 import S3

WHOLE = {"AWS_ENDPOINT_URL": "http://store:9000", "AWS_ACCESS_KEY_ID": "someone", "AWS_SECRET_ACCESS_KEY": "f00d"}


def test_a_server_is_what_the_usual_variables_say():
    server = S3.of(WHOLE | {"AWS_DEFAULT_REGION": "eu-west-1"})
    assert (server.endpoint, server.access_key, server.secret_key, server.region) == (*WHOLE.values(), "eu-west-1")
    assert server.address() == ("store:9000", False)


@pytest.mark.parametrize("name", sorted(WHOLE))
def test_without_one_of_the_variables_there_is_no_server(name):
    assert S3.of(WHOLE | {name: ""}) is None


def test_a_secret_is_not_shown():
    assert "f00d" not in repr(S3.of(WHOLE))


@pytest.mark.parametrize(
    "endpoint", ["store:9000", "ftp://store", "http://user:f00d@store", "http://store/path", "http://[x"]
)
def test_an_endpoint_that_is_no_server_is_refused_without_its_value(endpoint):
    with pytest.raises(SettingsError, match=r"AWS_ENDPOINT_URL names no S3 server") as refused:
        S3.of(WHOLE | {"AWS_ENDPOINT_URL": endpoint}).client()
    assert endpoint not in str(refused.value)
