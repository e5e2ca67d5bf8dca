"""The processes that train one network together: what each has of a batch, and sums over all of them.

One process is a group, too, in which nothing is exchanged. ``torchrun`` tells a process its place; see
``components/processes``.
"""

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.autograd.function import Function
from torch.distributed import PrefixStore  # type: ignore[attr-defined]  # public, though its types do not say so
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

#: A process that a sum waits for so long is lost.
PATIENCE = timedelta(minutes=10)


@dataclass(frozen=True)
class Group:
    """The processes of a training.

    Attributes:
        rank: Of this process; the one of rank 0 speaks and writes.
        size: How many they are.
        local_rank: Of this process among those of its machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @classmethod
    def current(cls) -> "Group":
        """Return the group that this process joined; one of its own if it joined none."""
        if not (distributed.is_available() and distributed.is_initialized()):
            return cls()
        return cls(distributed.get_rank(), distributed.get_world_size(), int(os.environ.get("LOCAL_RANK", "0")))

    @staticmethod
    def join() -> "Group":
        """Meet the others, as ``torchrun`` says in the environment; on GPUs by NCCL, for sums on a CPU by gloo."""
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        store, rank, size = next(rendezvous("env://", timeout=PATIENCE))
        # torchrun keeps one store for all its attempts: addresses of processes that are gone must not be read again.
        own = PrefixStore(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"), store)
        distributed.init_process_group(backend, timeout=PATIENCE, store=own, rank=rank, world_size=size)
        return Group.current()

    @staticmethod
    def leave() -> None:
        """Part from the others."""
        distributed.destroy_process_group()

    def share(self, rows: Tensor) -> Tensor:
        """Return this process's rows of a batch; shares differ by at most one."""
        return torch.tensor_split(rows, self.size)[self.rank]

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum of the values of all processes, everywhere the same; no gradient goes through."""
        if self.size == 1:
            return values
        summed = values.detach().clone()
        distributed.all_reduce(summed)
        return summed

    def give(self, content: bytes | None) -> bytes | None:
        """Return what the process of rank 0 gave."""
        if self.size == 1:
            return content
        given: list[Any] = [None if content is None else len(content)]
        distributed.broadcast_object_list(given, src=0)
        if given[0] is None:
            return None
        buffer = torch.zeros(given[0], dtype=torch.uint8)
        if self.rank == 0 and content is not None:
            buffer.copy_(torch.frombuffer(bytearray(content), dtype=torch.uint8))
        distributed.broadcast(buffer, src=0)
        return buffer.numpy().tobytes()

    def parallel(self, network: nn.Module) -> nn.Module:
        """Return a network whose gradients are the mean over all processes; the batch norms see all rows of a batch."""
        if self.size == 1:
            return network
        return DistributedDataParallel(_joined(network), gradient_as_bucket_view=True)


class _Sum(Function):
    """A sum over all processes that gradients go through; torch's own is deprecated."""

    @staticmethod
    def forward(context: Any, values: Tensor) -> Tensor:  # noqa: ARG004 (torch's signature)
        summed = values.clone()
        distributed.all_reduce(summed)
        return summed

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:  # noqa: ARG004 (torch's signature)
        summed = gradients[0].clone()
        distributed.all_reduce(summed)
        return summed


class JoinedBatchNorm(nn.BatchNorm2d):
    """A batch norm over the rows of all processes, as torch's SyncBatchNorm is, which knows no CPU.

    Without it, every process would normalise its share by itself, and gradients were not those of the whole batch.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x of shape (rows, channels, height, width)."""
        if not self.training:
            return super().forward(x)
        values = x.float()
        count = values.new_full((1,), values.numel() / values.shape[1])
        sums: Tensor = _Sum.apply(torch.cat([values.sum((0, 2, 3)), count]))
        mean, count = sums[:-1] / sums[-1], sums[-1]
        centred = values - mean[:, None, None]
        variance: Tensor = _Sum.apply(centred.square().sum((0, 2, 3))) / count
        self._learn(mean.detach(), (variance * (count / (count - 1))).detach())
        scaled = centred * (torch.rsqrt(variance + self.eps) * self.weight)[:, None, None] + self.bias[:, None, None]
        return scaled.to(x.dtype)

    def _learn(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


def _joined(network: nn.Module) -> nn.Module:
    """Make every batch norm of a network a joined one, in place: weights, names and statistics stay."""
    for layer in network.modules():
        if type(layer) is nn.BatchNorm2d:
            layer.__class__ = JoinedBatchNorm
    return network
