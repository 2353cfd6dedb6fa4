import numpy as np
import pytest
import torch
from skimage.color import lab2rgb, rgb2lab

from pix2pix.hints import Point, hint_planes, hold_at_points, reachable_color, resize_hints


def lab_of(rgb):
    return rgb2lab(np.array(rgb, dtype=np.uint8).reshape(1, 1, 3))[0, 0]


def squares(hints):
    """Where the mask is 1: (top, left, bottom, right), ends left out."""
    rows, columns = hints[0, 2].nonzero().T
    return rows.min().item(), columns.min().item(), rows.max().item() + 1, columns.max().item() + 1


@pytest.mark.parametrize(("color", "rgb"), [("#c0392b", (192, 57, 43)), ("Navy", (0, 0, 128)), ("#fff", (255,) * 3)])
def test_a_points_ab_is_its_colors_lab(color, rgb):
    assert np.allclose(np.array(Point(1, 2, color).ab) * 110, lab_of(rgb)[1:], atol=0.02)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ((1, 2, "bleu"), "'bleu' is no color"),
        ((1, 2, 5), "color is 5"),
        ((float("nan"), 2, "red"), "x is nan"),
        ((1, float("inf"), "red"), "y is inf"),
        ((1, 10**400, "red"), "y is 10000"),
        ((True, 2, "red"), "x is True"),
        ((None, 2, "red"), "x is None"),
        (("1", 2, "red"), "x is '1'"),
        ((1, 2, "red", 0), "radius is 0"),
        ((1, 2, "red", -1.5), "radius is -1.5"),
        ((1, 2, "red", None, 0), "page is 0"),
        ((1, 2, "red", None, True), "page is True"),
        ((1, 2, "red", None, None, -1), "frame is -1"),
        ((1, 2, "red", None, None, 1.5), "frame is 1.5"),
        ((1, 2, "red", None, None, None, -0.1), "time is -0.1"),
    ],
)
def test_a_point_of_wrong_values_is_refused(values, reason):
    with pytest.raises(ValueError, match=reason):
        Point(*values)


def test_the_default_patch_is_6_by_6_at_256():
    hints = hint_planes([Point(100, 50, "red")], (256, 256), (256, 256))
    assert hints.shape == (1, 3, 256, 256) and squares(hints) in ((47, 97, 53, 103), (48, 98, 54, 104))
    inside = hints[0, 2] == 1
    assert inside.sum() == 36
    assert torch.allclose(hints[0, :2, inside], torch.tensor(Point(0, 0, "red").ab)[:, None].expand(2, 36))
    assert not hints[0, :, ~inside].any()


def test_a_patch_is_in_proportion_at_every_size_of_photo_and_network():
    for scale in (1, 4, 20):
        for working in (128, 256, 384):
            point = Point(100 * scale, 50 * scale, "red")
            top, left, bottom, right = squares(hint_planes([point], (256 * scale, 512 * scale), (working, 2 * working)))
            side = 6 * working / 256
            assert abs(bottom - top - side) <= 1 and abs(right - left - side) <= 1
            assert abs((top + bottom) / 2 - 50 * working / 256) <= 1.01
            assert abs((left + right) / 2 - 100 * working / 256) <= 1.01


def test_a_radius_is_half_a_patchs_side_in_the_photos_pixels():
    assert squares(hint_planes([Point(50, 60, "red", radius=10)], (100, 200), (100, 200))) == (50, 40, 70, 60)
    assert squares(hint_planes([Point(50, 60, "red", radius=10)], (100, 200), (50, 100))) == (25, 20, 35, 30)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (300, 3000), (3000, 300), (5774, 8660)])
@pytest.mark.parametrize("radius", [None, 0.01, 1e8])
def test_every_point_is_seen_at_every_size(size, radius):
    height, width = size
    for working in ((256, 256), (384, 1536), (1, 1)):
        for x, y in ((0, 0), (width - 1, height - 1), (width // 2, height // 3), (width - 0.001, 0)):
            hints = hint_planes([Point(x, y, "blue", radius=radius)], size, working)
            row = min(int((y + 0.5) * working[0] / height), working[0] - 1)
            column = min(int((int(x) + 0.5) * working[1] / width), working[1] - 1)
            assert hints[0, 2, row, column] == 1 and hints[0, 1, row, column] < -0.5


def test_later_points_lie_over_earlier_ones():
    red, blue = Point(50, 50, "red", radius=8), Point(52, 52, "blue", radius=2)
    hints = hint_planes([red, blue], (100, 100), (100, 100))
    assert hints[0, 1, 52, 52] == pytest.approx(blue.ab[1]) and hints[0, 1, 44, 44] == pytest.approx(red.ab[1])
    assert not (hint_planes([blue, red], (100, 100), (100, 100))[0, 1] < 0).any()


def test_hints_at_another_size_keep_their_colors_and_lose_no_point():
    points = [Point(3, 4, "red", radius=0.4), Point(70, 20, "green", radius=6), Point(95, 40, "gray")]
    hints = hint_planes(points, (48, 96), (48, 96))
    assert resize_hints(hints, (48, 96)) is hints
    for size in ((32, 64), (7, 9), (60, 120)):
        smaller = resize_hints(hints, size)
        assert smaller.shape == (1, 3, *size) and set(smaller[0, 2].unique().tolist()) == {0.0, 1.0}
        for point in points:
            row, column = int((point.y + 0.5) * size[0] / 48), int((point.x + 0.5) * size[1] / 96)
            assert torch.allclose(smaller[0, :, row, column], torch.tensor([*point.ab, 1.0]), atol=1e-5)
        assert not smaller[:, :2].mul(1 - smaller[:, 2:]).any()


def test_a_pixel_that_covers_several_hints_takes_their_mean():
    hints = torch.zeros(1, 3, 4, 4)
    hints[0, :, 0, 0] = torch.tensor([0.2, 0.4, 1.0])
    hints[0, :, 1, 1] = torch.tensor([0.6, -0.2, 1.0])
    assert torch.allclose(resize_hints(hints, (2, 2))[0, :, 0, 0], torch.tensor([0.4, 0.1, 1.0]))


def test_held_colors_are_exact_at_the_points_and_fade_around_them():
    ab = torch.full((1, 2, 64, 64), 0.1)
    point = Point(32, 32, "#2c5fb0", radius=3)
    hints = hint_planes([point], (64, 64), (64, 64))
    held = hold_at_points(ab, hints, torch.zeros(1, 1, 64, 64))
    wanted = torch.tensor(point.ab)
    assert torch.allclose(held[0, :, 32, 32], wanted, atol=1e-6)
    away = (held - ab)[0, 1, 32, 32:].abs()
    assert (away.diff() <= 1e-6).all() and away[5] > 0.3 * away[0] and away[20] < 0.01 * away[0]
    assert torch.equal(hold_at_points(ab, torch.zeros_like(hints), torch.zeros(1, 1, 64, 64)), ab)


def test_held_colors_stop_at_edges_of_lightness():
    ab = torch.zeros(1, 2, 64, 64)
    lightness = torch.full((1, 1, 64, 64), -0.5)
    lightness[..., 36:] = 0.5
    hints = hint_planes([Point(32, 32, "red", radius=2)], (64, 64), (64, 64))
    held = hold_at_points(ab, hints, lightness)[0, 0]
    assert held[32, 36:].abs().max() < 1e-6 < 0.1 < held[32, 35]


def test_each_photo_of_a_batch_is_held_by_its_own_hints():
    ab, lightness = torch.rand(2, 2, 20, 30) - 0.5, torch.rand(2, 1, 20, 30)
    hints = torch.cat((hint_planes([Point(9, 9, "red")], (20, 30), (20, 30)), torch.zeros(1, 3, 20, 30)))
    held = hold_at_points(ab, hints, lightness)
    assert torch.equal(held[1], ab[1]) and not torch.equal(held[0], ab[0])
    assert torch.allclose(held[:1], hold_at_points(ab[:1], hints[:1], lightness[:1]))


@pytest.mark.parametrize(("color", "level"), [("#c0392b", 50), ("#c0392b", 90), ("blue", 80), ("gray", 40)])
def test_the_reachable_color_has_the_hue_asked_for_and_the_photos_lightness(color, level):
    reached = reachable_color(color, level / 50 - 1)
    got = lab_of([int(reached[i : i + 2], 16) for i in (1, 3, 5)])
    wanted = np.array(Point(0, 0, color).ab) * 110
    assert abs(got[0] - level) < 0.6
    if np.hypot(*wanted) < 1:
        assert np.hypot(*got[1:]) < 1
        return
    turn = np.degrees(np.arctan2(got[2], got[1]) - np.arctan2(wanted[1], wanted[0]))
    assert abs((turn + 180) % 360 - 180) < 3
    fits = (np.abs(rgb2lab(lab2rgb([[[level, *wanted]]]))[0, 0] - [level, *wanted]) < 0.5).all()
    assert np.hypot(*got[1:]) < np.hypot(*wanted) + 1 and fits == (np.hypot(*(got[1:] - wanted)) < 1)
