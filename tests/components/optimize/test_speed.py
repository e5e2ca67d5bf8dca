"""Races are bounded and pair what ran side by side."""

import itertools

from small_network import Network

from components.optimize import speed
from components.optimize.speed import race


def test_a_race_times_both_graphs_on_the_same_rows(network: Network):
    found = race(network.package.graph(), network.package.graph(), network.run.splits.part("test").inputs(slice(0, 3)))
    assert found.rows == 3
    assert found.before > 0 and found.after > 0 and found.ratio > 0


def test_the_ratio_is_the_median_of_the_rounds_whatever_a_single_one_took(network: Network, monkeypatch):
    # The clock of each round: the first graph takes 4, the second 2; one round is disturbed.
    steps = itertools.chain.from_iterable([4 if n != 3 else 400, 0, 2, 0] for n in itertools.count())
    ticks = itertools.accumulate(itertools.chain([0, 0], steps))
    monkeypatch.setattr(speed.time, "perf_counter", lambda: float(next(ticks)))
    monkeypatch.setattr(speed, "MOST_ROUNDS", 7)
    graph = network.package.graph()
    found = race(graph, graph, network.run.splits.part("test").inputs(slice(0, 1)))
    assert (found.before, found.after, found.ratio) == (4.0, 2.0, 2.0)
