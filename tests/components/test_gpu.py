"""GPUs as NVML tells of them, through a library of the same functions that a C compiler makes here."""

import pytest
from nvml import compiled

from components import gpu
from components.gpu import Gpus


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return compiled(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def _nvml(library, monkeypatch):
    monkeypatch.setattr(gpu, "LIBRARY", library)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.usefixtures("_nvml")
def test_utilisation_is_the_mean_and_memory_the_sum():
    found = Gpus.open()
    assert len(found) == gpu.count() == 3
    assert found.look() == {"gpu_percent": 50.0, "gpu_memory_mb": 70501.0}


@pytest.mark.usefixtures("_nvml")
@pytest.mark.parametrize(
    ("visible", "told"),
    [
        ("0", {"gpu_percent": 90.0, "gpu_memory_mb": 70000.0}),
        ("1,0", {"gpu_percent": 50.0, "gpu_memory_mb": 70500.0}),
        (" GPU-bbbb ", {"gpu_percent": 10.0, "gpu_memory_mb": 500.0}),
        ("MIG-cccc", {"gpu_memory_mb": 1.0}),
        ("1,7,0", {"gpu_percent": 10.0, "gpu_memory_mb": 500.0}),
    ],
)
def test_only_gpus_that_the_process_may_use_are_looked_at(visible, told):
    assert Gpus.open(environment={"CUDA_VISIBLE_DEVICES": visible}).look() == told


@pytest.mark.usefixtures("_nvml")
@pytest.mark.parametrize("visible", ["", "-1", "GPU-unknown", "9"])
def test_a_process_without_a_gpu_has_none(visible):
    assert Gpus.open(environment={"CUDA_VISIBLE_DEVICES": visible}) is None


@pytest.mark.usefixtures("_nvml")
def test_only_as_many_as_are_worked_on_are_looked_at():
    assert Gpus.open(1).look() == {"gpu_percent": 90.0, "gpu_memory_mb": 70000.0}
    assert Gpus.open(0) is None


def test_a_machine_without_the_library_has_no_gpu(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "LIBRARY", str(tmp_path / "none.so"))
    assert Gpus.open() is None
    assert gpu.count() == 0


def test_a_library_whose_driver_is_not_there_has_no_gpu(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "LIBRARY", compiled(tmp_path, start=9))
    assert Gpus.open() is None
