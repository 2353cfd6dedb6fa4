import math

import pytest
import torch

from pix2pix.data.hint_sampling import draw_hints, sample_hints


def draws_of(count, size=256, seed=0, share_without=1 / 3):
    return draw_hints(count, size, torch.Generator().manual_seed(seed), share_without=share_without)


@pytest.fixture(scope="module")
def many():
    return draws_of(6000)


def test_the_number_of_points_is_geometric(many):
    numbers = (many[..., 2] > 0).sum(1).float()
    assert (numbers == 0).float().mean() == pytest.approx(1 / 3, abs=0.02)
    some = numbers[numbers > 0]
    # 8 on average; one photo in twenty has five times as many
    assert some.mean() == pytest.approx(8 * (0.95 + 0.05 * 5), abs=0.6)
    assert (some == 1).float().mean() == pytest.approx(0.95 / 8, abs=0.02)
    assert (some > 16).float().mean() == pytest.approx(0.95 * (7 / 8) ** 16 + 0.05 * (7 / 8) ** 3, abs=0.02)
    assert some.max() > 100


@pytest.mark.parametrize("share", [0.0, 0.125, 1.0])
def test_the_share_without_points_is_as_asked(share):
    numbers = (draws_of(2000, share_without=share)[..., 2] > 0).sum(1)
    assert (numbers == 0).float().mean() == pytest.approx(share, abs=0.02)


def test_patches_have_sides_of_1_to_9_pixels_at_256(many):
    sides = many[..., 2][many[..., 2] > 0]
    counts = sides.bincount()
    assert len(counts) == 10 and counts[0] == 0
    assert torch.allclose(counts[1:] / len(sides), torch.full((9,), 1 / 9), atol=0.01)
    for size, largest in ((128, 5), (512, 18), (32, 1), (1, 1)):
        sides = draws_of(500, size=size)[..., 2]
        assert sides.max() == largest and sides[sides > 0].min() in (1, 2)


def test_half_of_the_places_are_uniform_and_half_about_the_center(many):
    used = many[..., 2] > 0
    centers = ((many[..., :2] + many[..., 2:] / 2) / 256)[used]
    assert centers.mean(0).tolist() == pytest.approx([0.5, 0.5], abs=0.01)
    inner = ((centers - 0.5).abs() < 0.25).all(1).float().mean()
    assert inner == pytest.approx(0.5 * 0.5**2 + 0.5 * math.erf(1 / math.sqrt(2)) ** 2, abs=0.015)
    corners = many[..., :2][used]
    assert corners.min() >= 0 and (corners + many[..., 2:][used]).max() <= 256


def test_the_same_seed_gives_the_same_draws_and_they_can_be_shared_out():
    draws = draws_of(7, size=64)
    assert torch.equal(draws, draws_of(7, size=64)) and not torch.equal(draws, draws_of(7, size=64, seed=1))
    ab = torch.rand(7, 2, 64, 64) - 0.5
    whole = sample_hints(ab, draws)
    for share in (slice(0, None, 2), slice(1, None, 2)):
        assert torch.equal(sample_hints(ab[share], draws[share]), whole[share])


def test_each_patch_holds_the_mean_of_its_pixels_and_later_ones_lie_over_earlier_ones():
    draws = draws_of(12, size=96, share_without=0.25)
    ab = torch.rand(12, 2, 96, 96) - 0.5
    expected = torch.zeros(12, 3, 96, 96)
    for photo, squares in enumerate(draws.tolist()):
        for top, left, side in squares:
            if side:
                place = (slice(top, top + side), slice(left, left + side))
                expected[(photo, slice(0, 2), *place)] = ab[photo][:, place[0], place[1]].mean((1, 2))[:, None, None]
                expected[(photo, 2, *place)] = 1
    assert torch.allclose(sample_hints(ab, draws), expected, atol=1e-6)


def test_without_points_there_are_no_hints():
    ab = torch.rand(3, 2, 32, 32)
    hints = sample_hints(ab, draws_of(3, size=32, share_without=1.0))
    assert hints.shape == (3, 3, 32, 32) and not hints.any()
