"""Where a network is trained: a CPU or a GPU, as asked, and never silently the other one."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch

from components.console import say
from components.errors import TrainingError
from components.models.group import Group
from components.models.settings import Network

#: Steps whose losses are looked at together: a look waits for the GPU, which has to stay busy.
GPU_WINDOW = 20


@dataclass(frozen=True)
class Device:
    """Where a network is trained.

    Attributes:
        where: As torch calls it.
        half: Whether the network runs in bfloat16.
        window: So many steps are judged at once.
    """

    where: torch.device
    half: bool

    @property
    def gpu(self) -> bool:
        """Whether it is a GPU."""
        return self.where.type == "cuda"

    @property
    def window(self) -> int:
        """So many steps are judged at once."""
        return GPU_WINDOW if self.gpu else 1

    @property
    def name(self) -> str:
        """What it is called: ``cpu``, or the GPU's product name."""
        return torch.cuda.get_device_name(self.where) if self.gpu else "cpu"

    def settled(self) -> dict[str, str]:
        """Return what ``auto`` came out as, which is part of what a model is."""
        return {"device": self.where.type, "precision": "bfloat16" if self.half else "float32"}


def choose(settings: Network, group: Group) -> Device:
    """Return the device that the settings ask for.

    Args:
        settings: ``device`` and ``precision``.
        group: Every process of a machine gets a GPU of its own.

    Raises:
        TrainingError: A GPU is asked for, or lies idle by accident, and torch can't use it; or there are too few.
    """
    if settings.device == "cpu" or not _gpu_wanted(settings.device):
        if _given() and group.rank == 0:
            say("a GPU is here, and train.device=cpu leaves it idle")
        return Device(torch.device("cpu"), half=settings.precision == "bfloat16")
    if settings.processes // settings.machines > torch.cuda.device_count():
        raise TrainingError(
            f"train.processes={settings.processes} over train.machines={settings.machines} takes a GPU for each "
            f"process, and here are {torch.cuda.device_count()}; set train.processes to the number of GPUs"
        )
    where = torch.device("cuda", group.local_rank)
    torch.cuda.set_device(where)
    able = torch.cuda.is_bf16_supported(including_emulation=False)
    if settings.precision == "bfloat16" and not able:
        raise TrainingError(
            f"train.precision=bfloat16: {torch.cuda.get_device_name(where)} can't; set it to auto or float32"
        )
    return Device(where, half=able and settings.precision != "float32")


def require_compiler(device: Device) -> None:
    """Refuse ``compile`` where nothing can compile what torch writes: C++ for a CPU, C for a GPU.

    Raises:
        TrainingError: There is no compiler.
    """
    own = os.environ.get("CC" if device.gpu else "CXX")
    names = ("cc", "gcc", "clang") if device.gpu else ("c++", "g++", "clang++")
    if not any(shutil.which(name) for name in (own, *names) if name):
        raise TrainingError(
            f"train.compile=true needs a compiler ({', '.join(names)}), and none is here; install one, build an image "
            "with one, or leave train.compile away"
        )


def _gpu_wanted(device: str) -> bool:
    if torch.cuda.is_available():
        return True
    built = "is built without CUDA" if torch.version.cuda is None else "finds no GPU that its driver lets it use"
    if device == "cuda":
        raise TrainingError(
            f"train.device=cuda, but torch {torch.__version__} {built}; give the step a GPU (--gpus 1) and the image "
            "slipway/component-gpu, or set train.device=cpu"
        )
    if _given():
        raise TrainingError(
            f"a GPU is here, but torch {torch.__version__} {built}; use the image slipway/component-gpu, or set "
            "train.device=cpu to train without it"
        )
    return False


def _given(devices: Path = Path("/dev")) -> bool:
    """Tell whether the machine or the cluster gave this process an NVIDIA GPU."""
    return any(devices.glob("nvidia[0-9]*"))
