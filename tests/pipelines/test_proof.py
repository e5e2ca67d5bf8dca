import kube_scene
import pytest
from kube_scene import CORE, NEW, OLD, SERVICE

from pipelines import proof
from pipelines.errors import RunError
from pipelines.promote import Promotion, apply, current
from pipelines.proof import look, wait

PROMOTION = Promotion(uri=kube_scene.uri(NEW), digest=NEW, namespace="slipway", service="digits")
CRASHED = {
    "name": "kserve-container",
    "state": {"waiting": {"reason": "CrashLoopBackOff"}},
    "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}},
    "restartCount": 3,
}


@pytest.fixture
def served(server, monkeypatch):
    """A service with an old version; looks follow each other at once."""
    monkeypatch.setattr(proof, "POLL_SECONDS", 0.01)
    kube_scene.service(server)
    return server


@pytest.fixture
def promoted(served, cluster):
    """Applies the new package, and waits; returns the lines that were said."""

    def run(seconds: float = 30) -> list[str]:
        said: list[str] = []
        before = current(cluster, PROMOTION)
        apply(cluster, before, PROMOTION)
        try:
            wait(cluster, PROMOTION, before, seconds, said.append)
        finally:
            run.said = said
        return said

    return run


def test_it_is_done_when_every_pod_says_that_it_serves_the_package(served, promoted):
    served.applied = kube_scene.roll
    assert promoted() == [
        f"2 of 2 new pods ready, 2 pods in all; digits-2-a, digits-2-b: sha256:{NEW[:12]}",
    ]


def test_nothing_is_done_before_kserve_changed_the_deployment(served, cluster):
    assert look(cluster, PROMOTION).told == "KServe has not changed the Deployment yet"
    assert not look(cluster, PROMOTION).done


def test_a_service_that_is_ready_with_old_pods_is_not_done(served, cluster):
    kube_scene.deploy(served, NEW, revision=2)
    seen = look(cluster, PROMOTION)
    assert (seen.done, seen.old) == (False, 2)
    assert seen.told == "0 of 2 new pods ready, 2 pods in all"


def test_pods_that_serve_another_package_are_not_done(served, cluster):
    kube_scene.roll(served)
    kube_scene.ready(served, "digits-2-b", OLD)
    seen = look(cluster, PROMOTION)
    assert (seen.done, seen.told) == (False, f"digits-2-b serves sha256:{OLD[:12]}")


def test_a_new_version_that_ends_again_and_again_is_given_up_with_its_own_words(served, promoted):
    def crash(server):
        kube_scene.deploy(server, NEW, revision=2)
        kube_scene.failing(server, "digits-2-a", CRASHED)
        server.texts[f"{CORE}/pods/digits-2-a/log?container=kserve-container"] = "package is not signed\n"

    served.applied = crash
    with pytest.raises(RunError) as told:
        promoted(600)
    first, second = str(told.value).splitlines()
    assert first.startswith(f"digits does not serve sha256:{NEW[:12]} and will not: container kserve-container of pod")
    assert "ended with 1: package is not signed" in first
    assert second.startswith(
        f"sha256:{OLD[:12]} goes on serving in 2 pods; back: slipway promote {kube_scene.uri(OLD)} "
    )


def test_time_runs_out_with_what_was_seen_last(served, promoted):
    served.applied = lambda server: kube_scene.deploy(server, NEW, revision=2)
    with pytest.raises(RunError, match="after 0 s: 0 of 2 new pods ready, 2 pods in all; slipway doctor tells more"):
        promoted(0)


def test_pods_that_failed_before_get_their_time_where_nothing_changed(served, cluster, monkeypatch):
    model = served.objects[SERVICE]["spec"]["predictor"]["model"]
    model |= {"storageUri": kube_scene.uri(NEW), "env": [{"name": "SLIPWAY_DIGEST", "value": NEW}]}
    kube_scene.deploy(served, NEW, revision=2)
    kube_scene.failing(served, "digits-2-a", CRASHED)
    before = current(cluster, PROMOTION)
    apply(cluster, before, PROMOTION)
    looks = []

    def seen(*arguments):
        looks.append(look(*arguments))
        if len(looks) == 10:
            kube_scene.roll(served)
        return looks[-1]

    monkeypatch.setattr(proof, "look", seen)
    wait(cluster, PROMOTION, before, 60, lambda _: None)
    assert all(one.reason.final for one in looks[:10])


def test_an_api_server_that_is_away_for_a_moment_is_waited_for(served, cluster, monkeypatch):
    before = current(cluster, PROMOTION)
    kube_scene.roll(served)
    url, cluster.url = cluster.url, "http://127.0.0.1:9"
    monkeypatch.setattr(proof, "current", lambda *_: before)
    said = []

    def say(text):
        said.append(text)
        cluster.url = url

    wait(cluster, PROMOTION, before, 60, say)
    assert "can't be reached" in said[0]
    assert len(said) == 2


def test_scaled_to_zero_is_done(served, cluster):
    kube_scene.roll(served)
    deployment = served.objects[kube_scene.DEPLOYMENT]
    deployment["spec"]["replicas"] = 0
    deployment["status"] = {"observedGeneration": 2}
    assert look(cluster, PROMOTION).told == "scaled to zero: the next pod will serve it"
    assert look(cluster, PROMOTION).done


def behind(server, digest: str) -> None:
    """Let the same server stand for the Service, and KServe say where it is."""
    server.objects[SERVICE]["status"]["address"] = {"url": f"{server.url}/service"}
    server.put("/service/v2/models", {"models": ["digits"]})
    server.put("/service/v2/models/digits", {"parameters": {"package": f"sha256:{digest}"}})


def test_without_the_proxy_the_service_is_asked(served, cluster):
    kube_scene.roll(served)
    served.forbidden = "/proxy/"
    behind(served, NEW)
    seen = look(cluster, PROMOTION)
    assert seen.done
    assert seen.told.endswith(f"Service of digits: sha256:{NEW[:12]}")
    behind(served, OLD)
    assert not look(cluster, PROMOTION).done


def test_without_proxy_and_service_new_and_ready_must_do(served, cluster):
    kube_scene.roll(served)
    served.forbidden = "/proxy/"
    served.objects[SERVICE]["status"]["address"] = {"url": "http://127.0.0.1:9"}
    seen = look(cluster, PROMOTION)
    assert seen.done
    assert "can't be asked" in seen.told


def test_without_rights_on_deployments_kserves_status_and_the_service_are_asked(served, cluster):
    served.forbidden = "/apis/apps/"
    behind(served, OLD)
    status = served.objects[SERVICE]["status"]
    status["modelStatus"] = {"transitionStatus": "UpToDate"}
    assert not look(cluster, PROMOTION).done
    behind(served, NEW)
    assert look(cluster, PROMOTION).done
    status["modelStatus"]["transitionStatus"] = "InProgress"
    assert not look(cluster, PROMOTION).done


def test_without_any_right_and_any_way_to_ask_nothing_is_claimed(served, cluster):
    served.forbidden = "/apis/apps/"
    served.objects[SERVICE]["status"]["address"] = {"url": "http://127.0.0.1:9"}
    with pytest.raises(RunError, match="nobody can tell when the new version serves; give it get and list"):
        look(cluster, PROMOTION)


def test_reasons_that_may_not_be_read_do_not_end_the_wait(served, cluster):
    kube_scene.deploy(served, NEW, revision=2)
    served.forbidden = "/events"
    seen = look(cluster, PROMOTION)
    assert not seen.done
    assert seen.reason.remedy == "give this account the right to list events"
