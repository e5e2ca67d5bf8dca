from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DIGEST = f"sha256:{'a' * 64}"


@pytest.fixture(scope="module")
def script():
    loader = SourceFileLoader("pin_images", str(ROOT / "hack" / "pin-images"))
    module = module_from_spec(spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


@pytest.mark.parametrize("overlay", ["staging", "production"])
def test_an_overlay_gets_the_digests_and_keeps_the_rest(script, overlay):
    text = (ROOT / "kustomize" / "overlays" / overlay / "kustomization.yaml").read_text()
    pins = {image: (f"ghcr.io/someone/{image}", DIGEST) for image in script.IMAGES}
    pinned = yaml.safe_load(script.pinned(text, pins))
    assert pinned.pop("images") == [
        {"name": image, "newName": f"ghcr.io/someone/{image}", "digest": DIGEST} for image in script.IMAGES
    ]
    assert pinned == yaml.safe_load(text)


def test_a_second_time_replaces_the_first(script):
    pins = {"slipway/mlflow": ("registry/slipway/mlflow", DIGEST)}
    once = script.pinned("resources:\n  - ../../base\n", pins)
    assert script.pinned(once, pins) == once


def test_the_images_are_those_that_make_images_builds(script):
    made = (ROOT / "Makefile").read_text()
    assert all(f"$(call image,{image.removeprefix('slipway/')}" in made for image in script.IMAGES)
