"""Nothing but the sealed bytes loads, and a refusal says what is wrong."""

import hashlib
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tiny
import tiny_table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelpackage import (
    DESCRIPTOR,
    PARTS,
    SEAL,
    SIGNATURES,
    DescriptorError,
    FormatError,
    Golden,
    Package,
    PackageChangedError,
    PackageError,
    PackageMissingError,
    PrivateKey,
    UnsignedError,
    UntrustedError,
    canonical_json,
    load,
    new_keys,
    render_signatures,
)
from modelpackage.format import MAX_DESCRIPTOR_BYTES
from modelpackage.load import seal_text

ROOT = Path(__file__).parents[2]
FUZZER = ROOT / "hack" / "fuzz-package"
ALL = (DESCRIPTOR, SEAL, *PARTS)
FORMATS = {
    1: "5a70b516f9e9a3ba94ba953c6e6206f596af518dfa55d629e320ca2dd4808281",
    2: "a5aa6d7361ce0bcda4e30873b8d91645246c359dcf4ee2edfd304ed1675abbb4",
}


@pytest.fixture
def copy(sealed: Package, place: Path) -> Path:
    """A package that the test may damage."""
    return Path(shutil.copytree(sealed.path, place))


def reseal(package: Path, raw: bytes) -> None:
    """Replace model.json as someone would who knows the format."""
    (package / DESCRIPTOR).write_bytes(raw)
    (package / SEAL).write_text(seal_text(hashlib.sha256(raw).hexdigest()))


def replace(package: Path, name: str, content: bytes) -> None:
    """Replace a file as another writer may have written it: listed with its digest, under a fitting seal."""
    (package / name).write_bytes(content)
    model = json.loads((package / DESCRIPTOR).read_bytes())
    model["files"][name] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    reseal(package, canonical_json(model))


def refusal(package: Path, **expected: object) -> PackageError:
    with pytest.raises(PackageError) as caught:
        load(package, **expected)
    assert str(package) in str(caught.value) or "model.json" in str(caught.value)
    return caught.value


@pytest.mark.parametrize(("number", "digest"), FORMATS.items())
def test_a_package_of_every_past_format_loads_for_ever(number: int, digest: str):
    """Each was written once, by ``tiny.seal`` and ``tiny_table.seal``, and is never written anew."""
    package = load(Path(__file__).parent / "formats" / str(number), digest=digest)
    assert package.digest == digest
    assert package.descriptor.format == number
    assert {len(array) for array in package.golden().inputs.values()} == {package.reference().rows}
    assert len(package.graph()) == package.descriptor.files["model.onnx"].size


def test_every_past_format_is_kept():
    kept = {path.name for path in (Path(__file__).parent / "formats").iterdir() if path.is_dir()}
    assert kept == {str(number) for number in FORMATS}


def test_a_package_loads_wherever_it_is_copied(sealed: Package, copy: Path):
    assert load(str(copy)).digest == load(copy, digest=sealed.digest).digest == sealed.digest
    assert sealed.digest == hashlib.sha256((copy / DESCRIPTOR).read_bytes()).hexdigest()


def test_another_digest_than_the_expected_is_refused_with_both(sealed: Package):
    error = refusal(sealed.path, digest="f" * 64)
    assert isinstance(error, PackageChangedError)
    assert error.changed == {DESCRIPTOR: ("f" * 64, sealed.digest)}
    assert "f" * 64 in str(error) and sealed.digest in str(error)


def test_no_flipped_byte_loads(sealed: Package):
    count, loaded = runpy.run_path(str(FUZZER))["fuzz"](sealed.path, flips=2000)
    assert count == (sealed.path / DESCRIPTOR).stat().st_size + 2000
    assert loaded == []


def test_the_fuzzer_tells_how_many_it_tried(sealed: Package):
    command = [sys.executable, FUZZER, sealed.path, "50"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    count = (sealed.path / DESCRIPTOR).stat().st_size + 50
    assert (run.returncode, run.stdout) == (0, f"{count} mutations, 0 loaded\n"), run.stderr


def test_the_fuzzer_notices_a_reader_that_checks_nothing(sealed: Package, capsys: pytest.CaptureFixture[str]):
    main = runpy.run_path(str(FUZZER))["main"]
    main.__globals__["load"] = lambda package: package
    assert main(sealed.path, "50") == 1
    count = (sealed.path / DESCRIPTOR).stat().st_size + 50
    assert capsys.readouterr().out.startswith(f"{count} mutations, {count} loaded\nmodel.json byte 0 xor 0x")


def test_the_fuzzer_leaves_the_package_as_it_is(sealed: Package):
    before = {path.name: path.read_bytes() for path in sealed.path.iterdir()}
    runpy.run_path(str(FUZZER))["fuzz"](sealed.path, flips=10)
    assert {path.name: path.read_bytes() for path in sealed.path.iterdir()} == before


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("keep", [0, 1, -1], ids=["empty", "one byte", "all but one byte"])
def test_no_truncated_file_loads(copy: Path, name: str, keep: int):
    path = copy / name
    path.write_bytes(path.read_bytes()[:keep])
    refusal(copy)


@pytest.mark.parametrize("name", ALL)
def test_no_longer_file_loads(copy: Path, name: str):
    with (copy / name).open("ab") as file:
        file.write(b"\n")
    refusal(copy)


@pytest.mark.parametrize("name", ALL)
def test_no_package_loads_without_one_of_its_files(copy: Path, name: str):
    (copy / name).unlink()
    error = refusal(copy)
    if name == DESCRIPTOR:
        assert isinstance(error, PackageMissingError)
    else:
        assert isinstance(error, PackageChangedError)
        assert (error.missing, error.extra, error.changed) == ((name,), (), {})
        assert f"missing: {name}" in str(error)


@pytest.mark.parametrize("name", ["notes.txt", ".hidden", "model.onnx.data", "MODEL.ONNX"])
def test_no_package_loads_with_a_file_more(copy: Path, name: str):
    (copy / name).touch()
    error = refusal(copy)
    assert isinstance(error, PackageChangedError)
    assert (error.missing, error.extra, error.changed) == ((), (name,), {})
    assert f"not part of it: {name}" in str(error)


@pytest.mark.parametrize("name", PARTS)
def test_a_changed_file_is_named_with_both_digests(sealed: Package, copy: Path, name: str):
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    error = refusal(copy)
    assert isinstance(error, PackageChangedError)
    assert (error.missing, error.extra, set(error.changed)) == ((), (), {name})
    assert sealed.descriptor.files[name].sha256 in error.changed[name][0]
    assert hashlib.sha256(content).hexdigest() in error.changed[name][1]
    assert all(digest in str(error) for digest in error.changed[name])


def test_missing_extra_and_changed_are_told_in_one_error(copy: Path):
    (copy / "card.md").unlink()
    (copy / "notes.txt").touch()
    (copy / "model.onnx").write_bytes(b"another graph")
    error = refusal(copy)
    assert isinstance(error, PackageChangedError)
    assert (error.missing, error.extra, set(error.changed)) == (("card.md",), ("notes.txt",), {"model.onnx"})


@pytest.mark.parametrize("name", ALL)
def test_a_link_in_place_of_a_file_is_refused(copy: Path, tmp_path: Path, name: str):
    (copy / name).rename(tmp_path / name)
    (copy / name).symlink_to(tmp_path / name)
    refusal(copy)


@pytest.mark.parametrize("name", ALL)
def test_a_folder_in_place_of_a_file_is_refused(copy: Path, name: str):
    (copy / name).unlink()
    (copy / name).mkdir()
    refusal(copy)


@pytest.mark.parametrize("name", ALL)
def test_a_pipe_in_place_of_a_file_is_refused_without_waiting_for_it(copy: Path, name: str):
    (copy / name).unlink()
    os.mkfifo(copy / name)
    refusal(copy)


def test_what_is_no_package_is_missing(tmp_path: Path):
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file", tmp_path / "nothing"):
        assert isinstance(refusal(path), PackageMissingError)


@pytest.mark.parametrize(
    "seal",
    [
        "{digest}  model.json",
        "{digest} *model.json\n",
        "{DIGEST}  model.json\n",
        "{digest}  other.json\n",
        "",
        "x" * 10**6,
    ],
    ids=["no newline", "binary mark", "capitals", "another file", "empty", "long"],
)
def test_a_seal_of_another_form_is_refused(sealed: Package, copy: Path, seal: str):
    (copy / SEAL).write_text(seal.format(digest=sealed.digest, DIGEST=sealed.digest.upper()))
    assert isinstance(refusal(copy), DescriptorError | PackageChangedError)


def test_a_changed_descriptor_is_told_with_both_digests(sealed: Package, copy: Path):
    raw = (copy / DESCRIPTOR).read_bytes().replace(b"tiny", b"tine")
    (copy / DESCRIPTOR).write_bytes(raw)
    error = refusal(copy)
    assert isinstance(error, PackageChangedError)
    assert error.changed == {DESCRIPTOR: (sealed.digest, hashlib.sha256(raw).hexdigest())}


def test_whoever_seals_anew_can_not_keep_the_digest(sealed: Package, copy: Path):
    reseal(copy, (copy / DESCRIPTOR).read_bytes().replace(b'"tiny"', b'"tine"'))
    assert load(copy).digest != sealed.digest
    assert isinstance(refusal(copy, digest=sealed.digest), PackageChangedError)


def test_another_format_is_told_by_its_number(copy: Path):
    reseal(copy, b'{"format": 3, "anything": "else"}\n')
    error = refusal(copy)
    assert isinstance(error, FormatError)
    assert re.search(r"format 3\b.*\b1 and 2\b", str(error))


def test_a_descriptor_over_the_limit_is_refused(copy: Path):
    reseal(copy, b" " * 10 * 1024 * 1024)
    error = refusal(copy)
    assert isinstance(error, DescriptorError)
    assert str(MAX_DESCRIPTOR_BYTES) in str(error)


@given(raw=st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_sealed_descriptor_of_any_bytes_is_refused_with_a_package_error(copy: Path, raw: bytes):
    reseal(copy, raw)
    refusal(copy)


def test_golden_examples_of_another_signature_are_refused_when_they_are_read(copy: Path):
    other = Golden(inputs={"image": tiny.rows()}, outputs={})
    replace(copy, "golden.npz", other.render())
    with pytest.raises(DescriptorError, match=r"golden\.npz holds the outputs"):
        load(copy).golden()


def test_a_reference_of_other_labels_is_refused_when_it_is_read(sealed: Package, copy: Path):
    other = sealed.reference().model_copy(update={"classes": {"left": 1, "right": 2}})
    replace(copy, "reference.json", other.render())
    with pytest.raises(DescriptorError, match=r"reference\.json counts left, right; the labels are"):
        load(copy).reference()


def test_a_file_that_changes_after_loading_is_noticed_when_it_is_read(copy: Path):
    package = load(copy)
    (copy / "model.onnx").write_bytes(b"another graph")
    with pytest.raises(PackageChangedError, match="model.onnx"):
        package.graph()
    (copy / "golden.npz").unlink()
    with pytest.raises(PackageChangedError, match=r"missing: golden\.npz"):
        package.golden()


def test_a_reference_of_format_1_has_no_text_and_no_missing_values(place: Path):
    package = tiny_table.seal(place)
    assert package.reference().texts
    older = Package(path=place, descriptor=package.descriptor.model_copy(update={"format": 1}))
    with pytest.raises(DescriptorError, match=r"reference\.json: format 1 knows neither text nor missing values"):
        older.reference()


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> list[PrivateKey]:
    """Three keys, the first two of them in the order in which their signatures are written."""
    folder = tmp_path_factory.mktemp("keys")
    made = [new_keys(folder / str(number)) for number in range(3)]
    return sorted(made[:2], key=lambda key: key.public.id) + made[2:]


def sign(package: Path, *keys: PrivateKey) -> Path:
    """Sign as someone would who knows the format."""
    whole = load(package)
    signatures = {name: made for key in keys for name, made in whole.sign(key).items()}
    (package / SIGNATURES).write_bytes(render_signatures(signatures))
    return package


def test_signing_changes_nothing_of_a_package_but_who_vouches_for_it(sealed: Package, copy: Path, keys):
    sign(copy, keys[0])
    assert load(copy).digest == load(copy, digest=sealed.digest).digest == sealed.digest
    assert load(copy).signed_by == ()
    assert load(copy, keys=[keys[0].public]).signed_by == (keys[0].public.id,)


@pytest.mark.parametrize(
    ("signed", "trusted", "by"),
    [
        ((), (), UnsignedError),
        ((), (0,), UnsignedError),
        ((), (0, 1), UnsignedError),
        ((0,), (), UntrustedError),
        ((0,), (0,), (0,)),
        ((0,), (1,), UntrustedError),
        ((0,), (0, 1), (0,)),  # a rotation begins: readers know the new key, packages carry the old one
        ((0, 1), (0,), (0,)),
        ((0, 1), (1,), (1,)),  # it ends: readers know the new key alone
        ((0, 1), (1, 0), (1, 0)),
        ((0, 1), (2,), UntrustedError),
        ((0,), (1, 2), UntrustedError),
    ],
)
def test_a_package_loads_where_one_of_the_trusted_keys_signed_it(copy: Path, keys, signed, trusted, by):
    if signed:
        sign(copy, *(keys[number] for number in signed))
    known = [keys[number].public for number in trusted]
    if isinstance(by, tuple):
        assert load(copy, keys=known).signed_by == tuple(keys[number].public.id for number in by)
    else:
        error = refusal(copy, keys=known)
        assert type(error) is by
        assert all(key.id in str(error) for key in known)
    assert load(copy).signed_by == ()


def test_what_is_not_signed_tells_how_to_sign_it(copy: Path, keys):
    assert "slipway sign" in str(refusal(copy, keys=[keys[0].public]))


def test_no_flipped_bit_of_a_signature_file_loads(copy: Path, keys):
    place = sign(copy, keys[0]) / SIGNATURES
    whole, known = place.read_bytes(), [keys[0].public]
    for offset, byte in enumerate(whole):
        for bit in range(8):
            place.write_bytes(whole[:offset] + bytes([byte ^ 1 << bit]) + whole[offset + 1 :])
            assert isinstance(refusal(copy, keys=known), UntrustedError | DescriptorError)
    place.write_bytes(whole)
    assert load(copy, keys=known)


@pytest.mark.parametrize("line", [0, 1])
def test_a_changed_signature_of_a_trusted_key_is_refused_beside_a_good_one(copy: Path, keys, line: int):
    place = sign(copy, *keys[:2]) / SIGNATURES
    lines = place.read_bytes().splitlines(keepends=True)
    lines[line] = lines[line][:-129] + bytes(reversed(lines[line][-129:-1])) + b"\n"
    place.write_bytes(b"".join(lines))
    error = refusal(copy, keys=[key.public for key in keys])
    assert isinstance(error, UntrustedError)
    assert f"not what the key {keys[line].public.id} signed" in str(error)
    assert load(copy, keys=[keys[1 - line].public])


def test_the_signature_of_another_package_is_refused(copy: Path, tmp_path: Path, keys):
    other = sign(tiny.seal(tmp_path / "other", metrics={"accuracy": 0.5}).path, keys[0])
    shutil.copyfile(other / SIGNATURES, copy / SIGNATURES)
    error = refusal(copy, keys=[keys[0].public])
    assert isinstance(error, UntrustedError) and "another package's" in str(error)


def test_a_signature_under_the_id_of_a_trusted_key_must_be_made_with_it(copy: Path, keys):
    (forged,) = load(copy).sign(keys[1]).values()
    (copy / SIGNATURES).write_bytes(render_signatures({keys[0].public.id: forged}))
    assert isinstance(refusal(copy, keys=[keys[0].public]), UntrustedError)


def test_a_package_that_was_renamed_inside_lost_its_signature(copy: Path, keys):
    sign(copy, keys[0])
    reseal(copy, (copy / DESCRIPTOR).read_bytes().replace(b'"tiny"', b'"tine"'))
    assert load(copy).descriptor.name == "tine"
    assert isinstance(refusal(copy, keys=[keys[0].public]), UntrustedError)


def test_a_signed_package_in_a_folder_of_another_name_is_the_same(copy: Path, tmp_path: Path, keys):
    moved = sign(copy, keys[0]).rename(tmp_path / "elsewhere")
    assert load(moved, keys=[keys[0].public]).signed_by


def test_what_nobody_trusted_signed_is_not_even_parsed(copy: Path, keys):
    sign(copy, keys[0])
    reseal(copy, b"no JSON")
    assert isinstance(refusal(copy, keys=[keys[0].public]), UntrustedError)
    (copy / SIGNATURES).unlink()
    assert isinstance(refusal(copy, keys=[keys[0].public]), UnsignedError)


@pytest.mark.parametrize("name", ALL)
def test_a_signature_makes_up_for_no_damage(copy: Path, keys, name: str):
    sign(copy, keys[0])
    with (copy / name).open("r+b") as file:
        first = file.read(1)
        file.seek(0)
        file.write(bytes([first[0] ^ 1]))
    assert not isinstance(refusal(copy, keys=[keys[0].public]), UnsignedError)


@pytest.mark.parametrize("keep", [0, 1, 153])
def test_no_truncated_signature_file_loads(copy: Path, keys, keep: int):
    place = sign(copy, keys[0]) / SIGNATURES
    place.write_bytes(place.read_bytes()[:keep])
    for known in (None, [keys[0].public]):
        assert isinstance(refusal(copy, keys=known), DescriptorError)


def test_of_a_huge_signature_file_little_is_read(copy: Path, keys):
    with (copy / SIGNATURES).open("wb") as file:
        file.truncate(1 << 40)  # a hole: whoever read it whole would not come back
    for known in (None, [keys[0].public]):
        assert isinstance(refusal(copy, keys=known), DescriptorError)


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_a_signature_file_that_is_no_file_is_refused_without_waiting_for_it(copy: Path, tmp_path, keys, kind: str):
    place = sign(copy, keys[0]) / SIGNATURES
    place.rename(tmp_path / "elsewhere")
    if kind == "link":
        place.symlink_to(tmp_path / "elsewhere")
    elif kind == "folder":
        place.mkdir()
    else:
        os.mkfifo(place)
    for known in (None, [keys[0].public]):
        error = refusal(copy, keys=known)
        assert isinstance(error, PackageChangedError)
        assert set(error.changed) == {SIGNATURES}


@pytest.mark.parametrize("number", FORMATS)
def test_a_package_of_every_past_format_can_be_signed(place: Path, keys, number: int):
    shutil.copytree(Path(__file__).parent / "formats" / str(number), place)
    assert load(sign(place, keys[0]), digest=FORMATS[number], keys=[keys[0].public]).signed_by
