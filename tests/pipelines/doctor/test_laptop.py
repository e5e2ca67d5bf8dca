import os
import tomllib
from pathlib import Path

import pytest

from pipelines.doctor import laptop

ROOT = Path(__file__).parents[3]


def one(findings) -> tuple[str, str]:
    (finding,) = findings
    return finding.level, finding.what


def test_the_supported_versions_of_python_are_those_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    least, beyond = (".".join(map(str, version)) for version in (laptop.OLDEST, laptop.BEYOND))
    assert project["requires-python"] == f">={least},<{beyond}"


@pytest.mark.parametrize(
    ("version", "level"), [((3, 10), "problem"), ((3, 11), "ok"), ((3, 14), "problem")], ids=["old", "right", "new"]
)
def test_python_is_judged(version, level):
    assert one(laptop.python(version))[0] == level


def test_a_folder_that_will_be_made_is_well(tmp_path):
    writable, room = laptop.folder(tmp_path / "a" / "b")
    assert (writable.level, writable.what) == ("ok", f"{tmp_path}/a/b will be made by the first run")
    assert f"GiB of disk are free at {tmp_path}" in room.what
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_can_not_be_written_is_a_problem(tmp_path):
    tmp_path.chmod(0o500)
    assert one(laptop.folder(tmp_path / "home"))[0] == "problem"


def test_a_file_where_the_folder_should_be_is_a_problem(tmp_path):
    (tmp_path / "home").write_text("")
    level, told = one(laptop.folder(tmp_path / "home" / "deeper"))
    assert level == "problem"
    assert f"{tmp_path}/home is no folder of yours" in told


@pytest.mark.parametrize(
    ("free", "level"),
    [(100_000, "problem"), (1_000_000, "warning"), (9_000_000, "ok")],
    ids=["none", "little", "enough"],
)
def test_memory_is_judged(tmp_path, free, level):
    (tmp_path / "meminfo").write_text(f"MemTotal: 99000000 kB\nMemAvailable:   {free} kB\n")
    assert one(laptop.memory(tmp_path / "meminfo"))[0] == level


def test_libraries_are_held_against_the_lock(tmp_path):
    lock, known = tmp_path / "laptop.txt", laptop.installed("numpy")
    assert one(laptop.libraries(lock))[1].startswith("no laptop.txt to hold the libraries against")
    lock.write_text(f"numpy==0.1 ; python_full_version < '3' \\\n    --hash=sha256:00\nnumpy=={known} \\\nunknown==1\n")
    assert one(laptop.libraries(lock)) == ("ok", "libraries are those of requirements/laptop.txt")
    lock.write_text("numpy==0.1 \\\nnumpy==0.2 \\\n")
    told = f"libraries are not those of requirements/laptop.txt: numpy {known} (0.1 or 0.2)"
    assert one(laptop.libraries(lock)) == ("warning", told)


def test_every_library_that_is_compared_is_in_the_lock():
    lock = (ROOT / "requirements" / "dev.txt").read_text()
    assert [name for name in laptop.LIBRARIES if f"\n{name}==" not in lock] == []


def test_torch_and_gpus_are_counted_without_an_import():
    level, told = one(laptop.torch())
    assert level == "ok" or laptop.gpu.count()
    assert (laptop.installed("torch") or "torch is not installed") in told


def test_an_engine_that_does_not_answer_is_no_problem(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    level, told = one(laptop.engine())
    assert level == "ok"
    assert told.startswith(("no container engine answers", "the docker library is not installed"))


def test_the_compiled_files_are_fresh_here_and_a_stale_one_is_found(monkeypatch, tmp_path):
    from pipelines import compile as compiling

    assert one(laptop.compiled())[0] == "ok"
    (tmp_path / "sweep.yaml").write_text("stale")
    monkeypatch.setattr(compiling, "COMPILED", {**compiling.COMPILED, "sweep.yaml": tmp_path / "sweep.yaml"})
    assert one(laptop.compiled()) == ("problem", "pipelines/sweep.yaml is not what the sources say")
