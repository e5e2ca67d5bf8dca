"""Files that appear whole or not at all."""

from pathlib import Path

import pytest

from components.store.partial import beside


def test_what_is_renamed_stays_and_all_else_is_removed(tmp_path: Path):
    with beside(tmp_path / "a") as partial:
        assert partial.parent == tmp_path
        partial.write_text("a")
        partial.replace(tmp_path / "a")
    with pytest.raises(ValueError, match="no"), beside(tmp_path / "b"):
        raise ValueError("no")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("name", ["a" * 255, "日" * 85])
def test_a_name_may_be_as_long_as_names_can_be(tmp_path: Path, name: str):
    with beside(tmp_path / name) as partial:
        partial.replace(tmp_path / name)
    assert (tmp_path / name).exists()
