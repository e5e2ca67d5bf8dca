"""The NVIDIA GPUs of this machine as the driver's management library (NVML) sees them: how busy, and how full.

The library comes with the driver, so most machines have none; then there are no GPUs to tell of, and that is no error.
No CUDA context is made, so looking takes no memory of a GPU. ``components.usage`` and the command line may import it.
"""

import ctypes
import os
from collections.abc import Mapping
from typing import Self

LIBRARY = "libnvidia-ml.so.1"


class _Memory(ctypes.Structure):
    """``nvmlMemory_t``, in bytes."""

    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


class _Utilization(ctypes.Structure):
    """``nvmlUtilization_t``, in percent of the library's last sample period."""

    _fields_ = (("gpu", ctypes.c_uint), ("memory", ctypes.c_uint))


class Gpus:
    """GPUs that can be looked at again and again.

    Args:
        library: NVML, begun.
        handles: One per GPU.
    """

    def __init__(self, library: ctypes.CDLL, handles: list[ctypes.c_void_p]) -> None:
        self._library, self._handles = library, handles

    @classmethod
    def open(cls, most: int | None = None, environment: Mapping[str, str] = os.environ) -> Self | None:
        """Find the GPUs that this process may use: those of ``CUDA_VISIBLE_DEVICES`` where it is set, else all.

        Args:
            most: Only so many of them, the first.
            environment: Of the process.

        Returns:
            None where there is no NVML, no driver or no GPU.
        """
        try:
            nvml = ctypes.CDLL(LIBRARY)
        except OSError:
            return None
        if nvml.nvmlInit_v2():
            return None
        handles = _handles(nvml, environment.get("CUDA_VISIBLE_DEVICES"))[:most]
        return cls(nvml, handles) if handles else None

    def __len__(self) -> int:
        return len(self._handles)

    def look(self) -> dict[str, float]:
        """Return ``gpu_percent``, the GPUs' mean, and ``gpu_memory_mb``, their sum; what no GPU tells is left out."""
        busy, memory = _Utilization(), _Memory()
        shares, used = [], []
        for handle in self._handles:
            if not self._library.nvmlDeviceGetUtilizationRates(handle, ctypes.byref(busy)):
                shares.append(busy.gpu)
            if not self._library.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory)):
                used.append(memory.used)
        told = {"gpu_percent": round(sum(shares) / len(shares), 1)} if shares else {}
        return told | ({"gpu_memory_mb": round(sum(used) / 1e6, 1)} if used else {})


def count() -> int:
    """Return how many GPUs this process may use, 0 where there is none."""
    return len(Gpus.open() or ())


def _handles(nvml: ctypes.CDLL, visible: str | None) -> list[ctypes.c_void_p]:
    """Return the GPUs by index or UUID; like CUDA, the first that does not exist ends the list."""
    if visible is None:
        number = ctypes.c_uint(0)
        nvml.nvmlDeviceGetCount_v2(ctypes.byref(number))
        visible = ",".join(map(str, range(number.value)))
    handles = []
    for name in filter(None, map(str.strip, visible.split(","))):
        handle = ctypes.c_void_p()
        if name.isdecimal():
            refused = nvml.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(int(name)), ctypes.byref(handle))
        else:
            refused = nvml.nvmlDeviceGetHandleByUUID(name.encode(), ctypes.byref(handle))
        if refused:
            break
        handles.append(handle)
    return handles
