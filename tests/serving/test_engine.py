import os
import threading
from pathlib import Path

import numpy as np
import pytest
import slow
import tiny
import tiny_table

from modelpackage import Golden, GoldenError, PackageChangedError, load
from serving.engine import Engine, cpu_limit

EVERYTHING = len(os.sched_getaffinity(0))


def test_the_graph_gives_what_the_model_says(sealed):
    images = tiny.rows(5, seed=1)
    found = Engine(sealed, threads=1).run({"image": images})
    np.testing.assert_allclose(found["probabilities"], tiny.answers(images), atol=1e-6)


def test_the_score_is_the_most_probable_class_and_its_probability(sealed):
    images = tiny.rows(5, seed=1)
    scores = Engine(sealed, threads=1).score({"image": images})
    said = tiny.answers(images)
    assert scores.classes.tolist() == said.argmax(axis=1).tolist()
    np.testing.assert_allclose(scores.confidence, said.max(axis=1), atol=1e-6)
    assert scores.confidence.dtype == np.float32


def test_text_and_gaps_reach_the_graph(table):
    found = Engine(table, threads=1).run({"numbers": tiny_table.NUMBERS, "categories": tiny_table.TEXT})
    np.testing.assert_allclose(found["probabilities"], tiny_table.answers(), atol=1e-6)


def test_a_graph_that_does_not_open_is_refused_in_one_line(place):
    package = tiny.seal(place, graph=b"not a graph")
    with pytest.raises(GoldenError, match="ONNX Runtime .* refuses") as caught:
        Engine(package, threads=1)
    assert "\n" not in str(caught.value)


def test_a_graph_that_gives_other_answers_than_sealed_is_refused(place):
    images = tiny.rows()
    golden = Golden(inputs={"image": images}, outputs={"probabilities": tiny.answers(images) + 0.01})
    with pytest.raises(GoldenError, match="differs from the sealed one"):
        Engine(tiny.seal(place, golden=golden), threads=1)


def test_a_graph_that_takes_other_inputs_than_the_signature_says_is_refused(place):
    graph = tiny.graph().replace(b"image", b"photo")
    with pytest.raises(GoldenError, match="refuses"):
        Engine(tiny.seal(place, graph=graph), threads=1)


def test_a_graph_changed_after_loading_is_refused(place):
    tiny.seal(place)
    package = load(place)
    (place / "model.onnx").write_bytes(tiny.graph() + b"\0")
    with pytest.raises(PackageChangedError, match=r"model\.onnx"):
        Engine(package, threads=1)


def test_a_stopped_engine_ends_what_runs_and_runs_nothing_more(place, capfd):
    engine = Engine(slow.seal(place), threads=1)
    image = tiny.rows(1)
    image[0, 0, 0] = 16
    failed = []

    def run():
        try:
            engine.score({"image": np.repeat(image, 2, axis=0)})
        except Exception as error:  # noqa: BLE001  # ONNX Runtime's errors have no base of their own
            failed.append(str(error))

    running = threading.Thread(target=run)
    running.start()
    engine.stop()
    running.join(15)
    assert "terminate" in failed[0]
    assert capfd.readouterr().err == ""


def second(tmp_path: Path, content: str | None) -> Path:
    """Control groups of version 2."""
    if content is not None:
        (tmp_path / "cpu.max").write_text(content)
    return tmp_path


def first(tmp_path: Path, quota: int, period: int) -> Path:
    """Control groups of version 1."""
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(f"{quota}\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text(f"{period}\n")
    return tmp_path


@pytest.mark.parametrize(
    ("quota", "limit"), [(50_000, 1), (100_000, 1), (100_001, min(2, EVERYTHING)), (12_800_000, EVERYTHING)]
)
def test_the_cpu_limit_is_the_containers_quota_rounded_up(tmp_path, quota, limit):
    assert cpu_limit(second(tmp_path, f"{quota} 100000\n")) == limit


@pytest.mark.parametrize(
    ("quota", "limit"), [(50_000, 1), (100_000, 1), (100_001, min(2, EVERYTHING)), (12_800_000, EVERYTHING)]
)
def test_the_older_control_groups_say_the_same(tmp_path, quota, limit):
    assert cpu_limit(first(tmp_path, quota, 100_000)) == limit


def test_without_a_quota_the_cpu_limit_is_what_the_process_may_use(tmp_path):
    assert cpu_limit(second(tmp_path, None)) == EVERYTHING
    assert cpu_limit(second(tmp_path, "max 100000\n")) == EVERYTHING
    (tmp_path / "cpu.max").unlink()
    assert cpu_limit(first(tmp_path, -1, 100_000)) == EVERYTHING
