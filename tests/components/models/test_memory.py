"""Memory that runs out is told with what to try; other errors are not."""

import subprocess
import sys

import pytest
from trainings import ROOT, pictures

from components.errors import TrainingError
from components.models.settings import MnistCnn

torch = pytest.importorskip("torch", reason="torch is not installed")
from components.models.memory import fitting  # noqa: E402 (needs torch)

#: Trains in so much memory as the libraries take and half a GB, where the first convolution alone would take one.
HUNGRY = """
import resource, sys
from pathlib import Path
from components.dataset import Splits
from components.errors import TrainingError
from components.models.network import fit
from components.models.settings import MnistCnn
pages = int(Path("/proc/self/statm").read_text().split()[0])
limit = pages * resource.getpagesize() + 500_000_000
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    fit(MnistCnn(device="cpu", threads=1, batch_size=800), Splits(Path(sys.argv[1])), 0)
except TrainingError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory of a process")
def test_a_batch_that_does_not_fit_into_real_memory_is_told_with_the_size_to_try(tmp_path):
    pictures(tmp_path, (96, 96), rows=800)
    command = [sys.executable, "-c", HUNGRY, str(tmp_path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    told = ended.stdout.splitlines()[-1]
    assert told == "out of memory with train.batch_size=800; try train.batch_size=400"


@pytest.mark.parametrize(
    ("error", "where"),
    [(MemoryError(), "memory"), (torch.OutOfMemoryError("CUDA out of memory"), "the GPU's memory")],
    ids=["python", "gpu"],
)
def test_other_words_for_the_same_are_told_alike(error, where):
    told = f"^out of {where} with train.batch_size=64; try train.batch_size=32$"
    with pytest.raises(TrainingError, match=told), fitting(MnistCnn()):
        raise error


@pytest.mark.parametrize(("batch_size", "processes"), [(2, 1), (8, 4)])
def test_a_batch_that_can_not_be_smaller_leaves_smaller_pictures(batch_size, processes):
    settings = MnistCnn(batch_size=batch_size, processes=processes)
    with pytest.raises(TrainingError, match="try smaller pictures, data.size"), fitting(settings):
        raise MemoryError


def test_a_batch_is_not_halved_below_two_rows_for_each_process():
    with pytest.raises(TrainingError, match="try train.batch_size=8$"), fitting(MnistCnn(batch_size=9, processes=4)):
        raise MemoryError


@pytest.mark.parametrize(
    "error", [RuntimeError("mat1 and mat2 shapes cannot be multiplied"), ValueError("no"), KeyError()]
)
def test_what_is_not_about_memory_passes_through(error):
    with pytest.raises(type(error)) as caught, fitting(MnistCnn()):
        raise error
    assert caught.value is error
