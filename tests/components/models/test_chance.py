"""Random numbers: of the seed alone, and the same rows have the same whatever shares a batch."""

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
from components.models.chance import CHANGES, DROPPED, ORDER, Chance, seed_of  # noqa: E402 (needs torch)
from components.models.group import Group  # noqa: E402 (needs torch)

CPU = torch.device("cpu")
DRAWS = {
    "uniform": lambda chance: chance.uniform(),
    "symmetric": lambda chance: chance.symmetric(3),
    "normal": lambda chance: chance.normal(torch.Size((2, 3))),
}


def test_seeds_are_numbers_that_torch_takes_and_neighbours_share_none():
    asked = [(seed, what, epoch, step) for seed in (0, 2**31 - 1) for what in (ORDER, CHANGES, DROPPED)
             for epoch in range(20) for step in range(20)]  # fmt: skip
    seeds = [seed_of(*numbers) for numbers in asked]
    assert len(set(seeds)) == len(asked)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert seeds == [seed_of(*numbers) for numbers in asked]
    assert seed_of(0, 1) != seed_of(1, 0)


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("size", [2, 3])
def test_several_processes_draw_what_one_draws_for_the_same_rows(draw, size):
    whole, shares = (
        [DRAWS[draw](chance) for chance in chances for _ in range(2)]
        for chances in (
            [Chance(5, 11, Group(), CPU)],
            [Chance(5, 11, Group(rank, size), CPU) for rank in range(size)],
        )
    )
    assert torch.equal(torch.cat(shares[::2]), whole[0])
    assert torch.equal(torch.cat(shares[1::2]), whole[1])
    assert not torch.equal(whole[0], whole[1])
    assert max(map(len, shares)) - min(map(len, shares)) == 1


def test_numbers_are_spread_as_they_are_called():
    chance = Chance(0, 20_000, Group(), CPU)
    uniform, symmetric, normal = chance.uniform(), chance.symmetric(3), chance.normal(torch.Size(()))
    assert 0 <= uniform.min() < 0.01
    assert 0.99 < uniform.max() < 1
    assert symmetric.abs().max() <= 3
    assert symmetric.min() < -2.9
    assert symmetric.max() > 2.9
    assert normal.mean().item() == pytest.approx(0, abs=0.03)
    assert normal.std().item() == pytest.approx(1, abs=0.03)


def test_drawing_leaves_the_state_of_others_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    Chance(5, 11, Group(), CPU).uniform()
    assert torch.equal(torch.get_rng_state(), before)
