"""Things that get another color for training: on photos made of plain areas, where it is known what is one thing."""

import pytest
import torch

from pix2pix.color import join_lab, lab_to_rgb, rgb_to_lab, split_lab
from pix2pix.data.hint_sampling import sample_hints
from pix2pix.data.recoloring import draw_recoloring, recolor

SIZE = 64


def drawn(count, *, alone=0.0, seed=0):
    """Draws that recolor every photo, and keep the other hints or not."""
    draws = draw_recoloring(count, torch.Generator().manual_seed(seed), 1.0)
    draws[:, 4] = 1.0  # as large as it may be
    draws[:, 5] = alone
    return draws


def squares_at(*places, count=8):
    """The same squares of 2x2 pixels for every photo."""
    return torch.tensor([[row, column, 2] for row, column in places]).expand(count, -1, -1).clone()


def photos_of(lightness, ab):
    """sRGB photos of L and ab that sRGB has."""
    return lab_to_rgb(join_lab(lightness, ab))


def ab_of(photos):
    return split_lab(rgb_to_lab(photos))[1]


@pytest.fixture
def two_things():
    """Eight photos: a dark square inside a light ground, both with little color; a second dark square far away."""
    lightness, ab = torch.full((8, 1, SIZE, SIZE), 0.4), torch.full((8, 2, SIZE, SIZE), 0.03)
    for place in (slice(8, 28), slice(44, 60)):
        lightness[:, :, place, place] = -0.3
        ab[:, :, place, place] = -0.05
    return photos_of(lightness, ab)


def test_the_thing_under_the_first_square_gets_another_color_and_nothing_else(two_things):
    new, squares = recolor(two_things, squares_at((16, 16)), drawn(8))
    moved = 110 * (ab_of(new) - ab_of(two_things)).norm(dim=1)
    assert moved[:, 9:27, 9:27].min() > 10
    moved[:, 8:28, 8:28] = 0
    assert moved.max() < 0.2  # neither the ground nor the other square
    assert torch.equal(new[:, :, 44:60, 44:60], two_things[:, :, 44:60, 44:60])
    assert torch.allclose(rgb_to_lab(new)[:, 0], rgb_to_lab(two_things)[:, 0], atol=0.3)  # L stays
    assert torch.equal(squares, squares_at((16, 16)))
    assert len({tuple(color) for color in (new[:, :, 16, 16] * 20).round().tolist()}) > 4  # not one color for all


def test_the_hint_is_the_new_color_and_other_hints_are_true(two_things):
    new, squares = recolor(two_things, squares_at((16, 16), (50, 50)), drawn(8))
    hints = sample_hints(ab_of(new), squares)
    assert torch.allclose(hints[:, :2, 17, 17], ab_of(new)[:, :, 17, 17], atol=1e-3)
    assert torch.allclose(hints[:, :2, 51, 51], ab_of(two_things)[:, :, 51, 51], atol=1e-3)


def test_a_hint_that_is_alone(two_things):
    _, squares = recolor(two_things, squares_at((16, 16), (50, 50), (2, 2)), drawn(8, alone=1.0))
    assert (squares[:, 0, 2] == 2).all() and not squares[:, 1:, 2].any()


def test_new_colors_exist_and_fade_with_the_distance():
    lightness = torch.linspace(-1, 1, 12).view(12, 1, 1, 1).expand(12, 1, SIZE, SIZE)
    photos = photos_of(lightness, torch.zeros(12, 2, SIZE, SIZE))
    draws = drawn(12)
    new, _ = recolor(photos, squares_at((30, 30), count=12), draws)
    assert new.min() >= 0 and new.max() <= 1
    shown, ab = split_lab(rgb_to_lab(new))
    assert torch.allclose(shown, lightness, atol=0.01)
    assert ab[[0, -1]].abs().max() < 0.01 and ab[1:-1, :, 31, 31].norm(dim=1).min() > 0.02  # black and white stay
    draws[:, 4] = 0.0  # as small as it may be
    near = ab_of(recolor(photos, squares_at((30, 30), count=12), draws)[0])
    assert near[5, :, 31, 31].norm() > 0.1 and near[5, :, :10, :10].abs().max() < 1e-3


@pytest.mark.parametrize("size", [33, 250])
def test_a_thing_is_followed_to_its_end_at_any_size(size):
    """A plain photo, the point near a corner: the color fades by its distance alone, without an edge."""
    photos, draws = torch.full((4, 3, size, size), 0.5), drawn(4)
    draws[:, 3] = 1.0  # the most tolerant
    new = ab_of(recolor(photos, squares_at((1, 1), count=4), draws)[0]).norm(dim=1)
    assert (new[:, 1].diff(dim=1).abs().amax(dim=1) < 8 / size * new[:, 1, 1]).all()
    assert (new[:, 1, size * 9 // 10] > 0.9 * new[:, 1, 1]).all()


def test_photos_that_are_not_drawn_or_have_no_hints_stay(two_things):
    squares, draws = squares_at((16, 16)), drawn(8)
    draws[:4, 0] = 0
    squares[4:6, :, 2] = 0
    new, _ = recolor(two_things, squares, draws)
    changed = (new - two_things).abs().amax(dim=(1, 2, 3)) > 0.05
    assert changed.tolist() == [False] * 6 + [True] * 2
    for nothing in (squares_at((16, 16))[:, :0], squares_at((16, 16)) * 0):
        assert torch.equal(recolor(two_things, nothing, drawn(8))[0], two_things)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_share_is_as_asked(share):
    draws = draw_recoloring(4000, torch.Generator().manual_seed(0), share)
    assert draws[:, 0].mean() == pytest.approx(share, abs=0.02) and draws[:, 5].mean() == pytest.approx(0.5, abs=0.03)


def test_the_same_draws_can_be_shared_out(real_photos):
    photos = torch.stack([torch.from_numpy(photo).permute(2, 0, 1) / 255 for photo in real_photos[:6]])
    squares, draws = squares_at((40, 50), (10, 90), count=6), drawn(6)
    whole, kept = recolor(photos, squares, draws)
    assert (whole - photos).abs().max() > 0.1
    for share in (slice(0, None, 2), slice(1, None, 2)):
        part, part_kept = recolor(photos[share], squares[share], draws[share])
        # what rounding may change: one step of the search for the largest chroma that fits sRGB
        assert torch.allclose(part, whole[share], atol=0.01) and torch.equal(part_kept, kept[share])
