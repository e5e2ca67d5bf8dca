"""Making keys, signing and checking on the command line: one line for a mistake, and no word of what is in a key."""

import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

import pytest

from components.publish import upload
from components.store import FolderStore, open_store
from modelpackage import SIGNATURES, UnsignedError, load, new_keys, read_keys
from pipelines.cli import main


@dataclass(frozen=True)
class Told:
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str


@pytest.fixture
def told(capsys, monkeypatch):
    """Runs a command in this process."""

    def run(*arguments: object, **environment: str) -> Told:
        monkeypatch.delenv("SLIPWAY_SIGNING_KEY", raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return Told(code, said.out, said.err)

    return run


@pytest.fixture
def copy(sealed, place: Path) -> Path:
    return Path(shutil.copytree(sealed.path, place))


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    new_keys(tmp_path / "keys")
    return tmp_path / "keys"


def mistake(done: Told, words: str) -> None:
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("slipway: ") and done.err.count("\n") == 1
    assert words in done.err


def test_keys_in_a_place_that_is_no_folder_are_a_mistake_in_one_line(told, tmp_path):
    (tmp_path / "file").touch()
    mistake(told("sign", "--new-key", tmp_path / "file" / "keys"), "that is no folder; choose another folder")


def test_a_new_key_signs_a_package_that_its_public_part_checks(told, copy, tmp_path):
    made = told("sign", "--new-key", tmp_path / "keys")
    assert made.code == 0, made.err
    assert stat.S_IMODE((tmp_path / "keys" / "private.pem").stat().st_mode) == 0o600
    (key,) = read_keys(tmp_path / "keys" / "public.pem")
    assert f"key       {key.id}\n" in made.out
    mistake(told("verify", copy, "--public-keys", tmp_path / "keys" / "public.pem"), "is not signed")
    signed = told("sign", copy, "--key", tmp_path / "keys" / "private.pem")
    assert signed.code == 0, signed.err
    assert signed.out.endswith(f"key       {key.id}\n")
    checked = told("verify", copy, "--public-keys", tmp_path / "keys" / "public.pem")
    assert checked.code == 0, checked.err
    assert checked.out.startswith(f"{copy} is whole and unchanged, signed by {key.id}\n")
    assert told("verify", copy).out.startswith(f"{copy} is whole and unchanged\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["keys", "package"]


def test_keys_are_not_made_twice_in_one_place(told, keys):
    before = (keys / "private.pem").read_bytes()
    mistake(told("sign", "--new-key", keys), "keys are never overwritten")
    assert (keys / "private.pem").read_bytes() == before


def test_the_key_may_be_named_by_the_environment(told, copy, keys):
    assert told("sign", copy, SLIPWAY_SIGNING_KEY=str(keys / "private.pem")).code == 0
    assert load(copy, keys=read_keys(keys / "public.pem")).signed_by


@pytest.mark.parametrize("where", ["folder", "s3"])
def test_what_is_published_already_is_signed_in_its_place(told, sealed, tmp_path, keys, request, where):
    root = (tmp_path / "store").as_uri() if where == "folder" else request.getfixturevalue("bucket")
    uri = upload(open_store(root), sealed)
    mistake(told("verify", uri, "--public-keys", keys / "public.pem"), "is not signed")
    assert told("sign", uri, "--key", keys / "private.pem").code == 0
    (once,) = (found for key, found in open_store(root).objects("").items() if key.endswith(SIGNATURES))
    assert told("sign", uri, "--key", keys / "private.pem").code == 0
    assert once in open_store(root).objects("").values()
    assert told("verify", uri, "--public-keys", keys / "public.pem").code == 0
    new_keys(tmp_path / "next")
    assert told("sign", uri, "--key", tmp_path / "next" / "private.pem").code == 0
    for folder in (keys, tmp_path / "next"):
        assert told("verify", uri, "--public-keys", folder / "public.pem").code == 0
    assert len(open_store(root).keys("")) == 7


def test_a_package_is_signed_through_a_link_and_a_relative_path(told, copy, tmp_path, keys, monkeypatch):
    (tmp_path / "link").symlink_to(copy)
    monkeypatch.chdir(tmp_path)
    assert told("sign", "link", "--key", "keys/private.pem").code == 0
    assert load(copy, keys=read_keys(keys / "public.pem")).signed_by
    assert (tmp_path / "link").is_symlink()


def test_a_damaged_package_is_not_signed(told, copy, keys):
    (copy / "card.md").write_text("another card")
    mistake(told("sign", copy, "--key", keys / "private.pem"), "changed: card.md")
    assert not (copy / SIGNATURES).exists()


def test_mistakes_are_told_in_one_line(told, copy, keys, tmp_path):
    mistake(told("sign"), "sign takes a package with --key FILE, or --new-key FOLDER alone")
    mistake(told("sign", copy, "--new-key", tmp_path / "new"), "sign takes a package")
    mistake(told("sign", "--new-key", tmp_path / "new", "--key", keys / "private.pem"), "sign takes a package")
    mistake(told("sign", copy), "give --key FILE, or set SLIPWAY_SIGNING_KEY to its path")
    mistake(told("sign", copy, "--key", keys / "public.pem"), "is no private key in PEM")
    mistake(told("sign", copy, "--key", tmp_path / "nowhere"), "nowhere is no file; give a key in PEM")
    mistake(told("sign", tmp_path / "nowhere", "--key", keys / "private.pem"), "nowhere does not exist")
    mistake(told("verify", copy, "--public-keys", keys), "holds a private key; give the public one")
    mistake(told("verify", copy, "--public-keys", tmp_path), "there is no *.pem in it")
    assert not (tmp_path / "new").exists()


def test_a_key_that_can_not_sign_stops_a_run_before_it_starts(told, tmp_path):
    (tmp_path / "key.pem").write_text("hush")
    done = told("run", "configs/digits.yaml", SLIPWAY_SIGNING_KEY=str(tmp_path / "key.pem"), SLIPWAY_HOME=str(tmp_path))
    mistake(done, "key.pem is no private key in PEM")
    assert "hush" not in done.err
    assert not (tmp_path / "runs").exists()


def test_a_run_signs_what_it_publishes(slipway, passed, keys, tmp_path):
    own = {"SLIPWAY_STORE": (tmp_path / "store").as_uri(), "MLFLOW_TRACKING_URI": "none"}
    relative = os.path.relpath(keys / "private.pem", next(passed.home.parent.glob("a user's project*")))
    done = slipway("run", "configs/digits.yaml", "--set", "train.trees=40", **own, SLIPWAY_SIGNING_KEY=relative)
    assert done.code == 0, done.out + done.err
    (descriptor,) = (tmp_path / "store" / "digits").glob("sha256-*/model.json")
    trusted = read_keys(keys / "public.pem")
    assert load(descriptor.parent, keys=trusted).signed_by == (trusted[0].id,)
    unsigned = next((passed.home / "store" / "digits").glob("sha256-*"))
    assert unsigned.name == descriptor.parent.name, "the digest does not know of the signature"
    with pytest.raises(UnsignedError):
        load(unsigned, keys=trusted)


def test_cleaning_up_removes_the_signature_with_its_package(sealed, tmp_path, keys):
    from components.housekeeping import Stray, remove
    from modelpackage import read_private_key

    store = FolderStore(tmp_path / "store")
    upload(store, sealed, read_private_key(keys / "private.pem"))
    remove(store, Stray(folder=f"tiny/sha256-{sealed.digest}/", size=0, age=0.0, whole=True))
    assert store.keys("") == []
