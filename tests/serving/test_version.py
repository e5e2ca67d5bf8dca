import tomllib
from pathlib import Path

from serving import VERSION


def test_the_servers_version_is_the_projects():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert project["project"]["version"] == VERSION
