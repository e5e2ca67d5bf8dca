"""What a training leaves goes when its model is sealed, wherever it lies."""

import pytest

from components.checkpoints import PLACE, clear, note_place
from components.store import open_store


@pytest.mark.parametrize("store", ["folder", "s3"])
def test_all_that_a_training_left_goes_and_nothing_else(request, tmp_path, store):
    root = (tmp_path / "a store").as_uri() if store == "folder" else request.getfixturevalue("bucket")
    uri = f"{root}/model/key"
    (tmp_path / "file").write_text("numbers")
    open_store(root).put("model/other/cpu/1", tmp_path / "file")
    for name in ("cpu/1", "cpu/2", "cuda/1"):
        open_store(uri).put(name, tmp_path / "file")
    note_place(tmp_path, uri)
    clear(tmp_path)
    assert open_store(root).keys("") == ["model/other/cpu/1"]
    if store == "folder":
        assert not (tmp_path / "a store" / "model" / "key").exists()
    clear(tmp_path)


def test_a_training_that_kept_nothing_has_nothing_to_clear(tmp_path):
    note_place(tmp_path, None)
    assert not (tmp_path / PLACE).exists()
    clear(tmp_path)


def test_a_store_that_refuses_costs_nothing_but_room(bucket, tmp_path, capsys):
    note_place(tmp_path, f"{bucket}-is-gone/model/key")
    clear(tmp_path)
    assert capsys.readouterr().out.startswith(
        f"[slipway] the checkpoints in {bucket}-is-gone/model/key stay there, until"
    )
