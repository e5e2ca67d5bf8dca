"""What may be removed from the store, and what never is."""

import os
import time
from pathlib import Path

import pytest
import tiny
from mlflow import MlflowClient

from components.destination import Destination
from components.errors import ConfigError, TrackingError
from components.housekeeping import given_up, register, remove, strays
from components.package import package
from components.publish import publish, upload
from components.store import FolderStore, open_store
from modelpackage import DESCRIPTOR, PackageError, load

DAY = 86_400.0


@pytest.fixture
def destination(tmp_path, mlflow_uri) -> Destination:
    return Destination(store=(tmp_path / "store").as_uri(), tracking=mlflow_uri)


@pytest.fixture
def store(destination):
    return open_store(destination.store)


def folders(store, destination, overlays=(), older_than=0.0) -> list[str]:
    return [stray.folder for stray in strays(store, destination, overlays, older_than)]


def test_a_package_that_nothing_refers_to_is_found_and_removed(store, destination, sealed):
    upload(store, sealed)
    (stray,) = strays(store, destination, (), 0.0)
    assert (stray.folder, stray.whole) == (f"tiny/sha256-{sealed.digest}/", True)
    assert stray.size == sum(path.stat().st_size for path in sealed.path.iterdir())
    remove(store, stray)
    assert store.keys("") == []
    assert strays(store, destination, (), 0.0) == []


def test_what_is_registered_or_waits_to_be_is_kept(store, destination, forest_run, tmp_path):
    made = package(forest_run.config, forest_run.splits, forest_run.model, forest_run.evaluation, tmp_path / "package")
    told = (forest_run.config, "run-1", made.path, forest_run.evaluation_path, forest_run.model)
    with pytest.raises(TrackingError):
        publish(*told, Destination(store=destination.store, tracking="http://127.0.0.1:9"))
    assert folders(store, destination) == [], "MLflow does not have it yet"
    ((_, published),) = register(store, destination)
    assert folders(store, destination) == []
    MlflowClient(tracking_uri=destination.tracking).delete_model_version("digits", published.version)
    assert folders(store, destination) == [f"digits/sha256-{made.digest}/"]
    assert register(store, destination) == [], "whoever deleted the version does not want it back"


@pytest.mark.parametrize("form", ["file", "folder"])
def test_what_an_overlay_names_is_kept(store, destination, sealed, tmp_path, form):
    overlay = tmp_path / "overlay"
    overlay.mkdir()
    (overlay / "isvc.yaml").write_text(f"storageUri: s3://models/tiny/sha256-{sealed.digest}/")
    upload(store, sealed)
    assert folders(store, destination, [overlay / "isvc.yaml" if form == "file" else overlay]) == []
    assert len(folders(store, destination)) == 1


def test_what_is_young_may_be_on_its_way(store, destination, sealed):
    place = Path(upload(store, sealed).removeprefix("file://"))
    assert folders(store, destination, older_than=DAY) == []
    for path in place.iterdir():
        os.utime(path, (time.time() - 2 * DAY,) * 2)
    assert len(folders(store, destination, older_than=DAY)) == 1


def test_half_a_package_is_named_as_one(store, destination, sealed):
    place = Path(upload(store, sealed).removeprefix("file://"))
    (place / DESCRIPTOR).unlink()
    assert [stray.whole for stray in strays(store, destination, (), 0.0)] == [False]


def test_a_removal_that_is_cut_short_leaves_nothing_that_looks_like_a_package(destination, sealed, monkeypatch):
    class Dying(FolderStore):
        left = 1

        def remove(self, key: str) -> None:
            if self.left == 0:
                raise KeyboardInterrupt
            self.left -= 1
            super().remove(key)

    store = Dying(Path(destination.store.removeprefix("file://")))
    place = Path(upload(store, sealed).removeprefix("file://"))
    (stray,) = strays(store, destination, (), 0.0)
    with pytest.raises(KeyboardInterrupt):
        remove(store, stray)
    with pytest.raises(PackageError):
        load(place)


def test_nothing_is_found_where_mlflow_can_not_be_asked(store, destination, sealed, tmp_path):
    upload(store, sealed)
    with pytest.raises(TrackingError):
        strays(store, Destination(store=destination.store, tracking="http://127.0.0.1:9"), (), 0.0)
    with pytest.raises(ConfigError, match="names no MLflow"):
        strays(store, Destination(store=destination.store, tracking=None), (), 0.0)
    with pytest.raises(ConfigError, match="nowhere does not exist"):
        strays(store, destination, [tmp_path / "nowhere"], 0.0)


def test_what_is_no_package_is_left_alone(store, destination, tmp_path):
    (tmp_path / "note").write_text("mine")
    for key in ("data/pets/files/sha256-12", "tiny/notes.txt", "tiny/runs/run-1/report.html"):
        store.put(key, tmp_path / "note")
    assert tiny.LABELS
    assert strays(store, destination, (), 0.0) == []


def test_of_trainings_only_what_lies_long_enough_is_given_up(tmp_path):
    checkpoints = open_store((tmp_path / "checkpoints").as_uri())
    for name, age in (("old", 3), ("young", 1)):
        file = tmp_path / "checkpoints" / name / ("b" * 64) / "job" / "job.json"
        file.parent.mkdir(parents=True)
        file.write_text("{}")
        os.utime(file, (time.time() - age * DAY, time.time() - age * DAY))
    (tmp_path / "checkpoints" / "notes.txt").write_text("someone else's")
    (found,) = given_up(checkpoints, 2 * DAY)
    assert (found.folder, found.whole) == (f"old/{'b' * 64}/", True)
    remove(checkpoints, found)
    assert given_up(checkpoints, 2 * DAY) == []
    assert checkpoints.exists("notes.txt")
