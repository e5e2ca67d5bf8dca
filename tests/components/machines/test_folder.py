import pytest
from stages import DIGITS

from components.config import read_config
from components.errors import TrainingError
from components.machines import folder as module
from components.machines.folder import Folder


@pytest.fixture
def folder(tmp_path):
    """A folder of a store that needs no server."""
    return Folder(f"file://{tmp_path}/store/digits/key/job")


def contents(directory):
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_a_machine_finds_what_the_step_handed_over(folder, config, fingerprint, splits, tmp_path):
    folder.hand_over(config, fingerprint, splits)
    work = folder.take(tmp_path)
    assert (work.config, work.fingerprint) == (config, fingerprint)
    assert contents(work.splits) == contents(splits)


def test_a_retry_uploads_nothing_again(folder, config, fingerprint, splits, tmp_path, monkeypatch):
    folder.hand_over(config, fingerprint, splits)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("*")}
    folder.hand_over(config, fingerprint, splits)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("*")} == before


def test_what_was_cut_short_is_uploaded_again(folder, config, fingerprint, splits, tmp_path):
    folder.hand_over(config, fingerprint, splits)
    (tmp_path / "store/digits/key/job/job.json").unlink()
    (tmp_path / "store/digits/key/job/splits/rows.json").unlink()
    folder.hand_over(config, fingerprint, splits)
    assert contents(folder.take(tmp_path).splits) == contents(splits)


def test_the_model_comes_back_and_may_be_asked_for_again(folder, config, fingerprint, splits, tmp_path):
    folder.hand_over(config, fingerprint, splits)
    (tmp_path / "trained").mkdir()
    (tmp_path / "trained" / "graph.onnx").write_bytes(b"a graph")
    assert not folder.done()
    folder.hand_back(tmp_path / "trained")
    assert folder.done()
    for place in ("first", "second"):
        folder.collect(tmp_path / place)
        assert contents(tmp_path / place) == {"graph.onnx": b"a graph"}


def test_an_image_with_other_code_is_refused(folder, config, fingerprint, splits, tmp_path, monkeypatch):
    folder.hand_over(config, fingerprint, splits)
    monkeypatch.setattr(module.provenance, "code_digest", lambda: "other code")
    with pytest.raises(TrainingError, match="other code or libraries than the step .*; give both the same image"):
        folder.take(tmp_path)


def test_a_trial_of_a_sweep_over_several_models_is_taken(folder, splits, config, tmp_path):
    chosen = read_config(DIGITS, ["train.model=mnist_cnn", "train.device=cpu", "train.machines=2", "train.processes=2"])
    folder.hand_over(chosen, "a fingerprint of two kinds of model", splits)
    assert folder.take(tmp_path).fingerprint == "a fingerprint of two kinds of model"
