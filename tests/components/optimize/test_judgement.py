"""What a variant is held to."""

import re

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from small_network import Network

from components.config import Gate
from components.errors import ConfigError
from components.optimize import judgement as judging
from components.optimize.judgement import Bounds, _accuracy_faults, _speed_faults, changes, judge
from components.optimize.speed import Speed

OPEN = Gate(minimum=0.0)


def upside_down(graph: bytes) -> bytes:
    """The same network with its last layer negated: it says what is least likely."""
    model = onnx.load_from_string(graph)
    last = [node for node in model.graph.node if node.op_type == "Gemm"][-1]
    for tensor in model.graph.initializer:
        if tensor.name in last.input:
            tensor.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(tensor), tensor.name))
    return model.SerializeToString()


def test_a_graph_beside_itself_differs_in_nothing(network: Network, lenient):
    found = judge(network.package, network.package.graph(), network.run.splits, OPEN, lenient)
    assert found.faults == ()
    assert (found.agreement, found.difference[0], found.moved) == (1.0, 0.0, 0.0)
    assert found.before == found.after == network.run.evaluation.metrics
    assert [speed.rows for speed in found.speeds] == [1, 8]


def test_a_variant_that_is_wrong_breaks_the_bound_and_the_gate(network: Network, lenient):
    found = judge(network.package, upside_down(network.package.graph()), network.run.splits, Gate(minimum=0.5), lenient)
    assert found.agreement < 0.2
    loss, gate = found.faults
    assert "of accuracy, --max-drop allows 0.05" in loss and "below the gate's minimum" in gate


def test_a_variant_that_other_arithmetic_moves_too_far_is_refused(network: Network, lenient, monkeypatch):
    monkeypatch.setattr(judging, "TOLERANCE", -1.0)
    found = judge(network.package, network.package.graph(), network.run.splits, OPEN, lenient)
    assert len(found.faults) == 1 and "other CPUs may answer" in found.faults[0]


@pytest.mark.parametrize(
    ("difference", "allowed", "fault"),
    [
        ((0.0, -0.004, 0.004), 0.005, None),
        ((0.01, 0.002, 0.02), 0.0, None),
        ((-0.02, -0.03, -0.01), 0.01, "it loses 0.0200 of accuracy, --max-drop allows 0.01"),
        ((0.0, -0.0203, 0.0203), 0.01, "it may lose 0.0203; .*--max-drop 0.021$"),
    ],
)
def test_a_loss_must_surely_stay_inside_the_bound(difference, allowed, fault):
    found = list(_accuracy_faults(difference, 200, allowed))
    assert len(found) == (fault is not None)
    if fault:
        assert re.search(fault, found[0])


def test_one_slow_batch_size_is_enough_to_be_too_slow():
    one, eight = (Speed(rows=rows, before=1.0, after=1.0, ratio=ratio) for rows, ratio in ((1, 1.05), (8, 3.0)))
    assert list(_speed_faults((one, eight), 1.05)) == []
    (fault,) = _speed_faults((one, eight), 1.1)
    assert fault == "it is 1.05 times as fast for 1 row, --min-speedup asks for 1.1"


def test_rows_gained_and_lost_are_counted_apart():
    y = np.array([0, 0, 1, 1])
    ours, theirs = (np.eye(2, dtype=np.float32)[answers] for answers in ([0, 1, 1, 0], [1, 0, 1, 0]))
    assert changes(y, ours, theirs) == (1, 1)


@pytest.mark.parametrize("bounds", [{"max_drop": -0.1}, {"max_drop": 1.0}, {"min_speedup": 0.0},
                                    {"max_drop": float("nan")}, {"min_speedup": float("nan")}])  # fmt: skip
def test_bounds_without_a_meaning_are_refused_with_their_flag(bounds):
    with pytest.raises(ConfigError, match="--(max-drop|min-speedup) "):
        Bounds(**bounds)
