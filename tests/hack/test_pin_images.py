import re
import shutil
import subprocess
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
def test_nothing_of_ours_is_left_without_a_registry(script, overlay, tmp_path):
    if not shutil.which("kubectl"):
        pytest.skip("no kubectl on the PATH")
    shutil.copytree(ROOT / "kustomize", tmp_path / "kustomize")
    shutil.copytree(ROOT / "manifests", tmp_path / "manifests")
    path = tmp_path / "kustomize" / "overlays" / overlay / "kustomization.yaml"
    pins = {image: (f"ghcr.io/someone/{image}", DIGEST) for image in script.wanted(path.read_text())}
    path.write_text(script.pinned(path.read_text(), pins))
    rendered = subprocess.run(["kubectl", "kustomize", path.parent], capture_output=True, text=True, check=True).stdout
    images = set(re.findall(r"^ +(?:- )?image: (.*slipway/.*)$", rendered, re.MULTILINE))
    # Steps of a pipeline lie inside a document of their own, which is compiled anew.
    assert images - {"slipway/component:0.1.0"} == {f"{name}@{digest}" for name, digest in pins.values()}


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
    behind = script.pinned("images:\n- name: x\n  newTag: y\nnamespace: slipway\n", pins)
    assert yaml.safe_load(behind) == {"namespace": "slipway"} | yaml.safe_load(once[once.index("images:") :])


def test_the_image_for_gpus_is_pushed_where_it_is_used(script):
    assert script.GPU in script.wanted("components:\n  - ../../components/gpu\n")
    assert script.GPU not in script.wanted("components:\n  - ../../components/keda\n")


def test_the_images_are_those_that_make_images_builds(script):
    made = (ROOT / "Makefile").read_text()
    assert all(f"$(call image,{image.removeprefix('slipway/')}" in made for image in script.IMAGES)
