"""Versions of data sets: pushed once, found again, whole, and told apart."""

import shutil
import threading
from pathlib import Path

import pytest

from components.errors import DataError, StoreError
from components.store import Store, open_store
from components.versions import Pushed, diff, open_version, pull, push, verify, versions
from components.versions.manifest import Summary, content_key, manifest_key
from components.versions.transfer import describe, scan

FIRST, SECOND = "1" * 64, "2" * 64
PETS = {
    "cat/1.jpg": b"one",
    "cat/2.jpg": b"two",
    "dog/ä ß 猫.jpg": b"three",
    "dog/empty.jpg": b"",
    "dog/twin.jpg": b"one",
}


@pytest.fixture(params=["folder", "s3"])
def store(request, tmp_path: Path) -> Store:
    if request.param == "folder":
        return open_store((tmp_path / "store").as_uri())
    return open_store(f"{request.getfixturevalue('bucket')}/some/prefix")


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    return lay(tmp_path / "pets", PETS)


def lay(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {path: file.read_bytes() for path, file in scan(folder).items()}


def send(store: Store, place: Path, digest: str = FIRST, *, say=lambda _: None, **labels: int) -> Pushed:
    counts = labels or {"cat": 2, "dog": 3}
    summary = Summary(format="pictures", kind="image", rows=sum(counts.values()), labels=counts)
    return push(store, "pets", place, digest=digest, summary=summary, say=say)


class Failing:
    """A store whose line is cut after so many writes; it notes what was written."""

    def __init__(self, store: Store, writes: int) -> None:
        self._store, self.uri, self._left = store, store.uri, writes
        self.exists, self.get, self.keys = store.exists, store.get, store.keys
        self.written: list[str] = []
        self._lock = threading.Lock()

    def _note(self, key: str) -> None:
        with self._lock:
            if len(self.written) == self._left:
                raise StoreError("the line is cut")
            self.written.append(key)

    def put(self, key: str, path: Path) -> None:
        self._note(key)
        self._store.put(key, path)

    def create(self, key: str, path: Path) -> bool:
        self._note(key)
        return self._store.create(key, path)


def test_what_is_pushed_comes_back_byte_for_byte_under_every_name(store, pets, tmp_path):
    pushed = send(store, pets)
    assert pushed.new and pushed.uploaded == 4
    assert content(pull(store, "pets", tmp_path / "back")) == PETS
    assert content(pull(store, f"pets@{FIRST[:6]}", tmp_path / "again")) == PETS
    assert verify(store, "pets") == []


def test_a_single_file_is_a_version_too(store, tmp_path):
    lay(tmp_path, {"rows.csv": b"a,b\n1,x\n"})
    send(store, tmp_path / "rows.csv")
    assert content(pull(store, "pets", tmp_path / "back")) == {"rows.csv": b"a,b\n1,x\n"}


def test_a_second_push_of_the_same_changes_nothing(store, pets, tmp_path):
    send(store, pets)
    before = store.keys(""), versions(store)
    again = send(Failing(store, writes=2), pets)
    assert not again.new and again.uploaded == 0
    assert (store.keys(""), versions(store)) == before


def test_the_manifest_is_a_function_of_the_data(store, pets, tmp_path):
    send(store, pets)
    other = open_store((tmp_path / "other").as_uri())
    send(other, shutil.copytree(pets, tmp_path / "copy"))
    for number, each in enumerate((store, other)):
        each.get(manifest_key("pets", FIRST), tmp_path / f"{number}.json")
    assert (tmp_path / "0.json").read_bytes() == (tmp_path / "1.json").read_bytes()


def test_only_new_contents_are_sent_for_another_version(store, pets, tmp_path):
    send(store, pets)
    (pets / "cat" / "3.jpg").write_bytes(b"four")
    (pets / "cat" / "1.jpg").rename(pets / "dog" / "moved.jpg")
    assert send(store, pets, SECOND).uploaded == 1
    assert content(pull(store, f"pets@{FIRST}", tmp_path / "first")) == PETS
    assert content(pull(store, f"pets@{SECOND}", tmp_path / "second")) == content(pets)


@pytest.mark.parametrize("writes", range(6))
def test_a_push_that_was_cut_is_no_version_and_the_next_sends_only_the_rest(tmp_path, pets, writes):
    store = open_store((tmp_path / "store").as_uri())
    with pytest.raises(StoreError, match="the line is cut"):
        send(Failing(store, writes), pets)
    assert versions(store) == []
    with pytest.raises(StoreError, match="has no data set 'pets'"):
        pull(store, "pets", tmp_path / "back")
    arrived = len(store.keys(content_key("pets", "")))
    assert arrived == min(writes, 4)
    assert send(store, pets).uploaded == 4 - arrived
    assert content(pull(store, "pets", tmp_path / "back")) == PETS


def test_the_manifest_is_written_last(tmp_path, pets):
    store = Failing(open_store((tmp_path / "store").as_uri()), writes=99)
    send(store, pets)
    assert store.written[-1] == manifest_key("pets", FIRST)


def test_a_file_that_changes_meanwhile_makes_no_version(tmp_path, pets):
    real = open_store((tmp_path / "store").as_uri())

    class Meanwhile(Failing):
        def keys(self, prefix: str) -> list[str]:
            (pets / "cat" / "2.jpg").write_bytes(b"another")
            return real.keys(prefix)

    store = Meanwhile(real, writes=99)
    del store.__dict__["keys"]
    with pytest.raises(DataError, match="2.jpg changed while it was pushed"):
        send(store, pets)
    assert versions(real) == []
    assert not any("another" in Path(tmp_path / "store" / key).read_text() for key in real.keys(""))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            lambda pets: (pets / "dog" / "twin.jpg").write_bytes(b"two"),
            "dog/twin.jpg of .* changed while it was pushed",
        ),
        (lambda pets: (pets / "cat" / "1.jpg").unlink(), "cat/1.jpg of .* changed while it was pushed"),
        (lambda pets: (pets / "cat" / "0.jpg").touch(), "cat/0.jpg of .* changed while it was pushed"),
    ],
)
def test_files_that_are_others_than_those_the_digest_was_computed_of_are_refused(store, pets, change, told):
    seen = describe(scan(pets))
    change(pets)
    summary = Summary(format="pictures", kind="image", rows=0, labels={})
    with pytest.raises(DataError, match=told):
        push(store, "pets", pets, digest=FIRST, summary=summary, seen=seen)
    assert store.keys("") == []


def test_of_two_pushes_at_once_one_makes_the_version_and_both_end_well(store, pets, tmp_path):
    results = []
    threads = [threading.Thread(target=lambda: results.append(send(store, pets).new)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert sorted(results) == [False, True]
    assert len(versions(store)) == 1
    assert verify(store, "pets") == []
    assert content(pull(store, "pets", tmp_path / "back")) == PETS


def test_the_same_rows_from_other_files_leave_the_version_as_it_is(store, pets, tmp_path):
    send(store, pets)
    lines = []
    (pets / "notes.txt").write_text("about the pets")
    assert not send(store, pets, say=lines.append).new
    assert lines == [f"pets@{FIRST[:12]} is there already: the same rows, from other files; it stays as it is"]
    assert content(pull(store, "pets", tmp_path / "back")) == PETS


def test_versions_are_listed_by_name_the_newest_last(store, pets):
    assert versions(store) == []
    send(store, pets, SECOND)
    send(store, pets, FIRST)
    push(store, "cars", pets, digest=FIRST, summary=Summary(format="idx", kind="image", rows=0, labels={}))
    found = [(version.manifest.name, version.manifest.digest) for version in versions(store)]
    assert found == [("cars", FIRST), ("pets", SECOND), ("pets", FIRST)]
    assert [version.manifest.name for version in versions(store, "cars")] == ["cars"]
    assert versions(store)[0].manifest.bytes == sum(map(len, PETS.values()))
    with pytest.raises(StoreError, match="can't name a data set"):
        versions(store, "../x")


@pytest.fixture
def damaged(store: Store, pets: Path, tmp_path: Path) -> Store:
    """A store whose content of cat/2.jpg, three bytes long, is another of three bytes."""
    entries = send(store, pets).manifest.files
    lay(tmp_path, {"other": b"TWO"})
    store.put(
        content_key("pets", next(entry.sha256 for entry in entries if entry.path == "cat/2.jpg")), tmp_path / "other"
    )
    return store


def test_verify_names_every_path_of_a_changed_content(damaged):
    problems = verify(damaged, "pets")
    assert len(problems) == 1
    assert problems[0].startswith("changed: cat/2.jpg: datasets/pets/files/")


def test_a_changed_content_is_never_pulled(damaged, tmp_path):
    with pytest.raises(StoreError, match="cat/2.jpg of pets@111111111111 .* is damaged"):
        pull(damaged, "pets", tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_a_missing_content_is_named_under_each_of_its_paths_and_comes_back_by_pushing_again(tmp_path, pets):
    store = open_store((tmp_path / "store").as_uri())
    entry = send(store, pets).manifest.files[0]
    (tmp_path / "store" / content_key("pets", entry.sha256)).unlink()
    assert [problem.split(" (")[0] for problem in verify(store, "pets")] == [
        "missing: cat/1.jpg",
        "missing: dog/twin.jpg",
    ]
    with pytest.raises(StoreError, match="there is no datasets/pets/files/"):
        pull(store, "pets", tmp_path / "back")
    mended = send(store, pets)
    assert mended.uploaded == 1 and not mended.new
    assert verify(store, "pets") == []


@pytest.mark.parametrize("evil", ["../../evil", "/tmp/evil", "cat/../../../evil"])
def test_a_manifest_with_a_way_out_of_the_folder_is_refused(store, pets, tmp_path, evil):
    send(store, pets)
    store.get(manifest_key("pets", FIRST), tmp_path / "manifest")
    changed = (tmp_path / "manifest").read_text().replace("cat/1.jpg", evil)
    (tmp_path / "manifest").write_text(changed)
    store.put(manifest_key("pets", FIRST), tmp_path / "manifest")
    for action in (
        lambda: pull(store, "pets", tmp_path / "deep" / "back"),
        lambda: open_version(store, "pets", tmp_path / "cache"),
        lambda: verify(store, "pets"),
    ):
        with pytest.raises(StoreError, match="leaves the folder"):
            action()
    assert not list(tmp_path.rglob("evil"))


def test_a_cached_version_is_used_while_it_is_whole_and_brought_again_when_it_is_not(store, pets, tmp_path):
    send(store, pets)
    folder = open_version(store, f"data://pets@{FIRST}", tmp_path / "cache")
    assert folder == tmp_path / "cache" / f"pets-{FIRST[:12]}"
    made = folder.stat().st_ino
    assert open_version(store, "pets", tmp_path / "cache").stat().st_ino == made
    (folder / "cat" / "1.jpg").write_bytes(b"ONE")
    lines = []
    assert content(open_version(store, "pets", tmp_path / "cache", say=lines.append)) == PETS
    assert "cat/1.jpg is another; it is brought again" in lines[0]


def test_diff_names_files_and_counts_them_by_folder_and_rows_by_class(store, pets):
    send(store, pets)
    (pets / "cat" / "1.jpg").unlink()
    (pets / "cat" / "2.jpg").write_bytes(b"TWO")
    lay(pets, {"owl/1.jpg": b"hoot", "top.txt": b""})
    send(store, pets, SECOND, cat=1, dog=3, owl=1)
    found = diff(store, f"pets@{FIRST}", "pets")
    assert (found.added, found.removed, found.changed) == (("owl/1.jpg", "top.txt"), ("cat/1.jpg",), ("cat/2.jpg",))
    assert found.folders() == {".": (1, 0, 0), "cat": (0, 1, 1), "owl": (1, 0, 0)}
    assert found.labels == {"cat": (2, 1), "owl": (0, 1)}
    same = diff(store, "pets", "pets")
    assert (same.added, same.removed, same.changed, same.folders(), same.labels) == ((), (), (), {}, {})


@pytest.mark.parametrize("name", ["Pets", "pets/../x", ""])
def test_a_name_that_is_no_dns_label_is_refused_before_anything_is_stored(store, pets, name):
    with pytest.raises(StoreError, match="can't name a data set"):
        push(store, name, pets, digest=FIRST, summary=Summary(format="idx", kind="image", rows=0, labels={}))
    assert store.keys("") == []
