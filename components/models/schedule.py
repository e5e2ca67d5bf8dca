"""The optimizer of a network, and the size of its steps over time."""

import math
from collections.abc import Callable

import torch
from torch import nn

from components.models.settings import Network

THIRDS = 3


def optimizer_of(network: nn.Module, settings: Network) -> torch.optim.Optimizer:
    """Return the optimizer that the settings name, for the weights that are learned."""
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    rate, decay = settings.learning_rate, settings.weight_decay
    match settings.optimizer:
        case "sgd":
            nesterov = settings.momentum > 0
            return torch.optim.SGD(weights, rate, settings.momentum, weight_decay=decay, nesterov=nesterov)
        case "adamw":
            return torch.optim.AdamW(weights, rate, weight_decay=decay)
        case "adam":
            return torch.optim.Adam(weights, rate, weight_decay=decay)


def schedule_of(settings: Network, steps: int) -> Callable[[int], float]:
    """Return the share of the step size at a step: a ramp, then what the schedule says.

    Args:
        settings: ``warmup``, ``epochs`` and ``schedule``.
        steps: Of an epoch.
    """
    warmup, whole = settings.warmup * steps, settings.epochs * steps

    def share(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        done = min(1.0, (step - warmup) / max(1.0, whole - warmup))
        match settings.schedule:
            case "cosine":
                return 0.5 * (1 + math.cos(math.pi * done))
            case "step":
                return float(0.1 ** int(done * THIRDS))
            case "constant":
                return 1.0

    return share
