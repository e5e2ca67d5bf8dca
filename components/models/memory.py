"""Memory that runs out in training, told with what to try instead."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from components.errors import TrainingError
from components.models.settings import Network

#: What torch and the libraries of a GPU say; most have no class of error for it.
NO_MEMORY = ("DefaultCPUAllocator", "can't allocate memory", "not enough memory")
NO_GPU_MEMORY = ("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")


@contextmanager
def fitting(settings: Network) -> Iterator[None]:
    """Tell memory that runs out as an error that names the batch size to try.

    Raises:
        TrainingError: Memory ran out.
    """
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError, RuntimeError) as error:
        if not _about_memory(error):
            raise
        smaller = max(2 * settings.processes, settings.batch_size // 2)
        way = f"try train.batch_size={smaller}" if smaller < settings.batch_size else "try smaller pictures, data.size"
        of_gpu = isinstance(error, torch.OutOfMemoryError) or any(words in str(error) for words in NO_GPU_MEMORY)
        where = "the GPU's memory" if of_gpu else "memory"
        raise TrainingError(f"out of {where} with train.batch_size={settings.batch_size}; {way}") from None


def _about_memory(error: BaseException) -> bool:
    known = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return known or any(words in str(error) for words in NO_MEMORY + NO_GPU_MEMORY)
