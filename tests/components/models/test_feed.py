"""Batches: every row once an epoch with its target, the same however they are held and however many share them."""

import numpy as np
import pytest

from components.dataset import Part, Rows, Scaling
from components.models.settings import Augment, MnistCnn

torch = pytest.importorskip("torch", reason="torch is not installed")
from components.models import feed as module  # noqa: E402 (needs torch)
from components.models.device import Device  # noqa: E402 (needs torch)
from components.models.export import Served  # noqa: E402 (needs torch)
from components.models.feed import Feed  # noqa: E402 (needs torch)
from components.models.group import Group  # noqa: E402 (needs torch)

CPU = Device(torch.device("cpu"), half=False)
CHANGES = Augment(flip=True, shift=0.2, rotation=10, contrast=0.2, brightness=0.5, noise=0.1)


@pytest.fixture
def part(tmp_path) -> Part:
    """Pictures that all hold their own number, the odd ones of class 1."""
    values = np.arange(40, dtype=np.float32)
    np.save(tmp_path / "x.npy", np.broadcast_to(values[:, None, None], (40, 4, 4)).copy())
    np.save(tmp_path / "y.npy", np.arange(40) % 2)
    rows = Rows(kind="image", labels=("even", "odd"), shape=(4, 4), minimum=0.0, maximum=40.0)
    return Part(tmp_path, rows, tmp_path / "values.json")


def feed(part, group=None, device=CPU, seed=0, **settings) -> Feed:
    chosen = MnistCnn(**{"batch_size": 8} | settings)
    served = Served(torch.nn.Identity(), Scaling(mean=(20.0,), factor=(0.1,))).to(device.where)
    return Feed(served, chosen, part, 4.0, seed, device, group or Group())


def numbers(batches) -> list[int]:
    return [round(float(row.mean()) * 10 + 20) for batch in batches for row in batch.x]


def alike(ones, others) -> bool:
    return all(
        torch.equal(getattr(one, name), getattr(other, name))
        for one, other in zip(ones, others, strict=True)
        for name in ("rows", "targets", "x", "y")
    )


def test_an_epoch_has_every_row_once_in_an_order_of_its_own_and_with_its_target(part):
    orders = []
    for epoch in (1, 2):
        batches = list(feed(part).epoch(epoch))
        orders.append(numbers(batches))
        assert [number % 2 for number in orders[-1]] == [int(y) for batch in batches for y in batch.y]
        assert orders[-1] == [int(row) for batch in batches for row in batch.rows]
        assert [batch.number for batch in batches] == [1, 2, 3, 4, 5]
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(40))
    assert orders[0] != orders[1]
    assert numbers(feed(part, seed=1).epoch(1)) != orders[0]


@pytest.mark.parametrize(
    ("batch_size", "processes", "sizes"),
    [(13, 1, [13, 13, 13]), (13, 2, [13, 13, 13]), (19, 3, [19, 19]), (19, 2, [19, 19, 2]), (64, 1, [40])],
)
def test_a_last_batch_too_small_for_a_variance_or_for_every_process_is_left_out(part, batch_size, processes, sizes):
    dealt = feed(part, Group(0, processes), batch_size=batch_size, processes=processes)
    assert [len(batch.targets) for batch in dealt.epoch(1)] == sizes
    assert dealt.steps == len(sizes)


@pytest.mark.parametrize("changes", [Augment(), CHANGES], ids=["plain", "augment"])
def test_an_epoch_goes_on_in_its_middle_as_if_it_had_not_been_left(part, changes):
    dealt = feed(part, augment=changes)
    whole = list(dealt.epoch(3))
    assert alike(dealt.epoch(3, 2), whole[2:])
    assert dealt.epoch(3, 2).__next__().number == 3
    assert list(dealt.epoch(3, 5)) == []


@pytest.mark.parametrize("size", [2, 3])
def test_processes_have_shares_of_the_batch_that_one_would_have(part, size):
    settings = {"augment": CHANGES, "batch_size": 13, "processes": size}
    whole = list(feed(part, augment=CHANGES, batch_size=13).epoch(1))
    shares = [list(feed(part, Group(rank, size), **settings).epoch(1)) for rank in range(size)]
    for batch, *dealt in zip(whole, *shares, strict=True):
        assert torch.equal(torch.cat([share.y for share in dealt]), batch.y)
        torch.testing.assert_close(torch.cat([share.x for share in dealt]), batch.x)
        assert all(torch.equal(share.targets, batch.targets) for share in dealt)
        assert max(len(share.y) for share in dealt) - min(len(share.y) for share in dealt) <= 1


def test_rows_that_are_not_held_in_memory_give_the_same_batches(part, monkeypatch):
    cached = list(feed(part).epoch(1))
    monkeypatch.setattr(module, "CACHED_BYTES", 0)
    assert alike(feed(part).epoch(1), cached)


def test_pictures_are_changed_in_every_epoch_anew_and_the_same_way_for_the_same_seed(part):
    noise = {"augment": Augment(brightness=0.5), "batch_size": 40}
    one, same, later, other = (
        next(feed(part, seed=seed, **noise).epoch(epoch)).x.sort(0).values
        for seed, epoch in ((0, 1), (0, 1), (0, 2), (1, 1))
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, later)
    assert not torch.equal(one, other)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch can use no GPU here")
@pytest.mark.parametrize("share", [0.25, 0.0], ids=["resident", "pinned"])
@pytest.mark.parametrize("cached", [1_000_000_000, 0], ids=["memory", "file"])
def test_a_gpu_is_fed_the_batches_that_a_cpu_is(part, monkeypatch, share, cached):
    monkeypatch.setattr(module, "GPU_SHARE", share)
    monkeypatch.setattr(module, "CACHED_BYTES", cached)
    gpu = Device(torch.device("cuda", 0), half=True)
    dealt = list(feed(part, device=gpu, batch_size=13).epoch(1, 1))
    for found, expected in zip(dealt, feed(part, batch_size=13).epoch(1, 1), strict=True):
        assert found.x.device == found.y.device == gpu.where
        assert torch.equal(found.rows, expected.rows)
        assert torch.equal(found.y.cpu(), expected.y)
        torch.testing.assert_close(found.x.cpu(), expected.x)
