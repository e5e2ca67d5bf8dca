import kube_scene
import pytest

from components import kube
from pipelines.cli import main


@pytest.fixture
def told(capsys):
    """Runs ``slipway doctor`` in this process; returns its exit code and its lines."""

    def run(*arguments: str) -> tuple[int, list[str]]:
        capsys.readouterr()
        code = main(["doctor", *arguments])
        return code, capsys.readouterr().out.splitlines()

    return run


def test_a_healthy_cluster_ends_with_zero(server, told):
    for part in (kube_scene.platform, kube_scene.namespace, kube_scene.service):
        part(server)
    code, lines = told("--cluster")
    assert code == 0
    assert {line.split()[0] for line in lines} == {"ok"}


def test_a_problem_ends_with_two_and_every_remedy_stands_indented_below(server, told):
    kube_scene.platform(server)
    code, lines = told("--cluster", "--namespace", "empty")
    assert code == 2
    at = lines.index("problem   namespace empty does not exist")
    assert lines[at + 1] == "          kubectl apply -k one of kustomize/overlays"


def test_one_service_is_looked_at_alone(server, told):
    kube_scene.platform(server)
    kube_scene.service(server)
    server.put(kube_scene.SERVICE.replace("digits", "iris"), {"spec": {"predictor": {}}})
    _, lines = told("--cluster", "--service", "digits")
    assert any("InferenceService digits" in line for line in lines)
    assert not any("iris" in line for line in lines)


def test_a_cluster_that_does_not_answer_ends_the_rest_of_its_checks(server, told):
    code, lines = told("--cluster")
    assert (code, len(lines)) == (2, 2)
    assert lines[0].startswith("problem   GET /version")


def test_without_a_kubeconfig_the_cluster_is_left_out_and_named_when_it_was_asked_for(
    monkeypatch, tmp_path, told, capsys
):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.setattr(kube, "ACCOUNT", tmp_path / "token")
    monkeypatch.setenv("SLIPWAY_HOME", str(tmp_path / "home"))
    for name in ("SLIPWAY_STORE", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    code, lines = told()
    assert code == 0
    assert lines[0].startswith("ok        Python 3.")
    assert lines[-1].startswith("ok        the cluster is left out: there is no kubeconfig")
    assert not (tmp_path / "home").exists()
    assert main(["doctor", "--cluster"]) == 2
    assert "slipway: there is no kubeconfig" in capsys.readouterr().err
