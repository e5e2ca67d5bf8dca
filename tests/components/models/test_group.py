"""Two processes on their shares of a batch learn what one learns of all of it."""

import multiprocessing

import pytest
from trainings import pictures

torch = pytest.importorskip("torch", reason="torch is not installed")
from joined import everything, measure, uneven  # noqa: E402 (needs torch)
from safetensors.torch import load_file  # noqa: E402 (comes with torch)

from components.models.group import Group, JoinedBatchNorm  # noqa: E402 (needs torch)

SIZE = 2


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What one process finds alone, and what two find together."""
    place = tmp_path_factory.mktemp("joined")
    splits = uneven(pictures(place / "splits", (8, 8), rows=44))
    store = torch.distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=measure, args=(rank, SIZE, store.port, splits.directory, place)) for rank in range(SIZE)
    ]
    for process in processes:
        process.start()
    threads = torch.get_num_threads()
    alone = everything(Group(), splits)
    torch.set_num_threads(threads)
    for process in processes:
        process.join(90)
    codes = [process.exitcode for process in processes]
    for process in processes:
        process.kill()
    assert codes == [0] * SIZE
    return alone, [load_file(place / f"{rank}.safetensors") for rank in range(SIZE)]


def test_gradients_losses_and_norms_are_those_of_one_process_with_all_rows(found):
    alone, both = found
    steps = [name.rpartition(" ")[2] for name in alone if name.startswith("gradient of")]
    assert steps == ["1", "2", "3", "4"]
    for step in steps:
        expected = alone[f"gradient of step {step}"]
        for one in both:
            assert torch.linalg.norm(one[f"gradient of step {step}"] - expected) < 1e-5 * torch.linalg.norm(expected)
            for name in (f"loss of step {step}", f"norm of step {step}"):
                torch.testing.assert_close(one[name], alone[name], rtol=1e-5, atol=0)


def test_both_processes_have_the_same_bits(found):
    _, (one, other) = found
    for name, value in one.items():
        if not name.startswith(("pictures", "out", "gradient 0", "gradient 1")):
            assert torch.equal(value, other[name]), name


def test_pictures_are_shared_out_and_changed_as_one_process_changes_them(found):
    alone, both = found
    for step, shares in ((1, (7, 6)), (4, (3, 2))):
        dealt = [one[f"pictures of step {step}"] for one in both]
        assert tuple(map(len, dealt)) == shares
        torch.testing.assert_close(torch.cat(dealt), alone[f"pictures of step {step}"])


@pytest.mark.parametrize("momentum", [0.1, None])
def test_a_joined_batch_norm_is_a_batch_norm_of_all_rows(found, momentum):
    alone, both = found
    for name in (f"{what} {batch} {momentum}" for what in ("out", "gradient") for batch in range(2)):
        torch.testing.assert_close(torch.cat([one[name] for one in both]), alone[name], rtol=1e-5, atol=1e-5)
    learned = [name for name in alone if name.endswith(str(momentum)) and name.startswith(("batch norm", "judged"))]
    assert len(learned) == 6
    for name in learned:
        for one in both:
            torch.testing.assert_close(one[name], alone[name], rtol=1e-5, atol=1e-6)


def test_the_statistics_of_a_whole_network_and_its_judgement_are_the_same(found):
    alone, both = found
    names = ["judgement", *(name for name in alone if "running" in name and not name.startswith("batch norm"))]
    assert len(names) == 5
    for name in names:
        for one in both:
            torch.testing.assert_close(one[name], alone[name], rtol=1e-5, atol=1e-6)


def test_all_have_what_the_first_gave_and_the_sum_of_all(found):
    alone, both = found
    for one in both:
        assert bytes(one["given"].tolist()) == b"checkpoint"
        assert one["summed"].tolist() == [3, 1]
    assert alone["summed"].tolist() == [1.5, 0]


def test_a_process_alone_is_a_group_in_which_nothing_is_exchanged():
    group, network, values = Group.current(), torch.nn.BatchNorm2d(1), torch.ones(3)
    assert group == Group(0, 1, 0)
    assert group.sum(values) is values
    assert group.give(b"own") == b"own"
    assert group.give(None) is None
    assert group.parallel(network) is network
    assert torch.equal(group.share(values), values)


@pytest.mark.parametrize("size", [2, 3, 5])
def test_shares_are_all_rows_in_order_and_differ_by_one_at_most(size):
    for rows in range(size, 20):
        shares = [Group(rank, size).share(torch.arange(rows)) for rank in range(size)]
        assert torch.cat(shares).tolist() == list(range(rows))
        assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_joined_batch_norm_that_does_not_learn_is_a_plain_one():
    plain, joined = torch.nn.BatchNorm2d(2).eval(), JoinedBatchNorm(2).eval()
    x = torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(joined(x), plain(x))
