import asyncio
import os
import threading

import numpy as np
import pytest
import tiny
import tiny_table

from modelpackage import Golden, GoldenError, PackageChangedError, load
from serving.engine import Engine, cpu_limit


def test_the_graph_gives_what_the_model_says(sealed):
    images = tiny.rows(5, seed=1)
    found = Engine(sealed, threads=1).run({"image": images})
    np.testing.assert_allclose(found["probabilities"], tiny.answers(images), atol=1e-6)


def test_inference_runs_off_the_event_loop(sealed):
    engine = Engine(sealed, threads=1)
    threads = []
    run = engine.run
    engine.run = lambda inputs: threads.append(threading.current_thread()) or run(inputs)
    asyncio.run(engine.infer({"image": tiny.rows()}))
    engine.close()
    assert threads[0] is not threading.main_thread()
    assert not threads[0].is_alive()


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


@pytest.mark.parametrize(("content", "limit"), [("max 100000\n", None), ("50000 100000\n", 1), ("100000 100000\n", 1)])
def test_the_cpu_limit_is_the_containers_quota(tmp_path, content, limit):
    (tmp_path / "cpu.max").write_text(content)
    assert cpu_limit(tmp_path / "cpu.max") == (limit or len(os.sched_getaffinity(0)))


def test_without_a_quota_the_cpu_limit_is_what_the_process_may_use(tmp_path):
    everything = len(os.sched_getaffinity(0))
    assert cpu_limit(tmp_path / "absent") == everything
    (tmp_path / "cpu.max").write_text("12800000 100000\n")
    assert cpu_limit(tmp_path / "cpu.max") == everything


def test_text_and_gaps_reach_the_graph(table):
    found = Engine(table, threads=1).run({"numbers": tiny_table.NUMBERS, "categories": tiny_table.TEXT})
    np.testing.assert_allclose(found["probabilities"], tiny_table.answers(), atol=1e-6)
