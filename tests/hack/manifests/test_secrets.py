import pytest

WEB = "spec template spec containers 0"


def variable(broken, name, value):
    return broken.change("deployment/web", f"{WEB} env 3", {"name": name, "value": value}).found()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PASSWORD", "hunter2"),
        ("MLFLOW_TRACKING_PASSWORD", "hunter2"),
        ("AWS_SECRET_ACCESS_KEY", "minio123"),
        ("AWS_ACCESS_KEY_ID", "minio"),
        ("API_TOKEN", "abcdef"),
        ("SLIPWAY_SIGNING_KEY", "c2VjcmV0"),
    ],
)
def test_a_literal_secret_in_a_variable_is_found(broken, name, value):
    [(rule, where, text)] = variable(broken, name, value)
    assert (rule, where) == ("secret-plain", "deployment/web[web]")
    assert name in text
    assert value not in text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PASSWORD", ""),
        ("PASSWORD_FILE", "/run/secrets/password"),
        ("API_TOKEN", "$(OTHER)"),
        ("SLIPWAY_KEY_FILE", "key.pem"),
        ("KEYBOARD", "us"),
        ("PUBLIC_KEY", "MCowBQYDK2VwAyEA"),
        ("TOKEN_URL", "https://example.com/token"),
    ],
)
def test_what_only_points_to_a_secret_is_no_finding(broken, name, value):
    assert variable(broken, name, value) == []


@pytest.mark.parametrize("kind", ["data", "stringData"])
def test_a_secret_with_contents_is_found(broken, kind):
    secret = {
        "kind": "Secret",
        "metadata": {"name": "plain", "namespace": "slipway"},
        kind: {"password": "aHVudGVyMg=="},
    }
    broken.documents.append(secret)
    [(rule, where, text)] = broken.found()
    assert (rule, where) == ("secret-plain", "secret/plain")
    assert "password" in text


def test_a_secret_without_contents_is_no_finding(broken):
    broken.documents.append({"kind": "Secret", "metadata": {"name": "later", "namespace": "slipway"}})
    assert broken.found() == []


def test_a_secret_among_settings_is_found(broken):
    [(rule, where, _)] = broken.change("configmap/web", "data DATABASE_PASSWORD", "hunter2").found()
    assert (rule, where) == ("secret-plain", "configmap/web")


def test_a_url_with_a_password_is_found_and_not_repeated(broken):
    [(rule, where, text)] = broken.change(
        "configmap/web", "data SLIPWAY_STORE", "http://minio:hunter2@minio:9000"
    ).found()
    assert (rule, where) == ("secret-plain", "configmap/web")
    assert "data.SLIPWAY_STORE" in text
    assert "hunter2" not in text


@pytest.mark.parametrize("password", ["$(PASSWORD)", "${PASSWORD}", "{password}", "%s"])
def test_a_placeholder_in_a_url_is_no_finding(broken, password):
    url = f"postgresql://mlflow:{password}@postgres:5432/mlflow"
    assert broken.change("configmap/web", "data DATABASE", url).found() == []


def test_a_secret_in_an_argument_is_found(broken):
    [(rule, where, text)] = broken.change("deployment/web", f"{WEB} args 1", "--admin-password=hunter2").found()
    assert (rule, where) == ("secret-plain", "deployment/web[web]")
    assert "admin-password" in text
