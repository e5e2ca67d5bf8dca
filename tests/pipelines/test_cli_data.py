"""``slipway data``: what a person types and reads; exit code 1 where a version is damaged, 2 for a mistake."""

import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from components.config import Data
from components.ingest import READERS, ingest
from components.snapshot import Snapshot
from components.store import Store, open_store
from components.versions import push
from components.versions.manifest import Summary, content_key
from pipelines.cli import main

A, B = "a" * 64, "b" * 64
FLOWERS = "petals,colour,kind\n" + "".join(
    f"{n},{'red' if n % 2 else 'blue'},{'rose' if n % 3 else 'iris'}\n" for n in range(30)
)

Slipway = Callable[..., tuple[int, str, str]]


@pytest.fixture
def home(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("SLIPWAY_HOME", str(tmp_path / "home"))
    for name in ("SLIPWAY_STORE", "SLIPWAY_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.fixture
def slipway(home: Path, capsys) -> Iterator[Slipway]:
    """Runs ``slipway data ...`` in this process."""
    handler = signal.getsignal(signal.SIGTERM)

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(["data", *arguments])
        told = capsys.readouterr()
        return code, told.out, told.err

    yield run
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture
def store(home: Path) -> Store:
    return open_store((home / "store").as_uri())


@pytest.fixture
def pets(store: Store, tmp_path: Path) -> Store:
    """A store with two versions of pets."""
    for name in ("cat/1", "cat/2", "dog/1"):
        (tmp_path / "pets" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pets" / name).write_text(name)
    made(store, tmp_path / "pets", A, cat=2, dog=1)
    (tmp_path / "pets" / "dog" / "2").write_text("new")
    (tmp_path / "pets" / "cat" / "1").unlink()
    (tmp_path / "pets" / "cat" / "2").write_text("another")
    made(store, tmp_path / "pets", B, cat=1, dog=2)
    return store


def made(store: Store, place: Path, digest: str, **labels: int) -> None:
    summary = Summary(format="pictures", kind="image", rows=sum(labels.values()), labels=labels)
    push(store, "pets", place, digest=digest, summary=summary, say=lambda _: None)


@pytest.fixture
def flowers(tmp_path: Path) -> Path:
    (tmp_path / "flowers.csv").write_text(FLOWERS)
    return tmp_path / "flowers.csv"


def test_a_pushed_table_has_the_digest_that_a_run_computes(slipway, flowers, store, tmp_path):
    code, out, err = slipway("push", "flowers.csv", "flowers", "--label", "kind")
    assert (code, err) == (0, "")
    digest = ingest(Data(source=str(flowers), label="kind"), tmp_path / "scratch", tmp_path / "cache").digest()
    assert out.splitlines() == [
        f"pushed    flowers@{digest[:12]}: 30 rows, 1 file, {len(FLOWERS)} B",
        f"use it    data.source=data://flowers@{digest}",
    ]
    assert slipway("pull", "flowers", "back")[0] == 0
    assert (tmp_path / "back" / "flowers.csv").read_text() == FLOWERS
    pulled = ingest(Data(source=str(tmp_path / "back"), label="kind"), tmp_path / "scratch", tmp_path / "cache")
    assert pulled.digest() == digest


def test_a_second_push_says_that_nothing_changed_and_a_later_one_what_was_mended(slipway, flowers, store, home):
    slipway("push", "flowers.csv", "flowers", "--label", "kind")
    assert slipway("push", "flowers.csv", "flowers", "--label", "kind")[1].startswith("unchanged flowers@")
    (home / "store" / store.keys(content_key("flowers", ""))[0]).unlink()
    code, out, _ = slipway("push", "flowers.csv", "flowers", "--label", "kind")
    assert code == 0
    assert re.match(r"mended    flowers@\w{12}: 1 file came back", out)
    assert slipway("verify", "flowers")[0] == 0


def test_what_the_rows_lack_is_told_and_does_not_stop_the_push(slipway, flowers):
    flowers.write_text(FLOWERS + "1,red,\n" * 5)
    code, out, _ = slipway("push", "flowers.csv", "flowers", "--label", "kind")
    assert code == 0
    assert out.startswith("warning   5 of 35 rows have no 'kind'")
    assert ": 30 rows," in out


def test_a_file_that_changes_after_its_rows_were_read_makes_no_version(slipway, flowers, store, monkeypatch):
    real = READERS["csv"]

    def read(place: Path, data: Data, scratch: Path) -> Snapshot:
        snapshot = real(place, data, scratch)
        flowers.write_text(FLOWERS + "1,red,rose\n")
        return snapshot

    monkeypatch.setitem(READERS, "csv", read)
    code, _, err = slipway("push", "flowers.csv", "flowers", "--label", "kind")
    assert code == 2
    assert "flowers.csv changed while it was pushed" in err
    assert store.keys("") == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ("push", "flowers.csv", "flowers"),
            "is a table, of which the version covers the label; --label one of petals, colour, kind",
        ),
        (("push", "flowers.csv", "flowers", "--label", "size"), "names 'size'"),
        (("push", "flowers.csv", "My_Flowers", "--label", "kind"), "'My_Flowers' can't name a data set"),
        (("push", "builtin://digits", "digits"), "comes with Slipway and needs no push"),
        (("push", "nowhere.csv", "flowers", "--label", "kind"), "nowhere.csv"),
        (("push", "pets", "pets", "--label", "kind"), "--label=kind is a column of a table"),
        (("pull", "cars"), "has no data set 'cars'; it has pets"),
        (("pull", "pets@12"), "6 to 64 of the digits"),
        (("verify", "pets@123456"), "has no pets@123456; choose one of"),
        (("pull", "pets", "flowers.csv"), "flowers.csv is a file or a link"),
        (("list", "--store", "gs://x"), "use file:///absolute/path or s3://bucket/prefix"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_two(slipway, pets, flowers, arguments, told):
    code, _, err = slipway(*arguments)
    assert code == 2
    assert told in err
    assert err.startswith("slipway: ") and err.count("\n") == 1


def test_list_is_a_table_with_the_newest_last(slipway, pets):
    code, out, _ = slipway("list")
    lines = out.splitlines()
    assert code == 0
    assert lines[0].split() == ["VERSION", "PUSHED", "(UTC)", "ROWS", "FILES", "SIZE", "CLASSES"]
    assert [line.split()[0] for line in lines[1:]] == ["pets@aaaaaaaaaaaa", "pets@bbbbbbbbbbbb"]
    assert lines[1].endswith("cat 2, dog 1")
    assert slipway("list", "pets")[1] == out


def test_many_classes_are_counted_instead_of_named(slipway, store, tmp_path, flowers):
    made(store, flowers, A, **{f"class{number}": number for number in range(1, 11)})
    assert slipway("list")[1].splitlines()[1].endswith("10 classes, 1 to 10 rows")


def test_an_empty_list_says_how_a_version_comes_about(slipway, home):
    code, out, _ = slipway("list", "pets")
    assert (code, out) == (0, f"no versions of pets in {(home / 'store').as_uri()}; slipway data push makes one\n")


def test_pull_makes_a_folder_of_the_data_sets_name_unless_told_otherwise(slipway, pets, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    code, out, _ = slipway("pull", "pets@aaaaaa")
    assert (code, out) == (0, f"pets@aaaaaaaaaaaa is whole in {tmp_path / 'elsewhere' / 'pets'}\n")
    assert (tmp_path / "elsewhere" / "pets" / "cat" / "1").read_text() == "cat/1"


def test_verify_ends_with_one_where_a_file_is_damaged_and_names_it(slipway, pets, home):
    assert slipway("verify", "pets")[:2] == (0, "pets@bbbbbbbbbbbb: 3 files, whole and unchanged\n")
    for key in pets.keys(content_key("pets", "")):
        if (home / "store" / key).read_text() == "new":
            (home / "store" / key).write_text("NEW")
    code, out, _ = slipway("verify", "pets")
    assert code == 1
    assert out.startswith("changed: dog/2: ")
    assert out.endswith("pets@bbbbbbbbbbbb: 3 files, 1 damaged\n")
    assert slipway("verify", "pets@aaaaaa")[0] == 0


def test_diff_names_files_folders_and_classes(slipway, pets):
    code, out, _ = slipway("diff", "pets@aaaaaa", "pets@bbbbbb")
    assert code == 0
    assert out.splitlines() == [
        "- cat/1",
        "~ cat/2",
        "+ dog/2",
        "files in cat: 0 added, 1 removed, 1 changed",
        "files in dog: 1 added, 0 removed, 0 changed",
        "rows of cat: 2 before, 1 after",
        "rows of dog: 1 before, 2 after",
    ]
    assert slipway("diff", "pets", "pets")[1] == "the same files\n"


def test_diff_stops_naming_where_nobody_reads_on(slipway, store, tmp_path):
    for number in range(30):
        (tmp_path / "pets" / "cat").mkdir(parents=True, exist_ok=True)
        (tmp_path / "pets" / "cat" / f"{number}").write_text(str(number))
        if number in (0, 29):
            made(store, tmp_path / "pets", (A, B)[number > 0], cat=number + 1)
    lines = slipway("diff", "pets@aaaaaa", "pets")[1].splitlines()
    assert lines[20:] == [
        "  and 9 more files",
        "files in cat: 29 added, 0 removed, 0 changed",
        "rows of cat: 1 before, 30 after",
    ]


def test_the_store_is_the_one_that_is_named_then_the_environments_then_the_homes(slipway, pets, tmp_path, monkeypatch):
    monkeypatch.setenv("SLIPWAY_STORE", (tmp_path / "other").as_uri())
    assert slipway("list")[1].startswith("no versions in file:")
    assert "pets@" in slipway("list", "--store", pets.uri)[1]
