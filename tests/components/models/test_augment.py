"""Each random change does what it says, to every picture in its own way, and nothing at strength zero."""

import pytest

from components.models.settings import Augment

torch = pytest.importorskip("torch", reason="torch is not installed")
from components.models.augment import _moved, augment  # noqa: E402 (needs torch)
from components.models.chance import Chance  # noqa: E402 (needs torch)
from components.models.group import Group  # noqa: E402 (needs torch)


def batch(rows: int = 64, height: int = 12, width: int = 12) -> "torch.Tensor":
    return torch.rand(rows, 3, height, width, generator=torch.Generator().manual_seed(0))


def changed(pictures, span: float = 2.0, seed: int = 1, **settings):
    chance = Chance(seed, len(pictures), Group(), torch.device("cpu"))
    return augment(pictures, Augment(**settings), span, chance)


ALL = {"flip": True, "shift": 0.1, "zoom": 0.2, "rotation": 20, "brightness": 0.2, "contrast": 0.3, "noise": 0.1}


def test_no_strength_changes_nothing():
    assert changed(batch()) is not None
    assert torch.equal(changed(batch()), batch())


@pytest.mark.parametrize("name", ALL)
def test_one_seed_gives_one_result_and_another_gives_another(name):
    one, same, other = (changed(batch(), seed=seed, **{name: ALL[name]}) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert one.shape == batch().shape
    assert torch.isfinite(one).all()


@pytest.mark.parametrize("name", ALL)
def test_pictures_are_changed_each_in_its_own_way(name):
    same = batch(1).expand(64, -1, -1, -1)
    assert len({row.numpy().tobytes() for row in changed(same, **{name: ALL[name]})}) > 1


def test_about_half_of_the_pictures_are_mirrored_and_the_others_are_as_they_were():
    pictures = batch(400)
    found = changed(pictures, flip=True)
    kept = [torch.equal(a, b) for a, b in zip(found, pictures, strict=True)]
    mirrored = [torch.equal(a, b.flip(2)) for a, b in zip(found, pictures, strict=True)]
    assert all(k != m for k, m in zip(kept, mirrored, strict=True))
    assert 150 < sum(mirrored) < 250


def test_brightness_moves_all_values_alike_and_no_further_than_said():
    pictures = batch()
    moves = changed(pictures, brightness=0.25) - pictures
    assert (moves.amax(dim=(1, 2, 3)) - moves.amin(dim=(1, 2, 3))).max() < 1e-5
    assert 0.25 < moves.abs().max() <= 0.5 + 1e-6


def test_contrast_keeps_the_mean_and_stretches_around_it():
    pictures = batch()
    found = changed(pictures, contrast=0.5)
    torch.testing.assert_close(found.mean(dim=(1, 2, 3)), pictures.mean(dim=(1, 2, 3)))
    ratio = found.std(dim=(1, 2, 3)) / pictures.std(dim=(1, 2, 3))
    assert 0.5 - 1e-4 <= ratio.min() < 0.7
    assert 1.3 < ratio.max() <= 1.5 + 1e-4


def test_noise_has_the_strength_that_was_said():
    pictures = torch.zeros(64, 1, 20, 20)
    assert changed(pictures, noise=0.1).std().item() == pytest.approx(0.2, rel=0.05)


def test_a_turn_of_a_quarter_is_a_turn_of_a_quarter_even_where_the_picture_is_not_square():
    class Most(Chance):
        """Draws the largest number there is."""

        def uniform(self):
            return torch.ones(1)

    pictures = torch.zeros(1, 1, 9, 15)
    pictures[:, :, 4, 5:10] = 1
    turned = _moved(pictures, Augment(rotation=90), Most(0, 1, Group(), torch.device("cpu")))
    expected = torch.zeros(1, 1, 9, 15)
    expected[:, :, 2:7, 7] = 1
    torch.testing.assert_close(turned, expected, atol=1e-4, rtol=0)


def test_a_shift_stays_within_its_share_of_the_side():
    pictures = torch.zeros(200, 1, 21, 21)
    pictures[:, :, 10, 10] = 1
    found = changed(pictures, shift=0.2)
    where = found.flatten(1).argmax(dim=1)
    rows, columns = where // 21, where % 21
    assert (rows - 10).abs().max() <= 5
    assert (columns - 10).abs().max() <= 5
    assert rows.min() < 8
    assert rows.max() > 12


def test_a_zoom_enlarges_and_never_shrinks():
    pictures = torch.zeros(100, 1, 32, 32)
    pictures[:, :, 12:20, 12:20] = 1
    area = changed(pictures, zoom=0.5).sum(dim=(1, 2, 3)) / 64
    assert area.max() <= 4.2
    assert area.median() > 1.1
