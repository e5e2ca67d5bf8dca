"""Keys and signature files are what they must be or are refused, and what stands in a key file is never told."""

import errno
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from modelpackage import (
    SEAL,
    SIGNATURES,
    DescriptorError,
    KeyFileError,
    Package,
    PackageChangedError,
    PackageError,
    new_keys,
    read_keys,
    read_private_key,
    read_signatures,
    render_signatures,
)
from modelpackage.format import MAX_KEY_BYTES, MAX_SIGNATURES
from modelpackage.signing import LINE_BYTES, message

PEM = form.Encoding.PEM
PLAIN = form.NoEncryption()
PKCS8 = form.PrivateFormat.PKCS8
SPKI = form.PublicFormat.SubjectPublicKeyInfo


def others() -> dict[str, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed448.Ed448PrivateKey]:
    return {
        "rsa": rsa.generate_private_key(65537, 2048),
        "ec": ec.generate_private_key(ec.SECP256R1()),
        "ed448": ed448.Ed448PrivateKey.generate(),
    }


def signatures(count: int) -> dict[str, bytes]:
    return {f"{number:016x}": bytes([number]) * 64 for number in range(count)}


def test_new_keys_are_a_pair_that_can_be_read_again(tmp_path: Path):
    made = new_keys(tmp_path / "keys")
    assert read_private_key(tmp_path / "keys" / "private.pem").public == made.public
    assert read_keys(tmp_path / "keys" / "public.pem") == (made.public,)
    assert len(made.public.raw) == 32 and len(made.public.id) == 16
    assert new_keys(tmp_path / "more").public != made.public


def test_only_the_owner_may_read_the_private_key(tmp_path: Path):
    new_keys(tmp_path)
    assert (tmp_path / "private.pem").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["private.pem", "public.pem"])
def test_keys_are_never_overwritten(tmp_path: Path, name: str):
    (tmp_path / name).write_text("mine")
    with pytest.raises(KeyFileError, match=f"{name} exists already"):
        new_keys(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


@pytest.mark.parametrize("place", ["file", "file/keys"])
def test_keys_are_not_made_where_no_folder_can_be(tmp_path: Path, place: str):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(KeyFileError, match=f"can't be written to .*/{place}: that is no folder; choose another folder"):
        new_keys(tmp_path / place)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_that_can_not_be_written_is_refused_with_the_reason():
    with pytest.raises(KeyFileError, match="keys can't be written to /proc/keys of mine: No such file or directory; "):
        new_keys("/proc/keys of mine")


@pytest.mark.parametrize("name", ["private.pem", "public.pem"])
def test_keys_that_a_full_disk_cuts_off_are_gone_and_the_next_try_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
):
    sync = os.fsync

    def full(file: int) -> None:
        if Path(f"/proc/self/fd/{file}").readlink().name == name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(file)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(KeyFileError, match="No space left on device"):
            new_keys(tmp_path)
    assert not list(tmp_path.iterdir())
    made = new_keys(tmp_path)
    assert read_keys(tmp_path / "public.pem") == (made.public,)


def test_a_link_to_nowhere_is_not_written_through(tmp_path: Path):
    (tmp_path / "private.pem").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KeyFileError, match="exists already"):
        new_keys(tmp_path)
    assert not (tmp_path / "elsewhere").exists()


def test_a_key_signs_a_text_in_one_way_and_no_other_text(tmp_path: Path):
    key = new_keys(tmp_path)
    ((name, signature),) = key.sign("text").items()
    assert name == key.public.id and key.sign("text") == {name: signature}
    assert key.public.made(signature, "text")
    assert not key.public.made(signature, "texts")
    assert not new_keys(tmp_path / "other").public.made(signature, "text")


def test_a_signature_of_the_bare_seal_is_none_of_the_package(tmp_path: Path):
    key = ed25519.Ed25519PrivateKey.generate()
    (tmp_path / "key.pem").write_bytes(key.private_bytes(PEM, PKCS8, PLAIN))
    public = read_private_key(tmp_path / "key.pem").public
    assert public.made(key.sign(message("seal")), "seal")
    assert not public.made(key.sign(b"seal"), "seal")


def test_openssl_makes_and_checks_the_same_as_the_page_says(sealed: Package, tmp_path: Path):
    """The recipe of docs/model-package.md, on a program that shares nothing with ours."""
    program = shutil.which("openssl")
    if not program:
        pytest.skip("no openssl")
    private, signed, given = tmp_path / "private.pem", tmp_path / "signed", tmp_path / "signature"
    subprocess.run([program, "genpkey", "-algorithm", "ed25519", "-out", private], check=True)
    signed.write_bytes(b"slipway model package signature 1\n" + (sealed.path / SEAL).read_bytes())
    sign = ["pkeyutl", "-sign", "-inkey", private, "-rawin", "-in", signed, "-out", given]
    subprocess.run([program, *sign], check=True)
    key = read_private_key(private)
    assert sealed.sign(key) == {key.public.id: given.read_bytes()}


@pytest.mark.parametrize("kind", ["rsa", "ec", "ed448"])
def test_keys_of_another_kind_are_refused(tmp_path: Path, kind: str):
    key = others()[kind]
    (tmp_path / "private.pem").write_bytes(key.private_bytes(PEM, PKCS8, PLAIN))
    (tmp_path / "public.pem").write_bytes(key.public_key().public_bytes(PEM, SPKI))
    with pytest.raises(KeyFileError, match=r"private\.pem is no Ed25519 key"):
        read_private_key(tmp_path / "private.pem")
    with pytest.raises(KeyFileError, match=r"public\.pem holds a public key that is no Ed25519 key"):
        read_keys(tmp_path / "public.pem")


def test_an_encrypted_key_is_refused_by_its_name(tmp_path: Path):
    key = ed25519.Ed25519PrivateKey.generate()
    locked = key.private_bytes(PEM, PKCS8, form.BestAvailableEncryption(b"hush"))
    (tmp_path / "key.pem").write_bytes(locked)
    with pytest.raises(KeyFileError, match="encrypted; give the private key without a passphrase"):
        read_private_key(tmp_path / "key.pem")


def test_a_private_key_is_no_public_key_and_the_other_way_round(tmp_path: Path):
    new_keys(tmp_path)
    with pytest.raises(KeyFileError, match="holds a private key; give the public one"):
        read_keys(tmp_path / "private.pem")
    with pytest.raises(KeyFileError, match="holds a private key"):
        read_keys(tmp_path)
    with pytest.raises(KeyFileError, match="is no private key in PEM"):
        read_private_key(tmp_path / "public.pem")


@pytest.mark.parametrize("damage", ["cut", "flipped", "body gone", "noise behind"])
def test_no_message_holds_what_stands_in_a_key_file(tmp_path: Path, damage: str):
    new_keys(tmp_path)
    whole = (tmp_path / "private.pem").read_text()
    head, body, tail = whole.splitlines()
    changed = {
        "cut": whole[:60],
        "flipped": f"{head}\n!{body[1:]}\n{tail}\n",
        "body gone": f"{head}\n{tail}\n",
        "noise behind": f"{body}\n",
    }[damage]
    (tmp_path / "private.pem").write_text(changed)
    for read in (read_private_key, read_keys):
        with pytest.raises(KeyFileError) as caught:
            read(tmp_path / "private.pem")
        told = f"{caught.value}{caught.value.__cause__ or ''}"
        assert "\n" not in told
        assert not any(body[start : start + 8] in told for start in range(len(body) - 8))


def test_a_key_shows_nothing_of_itself(tmp_path: Path):
    key = new_keys(tmp_path)
    raw = key._key.private_bytes_raw()
    assert raw.hex() not in repr(key) and repr(raw) not in repr(key)


def test_a_folder_of_keys_is_read_by_its_pem_files_alone(tmp_path: Path):
    one, two = new_keys(tmp_path / "one").public, new_keys(tmp_path / "two").public
    folder = tmp_path / "trusted"
    folder.mkdir()
    (folder / "a.pem").symlink_to(tmp_path / "one" / "public.pem")  # a mounted ConfigMap has links
    both = b"".join((tmp_path / name / "public.pem").read_bytes() + b"\n" for name in ("two", "one"))
    (folder / "b.pem").write_bytes(both)
    (folder / "README").write_text("about the keys")
    assert read_keys(folder) == (one, two)
    assert read_keys(folder / "b.pem") == (two, one)


def test_what_holds_no_key_is_refused_by_its_name(tmp_path: Path):
    new_keys(tmp_path)
    whole = (tmp_path / "public.pem").read_bytes()
    for content in (b"", b"hello", whole[:-10], b"x" + whole, whole + b"x", whole.replace(b"PUBLIC", b"BAKERY")):
        (tmp_path / "bad.pem").write_bytes(content)
        with pytest.raises(KeyFileError, match=r"bad\.pem holds something else than public keys"):
            read_keys(tmp_path / "bad.pem")
    (tmp_path / "bad.pem").write_bytes(b"\n" * (MAX_KEY_BYTES + 1))
    with pytest.raises(KeyFileError, match=f"more than {MAX_KEY_BYTES} bytes"):
        read_keys(tmp_path / "bad.pem")
    (tmp_path / "empty").mkdir()
    with pytest.raises(KeyFileError, match=r"empty holds no public key: there is no \*\.pem"):
        read_keys(tmp_path / "empty")
    for read in (read_keys, read_private_key):
        with pytest.raises(KeyFileError, match="nowhere is no file"):
            read(tmp_path / "nowhere")


@pytest.mark.parametrize("count", [1, 2, MAX_SIGNATURES])
def test_what_is_rendered_is_read_again(tmp_path: Path, count: int):
    given = signatures(count)
    (tmp_path / SIGNATURES).write_bytes(render_signatures(given))
    assert read_signatures(tmp_path) == given
    assert (tmp_path / SIGNATURES).stat().st_size == count * LINE_BYTES


def test_too_many_signatures_are_neither_written_nor_read(tmp_path: Path):
    with pytest.raises(PackageError, match="9 keys signed the package"):
        render_signatures(signatures(MAX_SIGNATURES + 1))
    last = render_signatures({"f" * 16: bytes(64)})
    (tmp_path / SIGNATURES).write_bytes(render_signatures(signatures(MAX_SIGNATURES)) + last)
    with pytest.raises(DescriptorError, match="is not 1 to 8 lines"):
        read_signatures(tmp_path)


def test_where_nobody_signed_there_are_no_signatures(tmp_path: Path):
    assert read_signatures(tmp_path) == {}


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: b"",
        lambda raw: raw[:-1],
        lambda raw: raw + b"\n",
        lambda raw: b"\n" + raw,
        lambda raw: raw + raw,
        lambda raw: raw[LINE_BYTES:] + raw[:LINE_BYTES],
        lambda raw: raw[:LINE_BYTES] * 2,
        lambda raw: raw.upper(),
        lambda raw: raw.replace(b"\n", b"\r\n"),
        lambda raw: raw.replace(b"\n", b" \n", 1),
        lambda raw: b"\xef\xbb\xbf" + raw,
        lambda raw: raw.replace(b"ed25519", b"ed25518", 1),
        lambda raw: raw * 10**4,
    ],
    ids=[
        "empty", "no last newline", "a newline more", "a newline first", "twice", "another order", "one key twice",
        "capitals", "carriage returns", "a space more", "a byte order mark", "another algorithm", "huge",
    ],
)  # fmt: skip
def test_a_signature_file_has_one_form(tmp_path: Path, change):
    (tmp_path / SIGNATURES).write_bytes(change(render_signatures(signatures(2))))
    with pytest.raises(DescriptorError, match="remove it and sign the package again"):
        read_signatures(tmp_path)


def test_a_signature_file_is_a_file(tmp_path: Path):
    (tmp_path / "elsewhere").write_bytes(render_signatures(signatures(1)))
    (tmp_path / SIGNATURES).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PackageChangedError, match="a link, a folder or a device"):
        read_signatures(tmp_path)


@given(raw=st.binary(max_size=400))
def test_no_other_bytes_are_a_signature_file(tmp_path_factory: pytest.TempPathFactory, raw: bytes):
    folder = tmp_path_factory.getbasetemp()
    (folder / SIGNATURES).write_bytes(raw)
    with pytest.raises(DescriptorError):
        read_signatures(folder)
