"""Sealing is deterministic, whole or absent, and refuses what could not be read."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny

from modelpackage import (
    DESCRIPTOR,
    PARTS,
    SEAL,
    DescriptorError,
    Golden,
    Package,
    PackageError,
    PackageMissingError,
    Tensor,
    load,
)

ROOT = Path(__file__).parents[2]
#: Arguments: target, and the number of the fsync at which the process dies (0: never).
PROGRAM = """
import os, sys
from pathlib import Path

import tiny

calls, sync = 0, os.fsync

def fsync(descriptor):
    global calls
    calls += 1
    if calls == int(sys.argv[2]):
        os._exit(9)
    sync(descriptor)

os.fsync = fsync
print(tiny.seal(Path(sys.argv[1])).digest, calls)
"""


def seal_elsewhere(target: Path, *, die_at: int = 0, hash_seed: str = "0") -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(map(str, (ROOT, ROOT / "tests" / "support")))
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": hash_seed}
    command = [sys.executable, "-c", PROGRAM, str(target), str(die_at)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def contents(package: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in package.iterdir()}


def test_a_package_has_these_files_and_no_more(sealed: Package):
    names = {"model.json", "model.json.sha256", "model.onnx", "golden.npz", "reference.json", "card.md"}
    assert set(contents(sealed.path)) == names == {DESCRIPTOR, SEAL, *PARTS}


def test_sealing_twice_gives_the_same_bytes(sealed: Package, place: Path):
    again = tiny.seal(place)
    assert again.digest == sealed.digest
    assert contents(place) == contents(sealed.path)


@pytest.mark.parametrize("hash_seed", ["0", "1", "4294967295"])
def test_another_process_seals_the_same_bytes(sealed: Package, place: Path, hash_seed: str):
    made = seal_elsewhere(place, hash_seed=hash_seed)
    assert made.stdout.split()[0] == sealed.digest, made.stderr
    assert contents(place) == contents(sealed.path)


def test_the_order_of_keys_changes_no_byte(sealed: Package, place: Path):
    tiny.seal(place, preprocessing={"scale": 1.0, "mean": 0.0})
    assert contents(place) == contents(sealed.path)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"labels": ("right", "left", "none")},
        {"tolerance": 1e-4},
        {"metrics": {"accuracy": 0.5}},
        {"graph": tiny.graph() + b"\0"},
        {"preprocessing": {}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_differs_gives_another_digest(sealed: Package, place: Path, change: dict[str, object]):
    assert tiny.seal(place, **change).digest != sealed.digest


def test_the_seal_is_the_digest_of_the_descriptor_as_sha256sum_writes_it(sealed: Package):
    raw = (sealed.path / DESCRIPTOR).read_bytes()
    assert (sealed.path / SEAL).read_text() == f"{hashlib.sha256(raw).hexdigest()}  model.json\n"


def test_sha256sum_accepts_the_seal(sealed: Package):
    try:
        checked = subprocess.run(
            ["sha256sum", "--check", "--strict", SEAL],
            cwd=sealed.path,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        pytest.skip("this machine has no sha256sum")
    assert (checked.returncode, checked.stdout) == (0, "model.json: OK\n"), checked.stderr


def test_what_comes_back_is_the_package_that_was_written(place: Path):
    package = tiny.seal(place)
    assert package == load(place)
    assert package.path == place
    assert package.graph() == tiny.graph()
    np.testing.assert_array_equal(package.golden().inputs["image"], tiny.rows())
    assert package.reference().classes == dict.fromkeys(tiny.LABELS, 2)


def test_anyone_may_read_the_directory(place: Path):
    assert tiny.seal(place).path.stat().st_mode & 0o777 == 0o755


def test_folders_above_are_made_and_nothing_else_stays_beside(tmp_path: Path):
    target = tmp_path / "models" / "tiny" / "1"
    tiny.seal(target)
    assert [path.name for path in target.parent.iterdir()] == ["1"]


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch], ids=["folder", "file"])
def test_what_exists_is_never_overwritten(place: Path, make):
    make(place)
    with pytest.raises(PackageError, match="exists already"):
        tiny.seal(place)
    assert place.is_file() or not list(place.iterdir())


def test_a_seal_that_is_killed_at_any_file_leaves_nothing_at_the_target(tmp_path: Path):
    whole = seal_elsewhere(tmp_path / "whole")
    files = int(whole.stdout.split()[1])
    assert files >= len((DESCRIPTOR, SEAL, *PARTS))
    for call in range(1, files + 1):
        target = tmp_path / str(call)
        killed = seal_elsewhere(target, die_at=call)
        assert killed.returncode == 9, killed.stderr
        with pytest.raises(PackageMissingError):
            load(target)
        assert not target.exists()


def test_the_descriptor_is_written_last_so_that_an_unfinished_copy_is_missing(tmp_path: Path):
    files = int(seal_elsewhere(tmp_path / "whole").stdout.split()[1])
    order = []
    for call in range(1, len(PARTS) + 3):
        parent = tmp_path / f"killed at {call}"
        seal_elsewhere(parent / "package", die_at=call)
        (partial,) = parent.iterdir()
        order.append({path.name for path in partial.iterdir()})
    assert files == len(order)
    assert [sorted(after - before) for before, after in zip([set(), *order], order, strict=False)] == [
        ["model.onnx"],
        ["golden.npz"],
        ["reference.json"],
        ["card.md"],
        ["model.json.sha256"],
        ["model.json"],
    ]


@pytest.mark.parametrize(
    "failing", [OSError(28, "No space left on device"), KeyboardInterrupt()], ids=["disk", "ctrl-c"]
)
def test_a_seal_that_fails_cleans_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: BaseException):
    def fsync(descriptor: int) -> None:
        raise failing

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(type(failing)):
        tiny.seal(tmp_path / "package")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "change",
    [
        {"labels": ("left", "right")},
        {"labels": ("left", "left", "none")},
        {"labels": ("left", "right", "up")},
        {"name": "No DNS label"},
        {"kind": "video"},
        {"tolerance": 1.0},
        {"metrics": {"accuracy": float("nan")}},
        {"preprocessing": {"mean": float("nan")}},
        {"golden": Golden(inputs={}, outputs={})},
        {"signature": tiny.SIGNATURE.model_copy(update={"inputs": (Tensor(name="x", datatype="FP32", shape=(2, 2)),)})},
    ],
    ids=["labels", "twins", "classes", "name", "kind", "tolerance", "NaN", "NaN inside", "golden", "signature"],
)
def test_parts_that_break_the_format_are_refused_and_leave_nothing(tmp_path: Path, change: dict[str, object]):
    with pytest.raises(DescriptorError):
        tiny.seal(tmp_path / "package", **change)
    assert not list(tmp_path.iterdir())
