import pytest
from stages import DIGITS
from trainer_scene import NAMESPACE, PODS, RUNTIME, TRAINER, Scene

from components import kube
from components.config import read_config
from components.kube import ClusterError
from components.machines import job as module
from components.machines.job import Job, patient, shape

URI = "s3://checkpoints/digits/key/job"


@pytest.fixture
def scene(server, quick):
    return Scene(server)


@pytest.fixture
def job(scene):
    return Job.connect("digits", "0123456789abcdef")


@pytest.fixture
def inside(server, tmp_path, monkeypatch):
    """This process is a pod of its own namespace."""
    account = tmp_path / "account"
    account.mkdir()
    (account / "namespace").write_text(f"{NAMESPACE}\n")
    (account / "token").write_text("a-token")
    monkeypatch.setattr(kube, "ACCOUNT", account / "token")
    monkeypatch.setenv("HOSTNAME", "step")
    return server.put(f"{PODS}/step", {})


def test_a_train_job_says_how_many_machines_and_processes(job, scene, config):
    job.start(shape(config, URI))
    assert scene.job["metadata"]["name"] == "train-digits-0123456789ab"
    assert scene.job["spec"] == {
        "runtimeRef": {"apiGroup": "trainer.kubeflow.org", "kind": "TrainingRuntime", "name": "slipway"},
        "trainer": {
            "numNodes": 2,
            "numProcPerNode": 2,
            "command": ["python3", "-m", "components.machines", URI],
        },
    }


def test_a_gpu_for_each_process_is_added_to_the_resources_of_the_runtime(job, scene, config):
    cuda = read_config(DIGITS, ["train.model=mnist_cnn", "train.device=cuda", "train.machines=2", "train.processes=4"])
    job.start(shape(cuda, URI))
    assert scene.job["spec"]["trainer"]["resourcesPerNode"] == {
        "requests": {"cpu": "1"},
        "limits": {"memory": "2Gi", "nvidia.com/gpu": "2"},
    }


def test_names_fit_into_the_names_of_pods_and_begin_with_a_letter(scene):
    name = Job.connect("7" + "a" * 62, "f" * 64).name
    assert name[0].isalpha()
    assert len(f"{name}-node-0-1023-abcde") <= 63


def test_a_train_job_goes_with_the_pod_of_its_step(job, scene, config, inside):
    job.start(shape(config, URI))
    (owner,) = scene.job["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Pod", "step", inside["metadata"]["uid"])


def test_a_retry_goes_on_with_the_train_job_that_runs(job, scene, config, inside):
    job.start(shape(config, URI))
    scene.job["metadata"]["ownerReferences"] = [{"name": "the pod before"}]
    job.start(shape(config, URI))
    assert [owner["name"] for owner in scene.job["metadata"]["ownerReferences"]] == ["step"]
    assert [asked for asked in scene.server.asked if asked.startswith("POST")] == [f"POST {TRAINER}/trainjobs"]


@pytest.mark.parametrize("stale", ["failed", "complete", "other machines"])
def test_a_train_job_of_an_earlier_try_that_ended_is_replaced(job, scene, config, stale):
    job.start(shape(config, URI))
    scene.job["metadata"]["uid"] = "earlier"
    if stale == "other machines":
        scene.job["spec"]["trainer"]["numNodes"] = 4
    else:
        scene.end(stale.title())
    job.start(shape(config, URI))
    assert scene.job["metadata"]["uid"] != "earlier"
    assert scene.job["spec"]["trainer"]["numNodes"] == 2


def test_removal_waits_until_the_train_job_is_gone(job, scene, config):
    job.start(shape(config, URI))
    job.remove()
    assert scene.jobs() == []
    assert scene.server.asked[-2:] == [f"DELETE {job.path}", f"GET {job.path}"]
    job.remove()  # what is gone may be removed


def test_a_cluster_without_kubeflow_trainer_is_told(job, server, config):
    server.unknown = "/apis/trainer"
    with pytest.raises(ClusterError, match=r"has no Kubeflow Trainer .*: install it, or .*train.machines=1"):
        job.start(shape(config, URI))


def test_a_namespace_without_the_runtime_is_told(job, server, config):
    del server.objects[RUNTIME]
    with pytest.raises(ClusterError, match=r"no TrainingRuntime slipway in namespace slipway: apply manifests/trainer"):
        job.start(shape(config, URI))


def test_an_account_without_the_right_is_told(job, server, config, capsys):
    server.forbidden = "/trainjobs"
    with pytest.raises(ClusterError, match=r"may not run TrainJobs .*forbidden.*: apply manifests/trainer, or train"):
        job.start(shape(config, URI))
    job.remove()
    assert capsys.readouterr().out == ""


def test_an_api_server_that_is_away_for_a_moment_is_asked_again(job, server, config, scene):
    server.outage = 3
    job.start(shape(config, URI))
    assert scene.job


def test_a_train_job_whose_creation_was_answered_by_nobody_is_there(job, server, config, scene, monkeypatch):
    create = server.create

    def lost(collection, content):
        create(collection, content)
        monkeypatch.setattr(server, "create", create)
        return 503, {}

    monkeypatch.setattr(server, "create", lost)
    job.start(shape(config, URI))
    assert scene.job


def test_an_outage_that_lasts_is_an_error(server, cluster, monkeypatch, quick):
    monkeypatch.setattr(module, "OUTAGE_SECONDS", 0.05)
    server.outage = 10_000
    with pytest.raises(ClusterError, match="currently unavailable"):
        patient(lambda: cluster.get(RUNTIME))
