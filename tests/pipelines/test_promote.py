import kube_scene
import pytest
from kube_scene import NEW, OLD, SERVICE, uri

from components.kube import ClusterError
from pipelines.errors import RunError
from pipelines.promote import MANAGER, Promotion, addressed, apply, current

PROMOTION = Promotion(uri=uri(NEW), digest=NEW, namespace="slipway", service="digits")
URI_FIELD = ".spec.predictor.model.storageUri"


def model(server) -> dict:
    return server.objects[SERVICE]["spec"]["predictor"]["model"]


def test_a_place_ends_in_a_slash_as_kserve_wants_it():
    assert addressed(uri(NEW)) == addressed(uri(NEW).rstrip("/")) == (uri(NEW), NEW)


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("s3://models/digits/latest/", "names no package by its digest"),
        (f"s3://models/digits/sha256-{NEW[:20]}/", "names no package by its digest"),
        (f"file:///store/digits/sha256-{NEW}/", "not in an object store"),
        (f"pvc://claim/sha256-{NEW}/", "not in an object store"),
    ],
    ids=["alias", "short", "file", "volume"],
)
def test_a_place_that_proves_nothing_is_refused(place, why):
    with pytest.raises(RunError, match=why):
        addressed(place)


def test_only_the_package_and_its_digest_are_applied_under_a_name_of_our_own(server, cluster):
    kube_scene.service(server)
    model(server)["env"] = [{"name": "SLIPWAY_LOG", "value": "errors"}]
    apply(cluster, current(cluster, PROMOTION), PROMOTION)
    digest = {"name": "SLIPWAY_DIGEST", "value": NEW}
    assert model(server)["storageUri"] == uri(NEW)
    assert model(server)["env"] == [{"name": "SLIPWAY_LOG", "value": "errors"}, digest]
    assert model(server)["runtime"] == "slipway"
    assert server.owners[SERVICE] == {
        URI_FIELD: MANAGER,
        **{f'.spec.predictor.model.env[name="SLIPWAY_DIGEST"].{field}': MANAGER for field in ("name", "value")},
    }


def test_a_dry_run_changes_nothing(server, cluster):
    kube_scene.service(server)
    changed = apply(cluster, current(cluster, PROMOTION), PROMOTION, dry_run=True)
    assert changed["spec"]["predictor"]["model"]["storageUri"] == uri(NEW)
    assert model(server)["storageUri"] == uri(OLD)


def test_one_that_does_not_exist_is_refused_and_not_created(server, cluster):
    with pytest.raises(RunError, match="digits does not exist in namespace slipway; apply its manifest first"):
        current(cluster, PROMOTION)
    kube_scene.service(server)
    removed = server.objects.pop(SERVICE)
    with pytest.raises(ClusterError, match="uid mismatch"):
        apply(cluster, removed, PROMOTION)
    assert SERVICE not in server.objects


def test_a_field_that_git_owns_stays_and_the_change_to_commit_is_shown(server, cluster):
    kube_scene.service(server)
    model(server)["env"] = [{"name": "SLIPWAY_DIGEST", "value": OLD}]
    server.owners[SERVICE] = {URI_FIELD: "argocd-controller"}
    for dry_run in (True, False):
        with pytest.raises(RunError, match="argocd-controller owns .spec.predictor.model.storageUri of ") as told:
            apply(cluster, current(cluster, PROMOTION), PROMOTION, dry_run=dry_run)
    assert str(told.value).splitlines()[1:] == [
        f"    - storageUri: {uri(OLD)}",
        f"    + storageUri: {uri(NEW)}",
        f"    - SLIPWAY_DIGEST: {OLD}",
        f"    + SLIPWAY_DIGEST: {NEW}",
    ]
    assert model(server)["storageUri"] == uri(OLD)


def test_a_field_of_another_manager_is_taken_over_when_that_is_asked_for(server, cluster):
    kube_scene.service(server)
    server.owners[SERVICE] = {URI_FIELD: "kubectl-client-side-apply"}
    apply(cluster, current(cluster, PROMOTION), PROMOTION, take_over=True)
    assert model(server)["storageUri"] == uri(NEW)
    assert server.owners[SERVICE][URI_FIELD] == MANAGER
