"""The pictures in a profile."""

import base64
import io
import re

import numpy as np
import pytest
import snapshots
from PIL import Image

from components.profile.pictures import COLOURS, LONGEST_SIDE, MOST_CLASSES, SAMPLES, render_pictures
from components.snapshot import Snapshot


def draw(snapshot: Snapshot) -> str:
    return render_pictures(snapshot, np.zeros_like(snapshot.y))


def images(drawn: str) -> list[tuple[str, Image.Image]]:
    found = re.findall(r'<img[^>]* alt="(.*?)" src="data:image/png;base64,(.*?)">', drawn)
    return [(alt, Image.open(io.BytesIO(base64.b64decode(encoded)))) for alt, encoded in found]


def test_each_class_has_its_mean_and_its_samples():
    found = images(draw(snapshots.pictures(snapshots.noise(23, 6, 4), [0] * 20 + [1] * 3)))
    assert [alt for alt, _ in found] == [
        "mean of cat",
        *["sample of cat"] * SAMPLES,
        "mean of dog",
        *["sample of dog"] * 3,
    ]
    assert {image.size for _, image in found} == {(4, 6)}


def test_a_mean_is_the_mean_of_its_class():
    x = snapshots.noise(40, 5, 5)
    (_, mean), *_ = images(draw(snapshots.pictures(x, [0, 1] * 20)))
    assert np.abs(np.asarray(mean).astype(float) - x[::2].mean(axis=0)).max() <= 0.51


def test_values_are_drawn_by_the_range_that_they_may_have():
    x = np.full((4, 3, 3), 8, np.float32)
    x[0, 0, 0] = 16
    x[2, 2, 2] = 0
    _, *samples = images(draw(snapshots.pictures(x, [0] * 4, labels=("seven",), maximum=16.0)))
    drawn = np.concatenate([np.asarray(image).reshape(-1) for _, image in samples])
    assert sorted(np.unique(drawn).tolist()) == [0, 128, 255]


def test_the_same_pictures_in_another_order_give_the_same_page():
    x, y = snapshots.noise(60, 5, 5, 3), np.arange(60) % 2
    mixed = np.random.default_rng(3).permutation(60)
    assert draw(snapshots.pictures(x, y)) == draw(snapshots.pictures(x[mixed], y[mixed]))


def test_samples_are_different_pictures():
    x = snapshots.noise(8, 5, 5)
    found = images(draw(snapshots.pictures(x, [0] * 8)))[1:]
    assert {np.asarray(image).tobytes() for _, image in found} == {picture.tobytes() for picture in x}


def test_large_pictures_are_brought_to_a_small_size_and_few_colours():
    drawn = draw(snapshots.pictures(snapshots.noise(2, 300, 150, 3), [0, 1]))
    for _, image in images(drawn):
        assert image.size == (LONGEST_SIDE // 2, LONGEST_SIDE)
        assert len(image.getcolors() or []) <= COLOURS
    assert "pixelated" not in drawn


def test_small_pictures_are_shown_pixel_by_pixel():
    assert draw(snapshots.pictures(snapshots.noise(2, 8, 8), [0, 1])).count('class="pixelated"') == 4


def test_of_many_classes_the_first_ones_are_shown():
    labels = tuple(f"class {index}" for index in range(MOST_CLASSES + 5))
    drawn = draw(snapshots.pictures(snapshots.noise(len(labels), 4, 4), list(range(len(labels))), labels=labels))
    assert drawn.count('class="gallery"') == MOST_CLASSES
    assert f"the first {MOST_CLASSES} of {len(labels)} classes" in drawn


def test_brightness_and_contrast_are_of_the_whole_range():
    x = np.zeros((4, 2, 2), np.uint8)
    x[1, 0] = x[2, :, 0] = 255
    x[3] = 255
    drawn = draw(snapshots.pictures(x, [0, 0, 1, 1]))
    assert "histogram of brightness, from 0 to 100" in drawn
    assert "histogram of contrast, from 0 to 50" in drawn


def test_of_very_many_pictures_evenly_chosen_ones_are_measured(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("components.profile.pictures.MEASURED_VALUES", 16 * 10)
    monkeypatch.setattr("components.dataset.CHUNK_BYTES", 16 * 3)
    x, y = snapshots.noise(500, 4, 4), [0] * 499 + [1]
    drawn = draw(snapshots.pictures(x, y))
    measured = int(re.findall(r"(\d+) of 500 pictures, evenly chosen", drawn)[0])
    assert 10 <= measured <= 10 + 2 * SAMPLES
    # Of the one dog the mean is the dog, although hardly any picture is measured.
    mean = next(image for alt, image in images(drawn) if alt == "mean of dog")
    assert np.array_equal(np.asarray(mean), x[499])


def test_names_of_classes_are_escaped():
    drawn = draw(snapshots.pictures(snapshots.noise(4, 4, 4), [0, 1, 0, 1], labels=('"><script>', "b")))
    assert "<script" not in drawn
    assert "mean of &quot;&gt;&lt;script&gt;" in drawn
