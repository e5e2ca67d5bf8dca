"""Many pictures into one array: what the package's own decoder gives, within a level, on whatever path is fastest."""

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components import pictures
from components.pictures import read_pictures
from modelpackage import Picture

SPEC = Picture(height=32, width=48, colour="rgb")


def photo(height: int, width: int, seed: int = 0) -> Image.Image:
    """Something like a photograph: smooth, with edges and a little noise."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (7, 9, 3), dtype=np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    noisy = np.asarray(coarse).astype(int) + random.integers(-8, 9, (height, width, 3))
    noisy[height // 3 :, width // 2 :] //= 2
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def write(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


@pytest.fixture(autouse=True)
def threads():
    """Decoding takes torch one thread per file, which the tests after this one shall not notice."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def varied(tmp_path) -> list[Path]:
    exif = Image.Exif()
    exif[0x0112] = 6
    sizes = [(100, 150), (33, 47), (5, 7), (400, 20), (20, 400), (1, 1), (32, 48), (250, 333)]
    found = [write(tmp_path / f"{h}x{w}.jpg", photo(h, w), quality=90) for h, w in sizes]
    base = photo(120, 90, 1)
    return [
        *found,
        write(tmp_path / "444.jpg", base, quality=95, subsampling=0),
        write(tmp_path / "progressive.jpg", base, progressive=True),
        write(tmp_path / "grey.jpg", base.convert("L")),
        write(tmp_path / "cmyk.jpg", base.convert("CMYK")),
        write(tmp_path / "turned.jpg", base, exif=exif),
        write(tmp_path / "rgb.jpg", base, quality=95, keep_rgb=True),
        write(tmp_path / "some.png", base),
        write(tmp_path / "some.webp", base),
        write(tmp_path / "clear.png", base.convert("RGBA")),
    ]


@pytest.mark.parametrize("torch", [True, False])
@pytest.mark.parametrize("colour", ["rgb", "grey"])
def test_every_picture_is_within_a_level_of_the_packages_own_decoder(varied, tmp_path, colour, torch, monkeypatch):
    if not torch:
        monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    spec = SPEC.model_copy(update={"colour": colour})
    results = read_pictures(varied, spec, tmp_path / "x.npy")
    pixels = np.load(tmp_path / "x.npy")
    assert all(result.fault is None for result in results)
    for path, row in zip(varied, pixels, strict=True):
        expected = spec.decode(path.read_bytes())
        assert np.abs(expected.astype(int) - row).max() <= 1, path.name


def test_each_file_has_the_digest_of_its_bytes_and_a_fault_leaves_zeros(tmp_path):
    good, bad = write(tmp_path / "good.png", photo(9, 9)), tmp_path / "bad.jpg"
    bad.write_bytes(good.read_bytes()[:40])
    results = read_pictures([bad, good], SPEC, tmp_path / "x.npy")
    assert [result.digest for result in results] == [hashlib.sha256(p.read_bytes()).digest() for p in (bad, good)]
    assert "can't be decoded" in results[0].fault
    assert results[1].fault is None
    pixels = np.load(tmp_path / "x.npy")
    assert not pixels[0].any()
    assert pixels[1].any()


def test_a_damaged_jpeg_is_judged_by_the_packages_own_decoder(tmp_path):
    buffer = io.BytesIO()
    photo(80, 80).save(buffer, "JPEG")
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(buffer.getvalue()[:-200])
    (result,) = read_pictures([cut], SPEC, tmp_path / "x.npy")
    assert "can't be decoded" in result.fault


def test_blocks_do_not_change_the_order(tmp_path, monkeypatch):
    paths = [write(tmp_path / f"{number}.png", Image.new("RGB", (4, 4), (number, 0, 0))) for number in range(25)]
    monkeypatch.setattr(pictures, "BLOCK", 4)
    read_pictures(paths, SPEC, tmp_path / "x.npy")
    assert np.load(tmp_path / "x.npy")[:, 0, 0, 0].tolist() == list(range(25))
