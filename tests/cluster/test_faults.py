"""What breaks a cluster, broken on purpose: what goes on, what is said, and what mends itself. docs/operations.md."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from cluster import ROOT, Cluster, request
from cluster_rollouts import fixed

#: Processes that together take more than the container may have, each of them smaller than the predictor.
EATERS, EACH_MB = 12, 48
MLFLOW, POSTGRES = "app.kubernetes.io/name=mlflow", "app.kubernetes.io/name=postgres"
#: Asks MLflow, from beside it, for what only its database knows.
ASK_MLFLOW = """
import json, time, urllib.request
begun = time.monotonic()
try:
    url = "http://127.0.0.1:5000/api/2.0/mlflow/registered-models/get?name=digits"
    with urllib.request.urlopen(url, timeout=20) as answer:
        found = {"status": answer.status, "aliases": json.load(answer)["registered_model"]["aliases"]}
except OSError as error:
    found = {"status": getattr(error, "code", 0)}
print(json.dumps(found | {"seconds": round(time.monotonic() - begun, 1)}))
"""


@pytest.fixture
def pair(settled: Cluster) -> Cluster:
    """Two replicas, and a pod that asks them."""
    settled.asker()
    return fixed(settled, 2)


@pytest.fixture
def jobs(applied: Cluster) -> "Iterator[Jobs]":
    """Jobs of this test, gone after it."""
    made = Jobs(applied)
    yield made
    made.remove()


class Jobs:
    """Commands of ``slipway`` in pods like those of the training Job."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._names: list[str] = []

    def start(self, name: str, *command: str, tries: int = 0) -> str:
        """Start a command; return the Job's name."""
        job = yaml.safe_load((ROOT / "manifests" / "training-job" / "job.yaml").read_text(encoding="utf-8"))
        job["metadata"]["name"] = name
        job["spec"]["backoffLimit"] = tries
        pod = job["spec"]["template"]["spec"]
        pod["restartPolicy"] = "OnFailure" if tries else "Never"
        (trainer,) = (each for each in pod.pop("initContainers") if each["name"] == "train")
        pod["containers"] = [trainer | {"args": list(command)}]
        self.remove(name)
        self._names.append(name)
        self._cluster.k("apply", "--filename", "-", stdin=yaml.safe_dump(job))
        return name

    def ended(self, name: str, seconds: float = 180) -> str:
        """Wait until a Job succeeded or failed; return which."""
        end = self._cluster.until(f"the end of {name}", lambda: self._end(name), seconds)
        return str(end)

    def does(self, name: str, *command: str) -> str:
        """Run a command to its good end and return what it said."""
        assert self.ended(self.start(name, *command)) == "Complete", self.log(name)
        return self.log(name)

    def log(self, name: str) -> str:
        """Return what a Job said."""
        return self._cluster.k("logs", f"job/{name}", "--all-containers", check=False)

    def pods(self, name: str) -> list[dict[str, Any]]:
        """Return the pods of a Job."""
        return self._cluster.pods(f"batch.kubernetes.io/job-name={name}")

    def remove(self, *names: str) -> None:
        """Remove Jobs, all of this test unless named."""
        self._cluster.k("delete", "job", *(names or self._names or ["none"]), "--ignore-not-found")

    def _end(self, name: str) -> str:
        conditions = self._cluster.get("job", name)["status"].get("conditions", [])
        return next((each["type"] for each in conditions if each["type"] in ("Complete", "Failed")), "")


def lose(cluster: Cluster, *what: str) -> None:
    """Take pods away as a node does that is lost: without a goodbye."""
    cluster.k("delete", "pod", *what, "--force", "--grace-period=0", "--wait=false")


def newest(cluster: Cluster, known: set[str]) -> dict[str, Any] | None:
    """Return a predictor's pod that was not there before."""
    return next((pod for pod in cluster.pods() if pod["metadata"]["name"] not in known), None)


def names(cluster: Cluster) -> list[str]:
    """Return the names of the predictors' pods."""
    return [pod["metadata"]["name"] for pod in cluster.pods()]


def told(found: dict[str, Any]) -> str:
    """Return a load's figures in words."""
    return (
        f"{found['requests']} requests, failed {found['failed']}, highest latency {found['max_ms']:.0f} ms, "
        f"longest without an answer {found['gap_ms']:.0f} ms"
    )


@pytest.mark.minutes
def test_predictors_answer_without_the_store_and_a_new_one_waits_for_it(pair):
    known = set(names(pair))
    load = pair.load(request(), 240, clients=4, pause_ms=50)
    pair.k("scale", "statefulset/minio", "--replicas=0")
    lose(pair, "minio-0")
    pair.until("MinIO to be gone", lambda: not pair.pods("app.kubernetes.io/name=minio"))
    pair.k("delete", "pod", min(known), "--wait=false")
    pod = pair.until("a pod in its place", lambda: newest(pair, known))["metadata"]["name"]
    reason = pair.until(
        "a reason", lambda: _line(pair.k("logs", pod, "--container=storage-initializer", check=False), "waiting"), 60
    )
    assert "object store does not answer" in reason["reason"] and "object-store:9000" in reason["reason"]
    ended = pair.until("the first patience to end", lambda: _last_words(pair, pod), 120)
    assert "object store does not answer" in ended
    back = time.monotonic()
    pair.k("scale", "statefulset/minio", "--replicas=1")
    pair.until("two ready replicas", lambda: pair.ready() >= 2, 150)
    seconds = time.monotonic() - back
    found = load.stop()
    print(f"object store gone and back: {told(found)}; the replica that waited: ready {seconds:.0f} s later")
    assert found["requests"] > 1000 and found["failed"] == 0, found["faults"]


def _line(log: str, event: str) -> dict[str, Any] | None:
    for line in log.splitlines():
        if line.startswith("{") and (said := json.loads(line)).get("event") == event:
            return dict(said)
    return None


def _last_words(cluster: Cluster, pod: str) -> str:
    """Return what the container that fetches packages said when it ended with an error."""
    status = cluster.get("pod", pod)["status"]["initContainerStatuses"][0]
    ended = status.get("lastState", {}).get("terminated") or status["state"].get("terminated") or {}
    return str(ended.get("message", "")) if ended.get("exitCode") else ""


def test_a_predictor_that_is_killed_for_memory_comes_back_by_itself_and_the_other_goes_on(pair):
    pod = min(names(pair))
    load = pair.load(request(), 120, clients=4, pause_ms=50)
    eat = f"import time; taken = bytearray(b'1') * ({EACH_MB} << 20); time.sleep(60)"
    command = f'for i in $(seq {EATERS}); do python3 -c "{eat}" & done; wait'
    pair.k("exec", pod, "--container=kserve-container", "--", "sh", "-c", command, check=False)
    status = pair.until("the container to start anew", lambda: _started_anew(pair, pod), 60)
    assert status["lastState"]["terminated"]["reason"] == "OOMKilled", status
    begun = time.monotonic()
    pair.until("two ready replicas", lambda: pair.ready() >= 2, 90)
    seconds = time.monotonic() - begun
    time.sleep(5)
    found = load.stop()
    print(f"killed for memory: {told(found)}; ready again {seconds:.0f} s later, restarts {status['restartCount']}")
    assert found["requests"] > 200
    assert found["failed"] <= 0.05 * found["requests"], found["faults"]
    assert not set(found["codes"]) - {"200", "failed"}, found["codes"]
    assert pod in names(pair)


def _started_anew(cluster: Cluster, pod: str) -> dict[str, Any] | None:
    (status,) = cluster.get("pod", pod)["status"]["containerStatuses"]
    return status if status["restartCount"] else None


def test_the_first_answer_comes_by_itself_after_all_predictors_are_lost_at_once(pair):
    load = pair.load(request(), 180, clients=4, pause_ms=50)
    time.sleep(3)
    lost = names(pair)
    lose(pair, *lost)
    pair.until("two new replicas", lambda: pair.ready() >= 2 and not set(lost) & set(names(pair)), 150)
    time.sleep(3)
    found = load.stop()
    print(f"all predictors lost at once: {told(found)}")
    assert found["codes"]["200"] > 100
    assert not set(found["codes"]) - {"200", "failed"}, found["codes"]


def test_predictors_that_are_told_to_end_all_at_once_finish_what_they_have(pair):
    load = pair.load(request(), 180, clients=4, pause_ms=50)
    time.sleep(3)
    ended = names(pair)
    pair.k("delete", "pod", *ended, "--wait=false")
    pair.until("two new replicas", lambda: pair.ready() >= 2 and not set(ended) & set(names(pair)), 150)
    found = load.stop()
    print(f"all predictors told to end at once: {told(found)}")
    assert found["failed"] == 0, found["faults"]


@pytest.fixture
def unregistered(settled: Cluster) -> Iterator[Cluster]:
    """No MLflow, until the test is done."""
    settled.k("scale", "deployment/mlflow", "--replicas=0")
    settled.until("MLflow to be gone", lambda: not settled.pods(MLFLOW))
    yield settled
    bring_mlflow_back(settled)


def bring_mlflow_back(cluster: Cluster) -> None:
    """Have MLflow again."""
    cluster.k("scale", "deployment/mlflow", "--replicas=1")
    cluster.until("MLflow", lambda: cluster.ready(MLFLOW))


@pytest.mark.minutes
def test_a_run_without_mlflow_keeps_the_package_and_register_enters_it_later(jobs, unregistered):
    model = f"unrecorded-{time.time():.0f}"  # a cluster that is kept has those of earlier runs
    name = jobs.start("train-unrecorded", "run", "configs/digits.yaml", "--set", f"name={model}")
    assert jobs.ended(name) == "Failed"
    log = jobs.log(name)
    reason = next(line for line in log.splitlines() if line.startswith("publish failed"))
    assert f"publish: package is at s3://models/{model}/sha256-" in log, log
    assert "http://mlflow:5000" in reason and f"later: slipway register {model}" in reason
    assert "can't tell who is champion" in log
    bring_mlflow_back(unregistered)
    assert "1 entered" in jobs.does("register-unrecorded", "register", model)
    entered = jobs.does("models-unrecorded", "models", model).splitlines()[-1]
    print(f"MLflow down during a run: {reason}; then entered: {entered}")
    assert entered.split()[:3] == [model, "1", "challenger"]


def test_mlflow_goes_on_by_itself_after_its_database_was_lost(settled):
    before = _mlflow(settled)
    assert before["status"] == 200
    pod = settled.pods(MLFLOW)[0]
    lost = settled.pods(POSTGRES)[0]["metadata"]["uid"]
    begun, seen = time.monotonic(), []
    lose(settled, "postgres-0")
    settled.until("another PostgreSQL", lambda: seen.append(_mlflow(settled)) or _back(settled, lost))
    after = settled.until("MLflow to answer", lambda: (found := _mlflow(settled))["status"] == 200 and found)
    print(
        f"PostgreSQL lost: MLflow answers from the new one {time.monotonic() - begun:.0f} s later; "
        f"meanwhile {[(each['status'], each['seconds']) for each in seen]}"
    )
    assert after["aliases"] == before["aliases"]
    assert {each["status"] for each in seen} <= {200, 503}, "a request was left to hang"
    again = settled.pods(MLFLOW)[0]
    assert again["metadata"]["uid"] == pod["metadata"]["uid"]
    assert (
        again["status"]["containerStatuses"][0]["restartCount"] == pod["status"]["containerStatuses"][0]["restartCount"]
    )


def _back(cluster: Cluster, lost: str) -> bool:
    found = cluster.pods(POSTGRES)
    return bool(found) and found[0]["metadata"]["uid"] != lost and cluster.ready(POSTGRES) == 1


def _mlflow(cluster: Cluster) -> dict[str, Any]:
    """Return MLflow's answer, by its status, and how long it took."""
    found: dict[str, Any] = json.loads(cluster.k("exec", "deployment/mlflow", "--", "python3", "-c", ASK_MLFLOW))
    return found


@pytest.mark.minutes
def test_a_training_pod_that_is_lost_in_mid_run_is_made_again_and_publishes_once(jobs, applied):
    name = jobs.start("train-lost", "run", "configs/digits.yaml", "--set", "name=lost", tries=3)
    applied.until("the model to be trained", lambda: "train     done" in jobs.log(name))
    (first,) = jobs.pods(name)
    lose(applied, first["metadata"]["name"])
    begun = time.monotonic()
    assert jobs.ended(name) == "Complete", jobs.log(name)
    (second,) = jobs.pods(name)
    assert second["metadata"]["uid"] != first["metadata"]["uid"]
    print(f"training pod lost in mid-run: the Job was done {time.monotonic() - begun:.0f} s later")
    rows = [line for line in jobs.does("models-lost", "models", "lost").splitlines() if line.startswith("lost ")]
    assert len(rows) == 1 and "champion" in rows[0]
    strays = jobs.does("gc-lost", "gc", "--older-than", "0", "--overlays", "configs")
    assert "/lost/" not in strays, strays
