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
    DescriptorError,
    FormatError,
    Golden,
    Package,
    PackageChangedError,
    PackageError,
    PackageMissingError,
    canonical_json,
    load,
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


def refusal(package: Path, **expected: str) -> PackageError:
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
