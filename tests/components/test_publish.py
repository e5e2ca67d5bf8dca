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
from components.publish import add_signatures, publish, refuse, upload
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
    evaluated = {"evaluation.json", "report.html", "figures"}
    assert artifacts == evaluated | {"training.json", "pace.json", "took.json", "card.md", "run.json"}
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


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    return [modelpackage.new_keys(folder / str(number)) for number in range(2)]


def stored(store, package):
    """Where a package lies in a folder store."""
    return store.root / package.descriptor.name / f"sha256-{package.digest}"


def test_a_run_signs_what_it_publishes_and_says_so(forest_run, packaged, tmp_path, capsys):
    key = modelpackage.new_keys(tmp_path / "keys")
    file = tmp_path / "keys" / "private.pem"
    destination = Destination(store=(tmp_path / "store").as_uri(), tracking=None, signing_key=file)
    one, two = (send(forest_run, packaged, destination) for _ in range(2))
    assert one == two
    folder = tmp_path / "store" / "digits" / f"sha256-{packaged.digest}"
    assert modelpackage.load(folder, digest=packaged.digest, keys=[key.public]).signed_by == (key.public.id,)
    assert f"signed by the key {key.public.id}" in capsys.readouterr().out


def test_a_key_that_can_not_sign_stops_a_publish_before_anything_is_written(forest_run, packaged, tmp_path):
    (tmp_path / "key.pem").write_text("no key")
    store = tmp_path / "store"
    destination = Destination(store=store.as_uri(), tracking=None, signing_key=tmp_path / "key.pem")
    with pytest.raises(modelpackage.KeyFileError, match=r"key\.pem is no private key"):
        send(forest_run, packaged, destination)
    assert not store.exists()


class Watched(FolderStore):
    """A real store that shows each write to a reader who requires a signature, before and after it."""

    def __init__(self, root: Path, see) -> None:
        super().__init__(root)
        self.see = see

    def put(self, key: str, path: Path, done: Done = quiet) -> None:
        super().put(key, path, lambda size: self.see())
        self.see()

    def create(self, key: str, path: Path, done: Done = quiet) -> bool:
        made = super().create(key, path, lambda size: self.see())
        self.see()
        return made


def test_a_reader_who_requires_a_signature_sees_no_package_until_it_is_signed(sealed, tmp_path, keys):
    seen = []

    def see():
        try:
            modelpackage.load(stored(store, sealed), keys=[keys[0].public])
        except modelpackage.PackageError as error:
            seen.append(type(error))
        else:
            seen.append(None)

    store = Watched(tmp_path, see)
    upload(store, sealed, keys[0])
    assert set(seen[:-1]) == {modelpackage.PackageMissingError}
    assert seen[-1] is None


def test_a_package_that_is_read_while_it_is_signed_is_whole_all_the_time(sealed, tmp_path, keys):
    upload(FolderStore(tmp_path), sealed)
    seen = []
    store = Watched(tmp_path, lambda: seen.append(modelpackage.load(stored(store, sealed)).digest))
    for key in (*keys, keys[0]):
        upload(store, sealed, key)
    assert set(seen) == {sealed.digest}
    assert len(modelpackage.read_signatures(stored(store, sealed))) == 2


@pytest.mark.parametrize("fail_at", range(1, 8))
def test_a_signed_publish_that_fails_anywhere_leaves_no_package_and_a_repeat_completes_it(
    sealed, tmp_path, fail_at, keys
):
    with pytest.raises(StoreError):
        upload(Failing(tmp_path, fail_at), sealed, keys[0])
    folder = tmp_path / "tiny" / f"sha256-{sealed.digest}"
    with pytest.raises(modelpackage.PackageMissingError):
        modelpackage.load(folder)
    upload(FolderStore(tmp_path), sealed, keys[0])
    assert modelpackage.load(folder, keys=[keys[0].public]).digest == sealed.digest


@pytest.mark.parametrize("where", ["folder", "s3"])
def test_signatures_add_up_and_are_the_same_when_repeated(sealed, tmp_path, request, keys, where):
    store = open_store((tmp_path / "store").as_uri() if where == "folder" else request.getfixturevalue("bucket"))
    upload(store, sealed)
    folder = f"tiny/sha256-{sealed.digest}/"
    for key in (keys[1], keys[0], keys[1]):
        add_signatures(store, folder, sealed.sign(key))
    once = store.objects(folder)[folder + modelpackage.SIGNATURES]
    upload(store, sealed, keys[1])
    upload(store, sealed)
    assert store.objects(folder)[folder + modelpackage.SIGNATURES] == once, "what is there is not written again"
    store.get(folder + modelpackage.SIGNATURES, tmp_path / modelpackage.SIGNATURES)
    assert modelpackage.read_signatures(tmp_path) == sealed.sign(keys[0]) | sealed.sign(keys[1])


def test_of_two_that_sign_first_at_once_both_get_in(sealed, tmp_path, keys):
    class Late(FolderStore):
        """A real store in which somebody else signed a moment ago."""

        def create(self, key: str, path: Path, done: Done = quiet) -> bool:
            add_signatures(FolderStore(tmp_path), "", sealed.sign(keys[1]))
            return super().create(key, path, done)

    add_signatures(Late(tmp_path), "", sealed.sign(keys[0]))
    assert modelpackage.read_signatures(tmp_path) == sealed.sign(keys[0]) | sealed.sign(keys[1])


def test_damaged_signatures_in_the_store_are_replaced(sealed, tmp_path, keys):
    store = FolderStore(tmp_path)
    upload(store, sealed, keys[0])
    (stored(store, sealed) / modelpackage.SIGNATURES).write_bytes(b"x")
    upload(store, sealed, keys[1])
    assert modelpackage.read_signatures(stored(store, sealed)) == sealed.sign(keys[1])


def test_a_package_brings_the_signatures_that_lie_beside_it(sealed, tmp_path, keys):
    signed = Path(shutil.copytree(sealed.path, tmp_path / "signed"))
    (signed / modelpackage.SIGNATURES).write_bytes(modelpackage.render_signatures(sealed.sign(keys[0])))
    store = FolderStore(tmp_path / "store")
    upload(store, modelpackage.load(signed), keys[1])
    assert modelpackage.read_signatures(stored(store, sealed)) == sealed.sign(keys[0]) | sealed.sign(keys[1])
