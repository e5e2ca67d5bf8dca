import pytest
from trainer_scene import Scene

from components.errors import TrainingError
from components.kube import ClusterError
from components.machines.job import Job, shape
from components.machines.watch import follow

RUNNING = {"phase": "Running"}


@pytest.fixture
def watched(server, quick, config, capsys):
    """Follows a TrainJob through the steps of a scene, and returns what was said."""

    def watch(*steps):
        Scene(server, steps)
        job = Job.connect("digits", "0123456789abcdef")
        job.start(shape(config, "s3://checkpoints/digits/key/job"))
        capsys.readouterr()
        follow(job, config)
        return capsys.readouterr().out.splitlines()

    return watch


def dead(reason, code):
    state = {"terminated": {"reason": reason, "exitCode": code}}
    return {"phase": "Failed", "containerStatuses": [{"name": "node", "state": state}]}


def starting(scene):
    scene.pod("a-0", **RUNNING)
    scene.pod("a-1", index=1, **RUNNING)


def test_rank_0_is_heard_while_it_trains_and_no_line_twice(watched, server):
    def asked(scene):
        scene.write("a-0", "a library says something", "[slipway] epoch 1")
        scene.write("a-1", "[slipway] another rank")

    said = watched(
        starting, asked, lambda scene: scene.write("a-0", "[slipway] epoch 2"), lambda _: None,
        lambda scene: (scene.write("a-0", "[slipway] epoch 3"), scene.end("Complete")),
    )  # fmt: skip
    assert said == ["[slipway] epoch 1", "[slipway] epoch 2", "[slipway] epoch 3"]


def test_a_pod_that_replaces_a_lost_one_is_followed(watched):
    def replaced(scene):
        scene.lose("a-0")
        scene.pod("b-0", attempt=1, **RUNNING)
        scene.write("b-0", "[slipway] goes on at step 40")

    said = watched(
        starting, lambda scene: scene.write("a-0", "[slipway] epoch 1"), replaced, lambda scene: scene.end("Complete")
    )
    assert said == [
        "[slipway] epoch 1",
        "[slipway] a machine was lost; attempt 2 goes on from the last checkpoint",
        "[slipway] goes on at step 40",
    ]


def test_a_short_outage_of_the_api_server_costs_no_line(watched):
    def away(scene):
        scene.write("a-0", "[slipway] epoch 1")
        scene.server.outage = 5

    said = watched(starting, away, lambda scene: scene.write("a-0", "[slipway] epoch 2"), lambda s: s.end("Complete"))
    assert said == ["[slipway] epoch 1", "[slipway] epoch 2"]


def test_the_error_that_a_pod_told_is_the_error(watched):
    def fail(scene):
        scene.write("a-1", "[slipway] error: not this", "[slipway] error: loss is not a number; lower it", "Traceback")
        scene.pod("a-1", index=1, **dead("Error", 1))
        scene.end("Failed", "FailedJobs", "jobset failed")

    with pytest.raises(TrainingError, match="^loss is not a number; lower it$"):
        watched(starting, fail)


def test_an_error_of_rank_0_whose_pod_is_gone_was_heard(watched, capsys):
    def gone(scene):
        scene.lose("a-0")
        scene.end("Failed")

    with pytest.raises(TrainingError, match="^the loss exploded$"):
        watched(starting, lambda scene: scene.write("a-0", "[slipway] error: the loss exploded"), gone)
    assert "exploded" not in capsys.readouterr().out  # the step says it, once


def test_a_pod_that_told_nothing_is_named_with_its_exit_code(watched):
    def fail(scene):
        scene.pod("a-1", index=1, **dead("Error", 139))
        scene.end("Failed", "ReachedMaxRestarts", "jobset failed due to reaching max number of restarts")

    with pytest.raises(TrainingError, match=r"ReachedMaxRestarts: .*; pod a-1 ended with exit code 139, Error"):
        watched(starting, fail)


def test_a_pod_that_needs_too_much_memory_ends_it_at_once(watched, config):
    half = config.train.batch_size // 2
    with pytest.raises(TrainingError, match=rf"a-1 .*more memory than 2Gi .*--set train.batch_size={half}"):
        watched(starting, lambda scene: scene.pod("a-1", index=1, **dead("OOMKilled", 137)))


def test_a_train_job_that_somebody_deletes_is_told(watched):
    assert watched(starting, Scene.take_away)[-1].endswith("was deleted while it ran")


def test_what_keeps_pods_from_starting_is_said_once(watched):
    message = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
    condition = {"type": "PodScheduled", "status": "False", "message": message}
    waiting = {"waiting": {"reason": "ErrImageNeverPull", "message": "not present"}}

    def image(scene):
        scene.pod("a-0", phase="Pending", containerStatuses=[{"name": "node", "state": waiting}])

    said = watched(
        lambda scene: scene.pod("a-0", phase="Pending", conditions=[condition]), lambda _: None, image, starting,
        lambda scene: scene.end("Complete"),
    )  # fmt: skip
    assert said == [
        f"[slipway] waits for its machines: a-0: {message}",
        "[slipway] waits for its machines: a-0: ErrImageNeverPull: not present",
    ]


def test_an_account_that_may_not_read_logs_is_told(watched, server):
    server.forbidden = "/log$"
    with pytest.raises(ClusterError, match="forbidden"):
        watched(starting, lambda scene: scene.write("a-0", "[slipway] epoch 1"))
