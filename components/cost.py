"""What training took of time and machine, and what that cost at the configuration's prices.

A price below zero is refused; a model without an account of its training has none. The configuration, reports, records
and tracking may import it. None of this may get into a package, whose bytes don't depend on time or money.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field

from components.section import Section

HOUR, MINUTE = 3600.0, 60.0
Price = Annotated[float, Field(ge=0)]


class Prices(Section):
    """What an hour costs; what has no price is not counted.

    Attributes:
        currency: Of all prices.
        cpu: One core.
        memory: One GB.
        gpu: One GPU.
    """

    currency: Annotated[str, Field(min_length=1, max_length=8)] = "USD"
    cpu: Price | None = None
    memory: Price | None = None
    gpu: Price | None = None


class Took(BaseModel):
    """What training took.

    Attributes:
        seconds: Wall time over all attempts.
        device: ``cpu``, or the name of the GPU.
        gpus: How many of them.
        processes: How many trained together.
        cores: CPU cores that all of them could use.
        memory_gb: Their largest resident memory, in GB.
    """

    model_config = ConfigDict(frozen=True)

    seconds: float
    device: str
    gpus: int
    processes: int
    cores: float
    memory_gb: float

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Read what training wrote; None where there is no such file, as in a record of an earlier version."""
        return cls.model_validate_json(path.read_bytes()) if path.exists() else None


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What training cost.

    Attributes:
        amount: In the currency.
        currency: As the configuration names it.
        reckoning: How it comes about, as a person would write the sum.
    """

    amount: float
    currency: str
    reckoning: str

    def __str__(self) -> str:
        return f"{_money(self.amount)} {self.currency}"


def cost(took: Took, prices: Prices | None) -> Cost | None:
    """Return what training cost: hours times what is priced of cores, memory and GPUs.

    Args:
        took: What it took.
        prices: Of an hour; what has none costs nothing.

    Returns:
        None where nothing is priced.
    """
    if prices is None:
        return None
    shares = (
        (took.cores, _count(took.cores, "core"), prices.cpu),
        (took.memory_gb, f"{took.memory_gb:.3g} GB", prices.memory),
        (took.gpus, _count(took.gpus, "GPU"), prices.gpu),
    )
    priced = [(amount, told, price) for amount, told, price in shares if price is not None]
    if not priced:
        return None
    hours = took.seconds / HOUR
    terms = " + ".join(f"{told} x {price:g}" for _, told, price in priced)
    amount = hours * sum(amount * price for amount, _, price in priced)
    currency = prices.currency
    return Cost(amount=amount, currency=currency, reckoning=f"{hours:.3g} h x ({terms}) = {_money(amount)} {currency}")


def account(took: Took, price: Cost | None, pace: Sequence[Mapping[str, float]] = ()) -> dict[str, str]:
    """Return what training took, for people, by name.

    Args:
        took: What it took.
        price: What it cost.
        pace: Samples of the loop.
    """
    told = {
        "time": duration(took.seconds),
        "device": f"{took.gpus} x {took.device}" if took.gpus > 1 else took.device,
        "processes": str(took.processes),
        "CPU cores": f"{took.cores:g}",
        "peak memory": f"{took.memory_gb:.2f} GB",
    }
    if pace:
        told["rows per second"] = f"{speed(pace):,.0f}"
    if price:
        told["cost"] = price.reckoning
    return told


def summary(took: Took, price: Cost | None) -> str:
    """Return what training took in one line."""
    where = f"{took.gpus} x {took.device}" if took.gpus > 1 else took.device
    return f"training took {duration(took.seconds)} on {where}" + (f" and cost {price}" if price else "")


def speed(pace: Sequence[Mapping[str, float]]) -> float:
    """Return the median of the rows per second, which a first slow step does not move.

    Args:
        pace: One sample or more.
    """
    ordered = sorted(sample["rows_per_second"] for sample in pace)
    return ordered[len(ordered) // 2]


def read_samples(path: Path) -> list[dict[str, Any]]:
    """Read a list of samples; empty where training wrote none."""
    samples: list[dict[str, Any]] = json.loads(path.read_bytes()) if path.exists() else []
    return samples


def duration(seconds: float) -> str:
    """Return a time as people say it: ``8.3 s``, ``12 min 4 s``, ``3 h 20 min``."""
    tenths, whole = f"{seconds:.1f}", round(seconds)
    if float(tenths) < MINUTE:
        return f"{tenths} s"
    if whole < HOUR:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _count(amount: float, unit: str) -> str:
    return f"{amount:g} {unit}{'' if amount == 1 else 's'}"


def _money(amount: float) -> str:
    """Return an amount with cents, and with more digits where cents would say nothing."""
    return f"{amount:.2f}" if amount >= 1 or amount == 0 else f"{amount:.2g}"
