"""Many pictures into one array: what the package's own decoder gives, within a level, on whatever path is fastest."""

import hashlib
import importlib.util
import io
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from components.errors import DataError
from components.sources import decode
from components.sources.decode import read_pictures
from modelpackage import Picture, PictureError

TORCH = all(importlib.util.find_spec(name) for name in ("torch", "torchvision"))
needs_torch = pytest.mark.skipif(not TORCH, reason="torch and torchvision are not installed")
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


def jpeg(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def oriented(orientation: int, order: str) -> bytes:
    exif = Image.Exif()
    exif.endian = order
    exif[0x0112] = orientation
    return exif.tobytes()


@pytest.fixture
def many(monkeypatch):
    """Every folder is worth importing torch for."""
    monkeypatch.setattr(decode, "MANY_BYTES", 0)


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


def assert_within_a_level(paths: list[Path], spec: Picture, target: Path) -> None:
    results = read_pictures(paths, spec, target)
    assert all(result.fault is None for result in results)
    for path, row in zip(paths, np.load(target, allow_pickle=False), strict=True):
        assert np.abs(spec.decode(path.read_bytes()).astype(int) - row).max() <= 1, path.name


@needs_torch
@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("colour", ["rgb", "grey"])
def test_every_picture_is_within_a_level_of_the_packages_own_decoder(varied, tmp_path, colour):
    assert_within_a_level(varied, SPEC.model_copy(update={"colour": colour}), tmp_path / "x.npy")


def test_without_torch_every_picture_is_what_the_packages_own_decoder_gives(varied, tmp_path, many, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    read_pictures(varied, SPEC, tmp_path / "x.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), [SPEC.decode(path.read_bytes()) for path in varied])


@needs_torch
@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("order", ["<", ">"])
def test_jpegs_of_every_orientation_are_upright(tmp_path, order):
    paths = [tmp_path / f"{number}.jpg" for number in range(1, 10)]
    for number, path in enumerate(paths[:8], start=1):
        path.write_bytes(jpeg(photo(60, 90), exif=oriented(number, order)))
    paths[8].write_bytes(jpeg(photo(60, 90), xmp=b'<x:xmpmeta xmlns:x="adobe:ns:meta/" tiff:Orientation="6"/>'))
    assert_within_a_level(paths, SPEC, tmp_path / "x.npy")


def test_whole_upright_jpegs_in_the_wanted_colours_alone_are_plain():
    base = photo(60, 90)
    assert all(decode._plain(raw, "RGB") for raw in (jpeg(base), jpeg(base, progressive=True)))
    assert decode._plain(jpeg(base.convert("L")), "L")
    turned, cut = jpeg(base, exif=oriented(3, "<")), jpeg(base)[:-2]
    for other in (turned, cut, jpeg(base.convert("L")), jpeg(base.convert("CMYK")), b"", b"\xff\xd8\xff\xd9"):
        assert not decode._plain(other, "RGB")


@needs_torch
@settings(deadline=None, max_examples=60)
@given(st.data())
def test_a_damaged_jpeg_is_judged_as_the_packages_own_decoder_does(data):
    raw = bytearray(jpeg(photo(40, 50)))
    for _ in range(data.draw(st.integers(1, 3))):
        # Half of the damage is in the head, where a byte decides more.
        last = data.draw(st.sampled_from([200, len(raw) - 3]))
        raw[data.draw(st.integers(2, last))] = data.draw(st.integers(0, 255))
    assert outcome(decode._fast(SPEC), bytes(raw)) == outcome(SPEC.decode, bytes(raw))


def outcome(decoder: decode.Decode, raw: bytes) -> str:
    try:
        decoder(raw)
    except PictureError as error:
        return str(error)
    return "decoded"


@needs_torch
@pytest.mark.usefixtures("many")
def test_each_file_has_one_thread_of_torch_which_gets_its_own_back_afterwards(tmp_path):
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    seen: list[int] = []
    try:
        with decode._decoder(SPEC, []):
            worker = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
            worker.start()
            worker.join()
        assert (seen, torch.get_num_threads()) == ([1], 3)
    finally:
        torch.set_num_threads(before)


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


@needs_torch
@pytest.mark.usefixtures("many")
def test_a_cut_jpeg_has_a_fault(tmp_path):
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(jpeg(photo(80, 80))[:-200])
    (result,) = read_pictures([cut], SPEC, tmp_path / "x.npy")
    assert "can't be decoded" in result.fault


def test_a_file_that_is_too_large_is_refused_with_the_digest_of_all_its_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(decode, "MAX_BYTES", 100)
    monkeypatch.setattr("modelpackage.picture.MAX_BYTES", 100)
    monkeypatch.setattr(decode, "PIECE_BYTES", 7)
    path = write(tmp_path / "large.png", photo(9, 9))
    (result,) = read_pictures([path], SPEC, tmp_path / "x.npy")
    assert result.digest == hashlib.sha256(path.read_bytes()).digest()
    assert "the most is 100" in result.fault


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(DataError, match="gone.jpg can't be read: No such file or directory; make it readable"):
        read_pictures([tmp_path / "gone.jpg"], SPEC, tmp_path / "x.npy")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
def test_a_full_disk_is_an_error_and_not_the_end_of_the_process(tmp_path):
    path = write(tmp_path / "one.png", photo(9, 9))
    with pytest.raises(OSError, match=os.strerror(28)):
        read_pictures([path], SPEC, Path("/dev/full"))


def test_long_work_tells_how_far_it_is(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(decode, "SECONDS_BETWEEN_LINES", -1.0)
    monkeypatch.setattr(decode, "CHUNK", 1)
    paths = [write(tmp_path / f"{number}.png", photo(4, 4)) for number in range(2)]
    read_pictures(paths, SPEC, tmp_path / "x.npy")
    assert "decoded 1 of 2 pictures" in capsys.readouterr().out


def test_chunks_do_not_change_the_order(tmp_path, monkeypatch):
    paths = [write(tmp_path / f"{number}.png", Image.new("RGB", (4, 4), (number, 0, 0))) for number in range(25)]
    monkeypatch.setattr(decode, "CHUNK", 4)
    read_pictures(paths, SPEC, tmp_path / "x.npy")
    assert np.load(tmp_path / "x.npy")[:, 0, 0, 0].tolist() == list(range(25))
