"""Where a network is trained: as asked, and never silently elsewhere."""

from pathlib import Path

import pytest
from trainings import pictures

from components.errors import TrainingError
from components.models.settings import Augment, MnistCnn

torch = pytest.importorskip("torch", reason="torch is not installed")
from components.models import device as module  # noqa: E402 (needs torch)
from components.models.device import GPU_WINDOW, Device, choose  # noqa: E402 (needs torch)
from components.models.group import Group  # noqa: E402 (needs torch)
from components.models.network import fit  # noqa: E402 (needs torch)

no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="torch can use a GPU here")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch can use no GPU here")
ALONE = Group()


@pytest.fixture
def devices(tmp_path, monkeypatch) -> Path:
    """The folder of devices, of a machine without a GPU."""
    original = module._given
    monkeypatch.setattr(module, "_given", lambda: original(tmp_path))
    for name in ("null", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    return tmp_path


@no_gpu
def test_auto_is_a_cpu_in_full_precision_where_no_gpu_is(devices, capsys):
    device = choose(MnistCnn(), ALONE)
    assert device == Device(torch.device("cpu"), half=False)
    assert (device.gpu, device.window, device.name) == (False, 1, "cpu")
    assert device.settled() == {"device": "cpu", "precision": "float32"}
    assert capsys.readouterr().out == ""


@no_gpu
def test_a_gpu_that_is_not_there_is_an_error_with_the_way_out(devices):
    with pytest.raises(TrainingError, match=r"^train.device=cuda, but torch .*give the step a GPU \(--gpus 1\).*=cpu"):
        choose(MnistCnn(device="cuda"), ALONE)


@no_gpu
def test_a_gpu_that_torch_can_not_use_is_no_reason_to_train_without_it(devices):
    (devices / "nvidia0").touch()
    with pytest.raises(
        TrainingError, match=r"^a GPU is here, but torch .*slipway/component-gpu, or set train.device=cpu"
    ):
        choose(MnistCnn(), ALONE)


def test_a_gpu_that_is_left_idle_is_told_once(devices, capsys):
    (devices / "nvidia3").touch()
    for rank in range(2):
        assert choose(MnistCnn(device="cpu", processes=2), Group(rank, 2, rank)).name == "cpu"
    assert capsys.readouterr().out == "[slipway] a GPU is here, and train.device=cpu leaves it idle\n"


def test_half_precision_on_a_cpu_is_had_by_asking_for_it(devices):
    for precision, half in (("auto", False), ("float32", False), ("bfloat16", True)):
        device = choose(MnistCnn(device="cpu", precision=precision), ALONE)
        assert device.half == half
        assert device.settled()["precision"] == ("bfloat16" if half else "float32")


@needs_gpu
def test_auto_is_a_gpu_where_one_is_and_half_precision_where_it_can(capsys):
    device = choose(MnistCnn(), ALONE)
    assert device.gpu
    assert device.window == GPU_WINDOW
    assert device.name == torch.cuda.get_device_name(0)
    assert device.half == torch.cuda.is_bf16_supported()
    assert device.settled()["device"] == "cuda"
    assert not choose(MnistCnn(precision="float32"), ALONE).half


@needs_gpu
def test_more_processes_than_gpus_are_refused():
    count = torch.cuda.device_count()
    settings = MnistCnn(processes=count + 1, batch_size=2 * count + 2)
    with pytest.raises(TrainingError, match=f"train.processes={count + 1} .*here are {count}; set train.processes"):
        choose(settings, Group(count, count + 1, count))


@needs_gpu
def test_a_network_learns_on_a_gpu_in_half_precision_and_its_graph_answers_on_a_cpu(tmp_path):
    import onnxruntime

    splits = pictures(tmp_path)
    settings = MnistCnn(device="cuda", precision="bfloat16", epochs=3, batch_size=12, augment=Augment(noise=0.05))
    trained = fit(settings, splits, 0)
    assert trained.settled == {"device": "cuda", "precision": "bfloat16"}
    test = splits.part("test")
    session = onnxruntime.InferenceSession(trained.graph, providers=["CPUExecutionProvider"])
    (answers,) = session.run(None, test.inputs())
    assert (answers.argmax(axis=1) == test.y).mean() > 0.9
    assert abs(answers - trained.predict(test.inputs())).max() <= trained.tolerance
