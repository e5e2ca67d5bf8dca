"""The whole way: from a sealed package to its variant or a refusal that leaves nothing."""

import pytest
from small_network import Network

from components.errors import OptimizeError
from components.optimize import Bounds, optimize
from components.package import package

DIGITS = "builtin://digits"


def test_a_network_becomes_a_package_of_its_own_and_the_same_one_every_time(network: Network, lenient, tmp_path):
    original = network.package
    judgement, accepted = optimize(original, DIGITS, lenient, tmp_path / "one", tmp_path)
    _, again = optimize(original, DIGITS, lenient, tmp_path / "two", tmp_path)
    assert judgement.faults == ()
    assert accepted.package.digest == again.package.digest != original.digest
    assert len(accepted.package.graph()) < len(original.graph()) / 3
    assert accepted.package.descriptor.signature == original.descriptor.signature
    assert accepted.package.descriptor.labels == original.descriptor.labels


@pytest.mark.parametrize(
    ("bounds", "fault"),
    [
        (Bounds(max_drop=0.05, min_speedup=1000), "--min-speedup asks for 1000"),
        (Bounds(max_drop=0.01, min_speedup=0.001), "179 test rows can't tell"),
    ],
)
def test_a_broken_bound_is_told_and_leaves_nothing(network: Network, bounds, fault, tmp_path):
    judgement, accepted = optimize(network.package, DIGITS, bounds, tmp_path / "variant", tmp_path / "cache")
    assert accepted is None
    assert len(judgement.faults) == 1 and fault in judgement.faults[0]
    assert not (tmp_path / "variant").exists()


def test_a_forest_has_nothing_to_quantise_and_its_data_is_not_even_read(forest_run, tmp_path):
    run = forest_run
    forest = package(run.config, run.splits, run.model, run.evaluation, tmp_path / "forest")
    with pytest.raises(OptimizeError, match="decides by trees.*nothing to quantise"):
        optimize(forest, "/no/such/place", Bounds(), tmp_path / "variant", tmp_path / "cache")
    assert not (tmp_path / "variant").exists()
