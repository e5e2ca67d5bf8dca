"""Several processes that share every batch beside one that has it alone; for ``hack/bench-training --processes N``."""

import multiprocessing
import os
import socket
import tempfile
from collections.abc import Iterable
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import torch
from bench.loops import WORKLOADS, Workload, made, ours, trainer

from components.dataset import Splits
from components.models.group import Group
from components.models.loop import Loop

SPAWN = multiprocessing.get_context("spawn")
PATIENCE = 120.0
Gradients = list[Any]


def together(workloads: Iterable[Workload], processes: int, seconds: float, turns: int) -> None:
    """Print a table: speed, and the gradient of one batch."""
    print(
        f"| network | one process, {processes} threads, rows/s | {processes} processes, a thread each | ratio "
        "| gradients differ, of the largest |\n|---|---|---|---|---|"
    )
    torch.set_num_threads(processes)
    torch.use_deterministic_algorithms(mode=True)
    for workload in workloads:
        with tempfile.TemporaryDirectory() as folder:
            one, several, difference = contest(workload, Path(folder), processes, seconds, turns)
        print(
            f"| {workload.title}, batch {workload.batch} | {one:.0f} | {several:.0f} | {several / one:.2f} "
            f"| {difference:.1e} |",
            flush=True,
        )


def contest(workload: Workload, folder: Path, processes: int, seconds: float, turns: int) -> tuple[float, float, float]:
    """Return rows per second of one process and of several, and how far their gradients are apart."""
    splits = made(folder, workload)
    # Dropped activations are drawn by each process for itself.
    loop = trainer(splits, workload.chosen("cpu", dropout=0.0, threads=processes))
    members = start(workload, folder, processes)
    alone, shared = gradients(loop), receive(members[0])
    difference = apart(alone, [torch.from_numpy(values) for values in shared])
    steps = workload.steps["cpu"]
    bout, times, others = ours(loop, steps), list[float](), list[float]()
    bout()
    while len(times) < turns or sum(times) * steps < seconds:
        times.append(bout())
        for member in members:
            member.send("go")
        others.append(max(receive(member) for member in members))
    for member in members:
        member.send("end")
    return workload.batch / median(times), workload.batch / median(others[1:]), difference


def start(workload: Workload, folder: Path, processes: int) -> list[Connection]:
    """Start the processes; they wait for a word."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    name = next(name for name, known in WORKLOADS.items() if known == workload)
    members = []
    for rank in range(processes):
        mine, theirs = SPAWN.Pipe()
        SPAWN.Process(target=member, args=(name, folder, rank, processes, port, theirs), daemon=True).start()
        theirs.close()
        members.append(mine)
    return members


def member(name: str, folder: Path, rank: int, size: int, port: int, parent: Connection) -> None:
    """Train as one of several, a bout whenever the parent says so."""
    places = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "RANK": rank, "WORLD_SIZE": size, "LOCAL_RANK": rank}
    os.environ.update({place: str(value) for place, value in places.items()} | {"GLOO_SOCKET_IFNAME": "lo"})
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)
    group, workload = Group.join(), WORKLOADS[name]
    settings = workload.chosen("cpu", dropout=0.0, threads=1, processes=size)
    loop = trainer(Splits(folder), settings, group=group)
    found = gradients(loop)
    if rank == 0:
        parent.send([gradient.numpy() for gradient in found])
    bout = ours(loop, workload.steps["cpu"])
    while parent.recv() == "go":
        torch.distributed.barrier()
        parent.send(bout())
    group.leave()


def gradients(loop: Loop) -> list[torch.Tensor]:
    """Return the gradients of the first batch."""
    loop.network.train()
    loop.step(next(loop.feed.epoch(1)))
    return [weight.grad.clone() for weight in loop.network.parameters() if weight.grad is not None]


def apart(first: list[torch.Tensor], second: list[torch.Tensor]) -> float:
    """Return the largest difference, as a share of the largest gradient."""
    differences = [(one - other).abs().max().item() for one, other in zip(first, second, strict=True)]
    return max(differences) / max(one.abs().max().item() for one in first)


def receive(member: Connection) -> Any:
    if not member.poll(PATIENCE):
        raise SystemExit(f"a process did not answer in {PATIENCE:.0f} s")
    return member.recv()
