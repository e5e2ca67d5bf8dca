"""The networks: shapes, sizes they take, and weights that come from a file."""

import pytest

from components.dataset import Rows
from components.errors import TrainingError
from components.models.settings import ImprovedCnn, MnistCnn, ResNet18, SimpleCnn

torch = pytest.importorskip("torch", reason="torch is not installed")
from components.models.networks import batch_norms, build  # noqa: E402 (needs torch)


def rows(*shape: int) -> Rows:
    return Rows(kind="image", labels=("a", "b", "c"), shape=shape, datatype="UINT8", minimum=0.0, maximum=255.0)


@pytest.mark.parametrize("settings", [MnistCnn(), SimpleCnn(), ImprovedCnn(), ResNet18()], ids=lambda s: s.model)
@pytest.mark.parametrize("shape", [(32, 32), (33, 47), (32, 32, 3)])
def test_every_network_gives_a_logit_for_each_class(settings, shape):
    network = build(settings, rows(*shape)).eval()
    x = torch.randn(2, 3 if len(shape) == 3 else 1, *shape[:2])
    with torch.inference_mode():
        assert network(x).shape == (2, 3)


def test_digits_of_eight_pixels_are_large_enough_for_the_small_network_alone():
    build(MnistCnn(), rows(8, 8))
    for settings, side in ((SimpleCnn(), 16), (ResNet18(), 32)):
        with pytest.raises(TrainingError, match=f"at least {side} pixels a side, these are 8 x 8"):
            build(settings, rows(8, 8))


def test_the_simple_network_has_four_convolutions_each_with_batch_norm():
    layers = list(build(SimpleCnn(), rows(64, 64, 3)).modules())
    assert sum(isinstance(layer, torch.nn.Conv2d) for layer in layers) == 4
    assert sum(isinstance(layer, torch.nn.BatchNorm2d) for layer in layers) == 4


def weights(path, **changes):
    from safetensors.torch import save_file
    from torchvision.models import resnet18

    torch.manual_seed(1)
    state = {name: value.clone() for name, value in resnet18().state_dict().items()} | changes
    save_file({name: value for name, value in state.items() if value is not None}, path)
    return state


def test_weights_of_a_file_are_those_of_the_network_but_for_the_last_layer(tmp_path):
    state = weights(tmp_path / "w.safetensors")
    for place in (str(tmp_path / "w.safetensors"), (tmp_path / "w.safetensors").as_uri()):
        network = build(ResNet18(weights=place), rows(32, 32, 3)).network
        assert torch.equal(network.conv1.weight, state["conv1.weight"])
        assert torch.equal(network.layer4[1].bn2.running_var, state["layer4.1.bn2.running_var"])
        assert network.fc[1].weight.shape == (3, 512)


def test_weights_come_from_the_object_store(tmp_path, bucket):
    from components.store import open_store

    state = weights(tmp_path / "w.safetensors")
    open_store(bucket).put("pretrained/w.safetensors", tmp_path / "w.safetensors")
    network = build(ResNet18(weights=f"{bucket}/pretrained/w.safetensors"), rows(32, 32, 3)).network
    assert torch.equal(network.conv1.weight, state["conv1.weight"])


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"layer1.0.conv1.weight": None}, "lacks layer1.0.conv1.weight"),
        ({"conv1.weight": torch.zeros(64, 1, 7, 7)}, r"has conv1.weight of shape \[64, 1, 7, 7\], resnet18 has"),
    ],
)
def test_weights_that_do_not_fit_are_named(tmp_path, changes, told):
    weights(tmp_path / "w.safetensors", **changes)
    with pytest.raises(TrainingError, match=told):
        build(ResNet18(weights=str(tmp_path / "w.safetensors")), rows(32, 32, 3))


def test_a_file_that_holds_something_else_is_refused_unread(tmp_path):
    (tmp_path / "w.pth").write_bytes(b"\x80\x04cposix\nsystem\n.")
    for name in ("w.pth", "none.safetensors"):
        with pytest.raises(TrainingError, match="is no .safetensors file that can be read"):
            build(ResNet18(weights=str(tmp_path / name)), rows(32, 32, 3))


def test_a_frozen_network_trains_its_last_layer_alone():
    network = build(ResNet18(freeze=True), rows(32, 32, 3))
    trained = [name for name, weight in network.named_parameters() if weight.requires_grad]
    assert trained == ["network.fc.1.weight", "network.fc.1.bias"]
    assert len(batch_norms(network)) == 20
    assert batch_norms(build(ResNet18(), rows(32, 32, 3))) == []
