"""The digest by which an image is known to be that of a tree."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: What the images are made of, with a file of each kind that must not count.
TAKEN = {
    "Dockerfile.some": "FROM base AS one\nCOPY requirements/one.txt app /x/\nCOPY --from=build /other /other\n"
    "FROM one AS two\nCOPY requirements/two.txt /x/\n",
    "requirements/one.txt": "a==1",
    "requirements/two.txt": "a==2",
    "app/code.py": "code",
    "other/code.py": "code",
}


@pytest.fixture
def tree(tmp_path):
    """A tree with a Dockerfile, and the program that reads it."""
    for name, text in TAKEN.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "hack").mkdir()
    shutil.copy(ROOT / "hack" / "sources", tmp_path / "hack")
    return tmp_path


def digest(tree, target="one"):
    command = [sys.executable, str(tree / "hack" / "sources"), "Dockerfile.some", target]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("name", ["Dockerfile.some", "requirements/one.txt", "app/code.py"])
def test_whatever_is_copied_counts(tree, name):
    before = digest(tree)
    (tree / name).write_text("# changed\n" + TAKEN[name])
    assert digest(tree) != before


@pytest.mark.parametrize("name", ["app/new.py", "app/deeper/new.json"])
def test_new_files_count(tree, name):
    before = digest(tree)
    (tree / name).parent.mkdir(exist_ok=True)
    (tree / name).write_text("")
    assert digest(tree) != before


@pytest.mark.parametrize("name", ["requirements/two.txt", "other/code.py", "app/__pycache__/code.pyc", "app/.hidden"])
def test_whatever_is_not_copied_does_not_count(tree, name):
    before = digest(tree)
    (tree / name).parent.mkdir(exist_ok=True)
    (tree / name).write_text("changed")
    assert digest(tree) == before


def test_a_stage_counts_with_those_before_it(tree):
    one, two = digest(tree, "one"), digest(tree, "two")
    (tree / "requirements" / "two.txt").write_text("a==3")
    assert (digest(tree, "one"), digest(tree, "two") != two) == (one, True)


def test_a_stage_that_is_not_there_is_told(tree):
    with pytest.raises(subprocess.CalledProcessError):
        digest(tree, "three")


@pytest.mark.parametrize("path", sorted(ROOT.glob("Dockerfile.*")), ids=lambda path: path.name)
def test_everything_copied_passes_the_ignore_file(path):
    passes = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"}
    copies = [line.split()[1:-1] for line in path.read_text().splitlines() if line.startswith("COPY ")]
    taken = {Path(name).parts[0] for names in copies for name in names if not names[0].startswith("--from")}
    assert taken <= passes
    assert taken
