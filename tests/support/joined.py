"""What two processes find that train together, and one alone that has all rows; ``measure`` is started in each."""

import os
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from components import dataset
from components.dataset import Splits
from components.models.checkpoint import Keeper
from components.models.device import Device
from components.models.export import Served
from components.models.group import Group
from components.models.loop import Loop
from components.models.networks import build
from components.models.settings import Augment, MnistCnn
from components.processes.parent import end_with_parent

#: Rows of a batch of normal numbers, which two processes can't share evenly.
ROWS = 7
#: So often the two meet and are lost before they train.
ATTEMPTS = 6


def measure(rank: int, size: int, port: int, splits: Path, found: Path) -> None:
    """Join the others, train, and write what came of it."""
    names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "MASTER_PORT": port, "LOCAL_WORLD_SIZE": size}
    os.environ.update({name: str(value) for name, value in names.items()})
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "GLOO_SOCKET_IFNAME": "lo", "TORCHELASTIC_USE_AGENT_STORE": "True"}
    for attempt in range(ATTEMPTS):
        # Whoever comes first finds in the store what processes left that are gone, and must not take it for the others.
        os.environ["TORCHELASTIC_RESTART_COUNT"] = str(attempt)
        lost = os.fork()
        if not lost:
            end_with_parent()
            time.sleep(0.2 * rank)
            Group.join()
            os._exit(0)
        assert os.waitpid(lost, 0)[1] == 0
    os.environ["TORCHELASTIC_RESTART_COUNT"] = str(ATTEMPTS)
    group = Group.join()
    assert (group.rank, group.size, group.local_rank) == (rank, size, rank)
    results = everything(group, Splits(splits))
    group.leave()
    save_file(results, found / f"{rank}.safetensors")


def everything(group: Group, splits: Splits) -> dict[str, Tensor]:
    """Return every figure by its name."""
    torch.set_num_threads(1)
    given = group.give(b"checkpoint" if group.rank == 0 else None)
    assert group.give(None) is None
    summed = group.sum(torch.tensor([1.5, group.rank]))
    figures = {"given": torch.tensor(list(given or b"")), "summed": summed}
    for momentum in (0.1, None):
        figures |= {f"{name} {momentum}": value for name, value in normed(group, momentum).items()}
    return figures | trained(group, splits)


def normed(group: Group, momentum: float | None) -> dict[str, Tensor]:
    """Let a batch norm learn from two batches, of which each process has its share."""
    torch.manual_seed(0)
    layer = nn.BatchNorm2d(3, momentum=momentum)
    nn.init.normal_(layer.weight)
    network = group.parallel(nn.Sequential(layer))
    figures = {}
    for batch in range(2):
        x = group.share(torch.randn(ROWS, 3, 4, 5) * 3 + 1).clone().requires_grad_()
        y = network(x)
        (y * y.detach().cos()).sum().mul(group.size).backward()
        figures |= {f"out {batch}": y.detach(), f"gradient {batch}": x.grad / group.size}
    state = {f"batch norm {name}": value.clone() for name, value in layer.state_dict().items()}
    judged = layer.eval()(torch.ones(1, 3, 2, 2)).detach()
    return figures | state | {"judged": judged}


def trained(group: Group, splits: Splits) -> dict[str, Tensor]:
    """Train an epoch whose last batch is odd; the classes weigh unlike."""
    torch.manual_seed(0)
    dataset.MOST_BATCH_ROWS = 5
    settings = MnistCnn(
        batch_size=13,
        processes=group.size,
        dropout=0,
        class_weights="balanced",
        label_smoothing=0.1,
        optimizer="sgd",
        learning_rate=0.01,
        augment=Augment(shift=0.1, noise=0.1, flip=True),
    )
    served = Served(build(settings, splits.rows), splits.preprocessing)
    train, held = splits.part("train"), splits.part("validation")
    cpu = Device(torch.device("cpu"), half=False)
    loop = Loop(served, settings, train, held, 4.0, 0, cpu, group, Keeper(None, 0))
    figures = {}
    loop.network.train()
    for batch in loop.feed.epoch(1):
        loss, norm = loop.step(batch)
        gradients = [weight.grad.flatten() for weight in loop.network.parameters()]
        step = {"loss": group.sum(loss), "norm": norm, "gradient": torch.cat(gradients), "pictures": batch.x}
        figures |= {f"{name} of step {batch.number}": value for name, value in step.items()}
    statistics = {name: value for name, value in loop.network.state_dict().items() if "running" in name}
    judged = torch.tensor(loop._judge())
    return {name: value.clone().contiguous() for name, value in (figures | statistics | {"judgement": judged}).items()}


def uneven(splits: Splits) -> Splits:
    """Give a third of the training rows the second class."""
    path = splits.directory / "train" / "y.npy"
    np.save(path, (np.arange(len(np.load(path))) % 3 == 0).astype(np.int64))
    return splits
