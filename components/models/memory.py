"""Memory that runs out in training, told with what to try instead."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from components.errors import TrainingError
from components.models.settings import Network

#: How torch's allocator of plain memory begins its only words on the matter; it has no class of error for them.
NO_MEMORY = ("DefaultCPUAllocator", "can't allocate memory", "not enough memory")


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
        where = "the GPU's memory" if isinstance(error, torch.OutOfMemoryError) else "memory"
        raise TrainingError(f"out of {where} with train.batch_size={settings.batch_size}; {way}") from None


def _about_memory(error: BaseException) -> bool:
    known = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return known or any(words in str(error) for words in NO_MEMORY)
