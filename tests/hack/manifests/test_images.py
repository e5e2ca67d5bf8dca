import pytest

PATH = "spec template spec containers 0 image"
DIGEST = "sha256:" + "b" * 64


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("slipway/web", "has no tag"),
        ("localhost:5000/slipway/web", "has no tag"),
        ("slipway/web:latest", "the moving tag latest"),
        ("slipway/web:main", "the moving tag main"),
        ("slipway/web:nightly", "the moving tag nightly"),
        ("slipway/web:0.1.0", "a tag and no digest"),
        ("localhost:5000/slipway/web:0.1.0", "a tag and no digest"),
        ("slipway/web@sha256:abc", "has no tag"),
    ],
)
def test_an_image_that_may_be_another_tomorrow_is_found(broken, image, said):
    [(rule, where, text)] = broken.change("deployment/web", PATH, image).found()
    assert (rule, where) == ("image-mutable", "deployment/web[web]")
    assert said in text


@pytest.mark.parametrize("image", [f"slipway/web@{DIGEST}", f"slipway/web:latest@{DIGEST}"])
def test_a_digest_is_enough(broken, image):
    assert broken.change("deployment/web", PATH, image).found() == []


def test_images_of_init_containers_runtimes_and_storage_containers_count(broken):
    broken.change("deployment/web", "spec template spec initContainers 0 image", "a:1")
    broken.change("servingruntime/slipway", "spec containers 0 image", "b:1")
    broken.change("clusterstoragecontainer/slipway", "spec container image", "c:1")
    assert {where for _, where, _ in broken.found()} == {
        "deployment/web[migrate]",
        "inferenceservice/digits[kserve-container]",
        "clusterstoragecontainer/slipway[storage-initializer]",
    }
