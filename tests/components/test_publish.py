"""Publishing is complete or nothing, and repeating it changes nothing."""

import re
import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient
from stages import DIGITS

import modelpackage
from components.config import read_config
from components.destination import Destination
from components.errors import StoreError, TrackingError
from components.evaluate import evaluate
from components.housekeeping import register
from components.package import package
from components.publish import publish, refuse, upload
from components.record import Record
from components.store import Done, FolderStore, open_store
from components.store.contract import quiet


@pytest.fixture(scope="module")
def packaged(forest_run, tmp_path_factory):
    target = tmp_path_factory.mktemp("packaged") / "package"
    return package(forest_run.config, forest_run.splits, forest_run.model, forest_run.evaluation, target)


@pytest.fixture
def tracking(mlflow_uri) -> str:
    return mlflow_uri


@pytest.fixture(params=["folder", "s3"])
def destination(request, tmp_path: Path, tracking: str) -> Destination:
    store = (tmp_path / "store").as_uri() if request.param == "folder" else request.getfixturevalue("bucket")
    return Destination(store=store, tracking=tracking)


def send(run, packaged, destination, name="run-1"):
    return publish(run.config, name, packaged.path, run.evaluation_path, run.model, destination)


def test_a_published_model_can_be_traced_both_ways(forest_run, packaged, destination, tracking):
    published = send(forest_run, packaged, destination)
    client = MlflowClient(tracking_uri=tracking)
    version = client.get_model_version_by_alias("digits", "champion")
    assert version.tags["digest"] == published.digest == packaged.digest
    assert version.tags["storage_uri"] == published.uri
    assert client.get_model_version_by_alias("digits", "challenger").version == version.version
    run = client.get_run(published.run)
    assert run.data.tags["slipway.run"] == "run-1"
    assert run.data.params["train.trees"] == "40"
    assert run.data.metrics["accuracy"] == packaged.descriptor.metrics["accuracy"]
    artifacts = {item.path for item in client.list_artifacts(published.run)}
    assert artifacts == {"evaluation.json", "report.html", "figures", "training.json", "run.json"}
    store = open_store(destination.store)
    kept = {key.removeprefix("digits/runs/run-1/").partition("/")[0] for key in store.keys("digits/runs/")}
    assert kept == artifacts


def test_publishing_twice_changes_nothing(forest_run, packaged, destination, tracking):
    one, two = (send(forest_run, packaged, destination, "run-2") for _ in range(2))
    assert one == two
    store = open_store(destination.store)
    assert len(store.keys(f"digits/sha256-{packaged.digest}/")) == 6
    versions = MlflowClient(tracking_uri=tracking).search_model_versions("name = 'digits'")
    assert [version.source for version in versions].count(one.uri) == 1


@pytest.mark.parametrize("name", [*modelpackage.PARTS, modelpackage.SEAL, modelpackage.DESCRIPTOR])
@pytest.mark.parametrize("damage", ["gone", "changed"])
def test_a_damaged_copy_in_the_store_is_repaired(sealed, tmp_path, name, damage):
    store = FolderStore(tmp_path)
    folder = Path(upload(store, sealed).removeprefix("file://"))
    (folder / name).unlink() if damage == "gone" else (folder / name).write_bytes(b"x")
    with pytest.raises(modelpackage.PackageError):
        modelpackage.load(folder)
    upload(store, sealed)
    assert modelpackage.load(folder).digest == sealed.digest


def test_what_is_no_part_of_a_package_stops_its_publication(sealed, tmp_path):
    store = FolderStore(tmp_path)
    folder = Path(upload(store, sealed).removeprefix("file://"))
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match=r"notes.txt, which is no part of the package; remove it"):
        upload(store, sealed)


class Failing(FolderStore):
    """A real store that fails at the n-th write."""

    def __init__(self, root: Path, fail_at: int) -> None:
        super().__init__(root)
        self.left = fail_at

    def _count(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise StoreError("the store went away")

    def put(self, key: str, path: Path, done: Done = quiet) -> None:
        self._count()
        super().put(key, path, done)

    def create(self, key: str, path: Path, done: Done = quiet) -> bool:
        self._count()
        return super().create(key, path, done)


def test_a_long_upload_tells_how_far_it_is(sealed, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("components.sources.limits.TELL_SECONDS", -1.0)
    upload(FolderStore(tmp_path), sealed)
    assert re.search(r"\[slipway\] model.onnx: \d+.* more are uploaded", capsys.readouterr().out)


@pytest.mark.parametrize("fail_at", range(1, 7))
def test_a_publish_that_fails_anywhere_leaves_no_package_and_a_repeat_completes_it(sealed, tmp_path, fail_at):
    with pytest.raises(StoreError):
        upload(Failing(tmp_path, fail_at), sealed)
    folder = tmp_path / "tiny" / f"sha256-{sealed.digest}"
    with pytest.raises(modelpackage.PackageError):
        modelpackage.load(folder)
    upload(FolderStore(tmp_path), sealed)
    assert modelpackage.load(folder).digest == sealed.digest


def test_a_registry_that_is_down_costs_neither_the_package_nor_more_than_a_minute(forest_run, packaged, tmp_path):
    destination = Destination(store=(tmp_path / "store").as_uri(), tracking="http://127.0.0.1:9")
    with pytest.raises(TrackingError, match="check MLFLOW_TRACKING_URI"):
        send(forest_run, packaged, destination)
    folder = tmp_path / "store" / "digits" / f"sha256-{packaged.digest}"
    assert modelpackage.load(folder).digest == packaged.digest


def test_what_mlflow_missed_is_entered_later_from_the_store_alone(forest_run, packaged, tmp_path, mlflow_uri):
    down = Destination(store=(tmp_path / "store").as_uri(), tracking="http://127.0.0.1:9")
    with pytest.raises(TrackingError, match="nothing is lost, the store has it all; later: slipway register digits$"):
        send(forest_run, packaged, down)
    up = Destination(store=down.store, tracking=mlflow_uri)
    store = open_store(up.store)
    ((run, published),) = register(store, up)
    assert (run, published.digest, published.aliases) == ("run-1", packaged.digest, ("champion", "challenger"))
    assert register(store, up) == []
    run = MlflowClient(tracking_uri=mlflow_uri).get_run(published.run)
    assert run.data.metrics["accuracy"] == packaged.descriptor.metrics["accuracy"]


def test_what_to_do_later_names_the_profile_that_was_used(forest_run, packaged, tmp_path):
    down = Destination(store=(tmp_path / "store").as_uri(), tracking="http://127.0.0.1:9", profile="services")
    with pytest.raises(TrackingError, match="slipway register digits --profile services$"):
        send(forest_run, packaged, down)


def test_without_an_mlflow_everything_is_in_the_store(forest_run, packaged, tmp_path):
    published = send(forest_run, packaged, Destination(store=(tmp_path / "store").as_uri(), tracking=None))
    assert (published.digest, published.version) == (packaged.digest, "")
    note = Record(tmp_path / "store" / "digits" / "runs" / "run-1").note
    assert (note.gate, note.package, note.parameters["train.trees"]) == ("passed", packaged.digest, "40")


def test_a_refused_run_is_kept_without_a_package(forest_run, tmp_path, mlflow_uri):
    destination = Destination(store=(tmp_path / "store").as_uri(), tracking=mlflow_uri)
    config = read_config(DIGITS, ["train.trees=40", "gate.minimum=1"])
    evaluate(config, forest_run.splits, forest_run.model, tmp_path / "evaluation")
    refuse(config, "run-1", tmp_path / "evaluation", forest_run.model, destination)
    assert {key.split("/")[1] for key in open_store(destination.store).keys("")} == {"runs"}
    assert register(open_store(destination.store), destination) == []
    assert MlflowClient(tracking_uri=mlflow_uri).search_registered_models() == []


def test_a_damaged_package_is_not_published(forest_run, packaged, tmp_path, tracking):
    damaged = tmp_path / "package"
    shutil.copytree(packaged.path, damaged)
    (damaged / "card.md").write_text("another card")
    destination = Destination(store=(tmp_path / "store").as_uri(), tracking=tracking)
    with pytest.raises(modelpackage.PackageChangedError, match=r"card\.md"):
        publish(forest_run.config, "run", damaged, forest_run.evaluation_path, forest_run.model, destination)
    assert not (tmp_path / "store").exists()
