"""Where the points of an evaluation lie, and its two measures on colors that are made up."""

import numpy as np
import pytest
import torch

from pix2pix.color import lab_to_rgb_in_gamut, rgb_to_lab
from pix2pix.evaluation.points import adherence, draw_squares, spill, square_means, strange_colors


def test_places_are_uniform_and_the_first_ones_stay():
    squares = draw_squares(range(200), 50, 256, seed=3)
    assert squares.shape == (200, 50, 3) and (squares[..., 2] == 6).all()
    corners = squares[..., :2].flatten().double()
    assert corners.min() >= 0 and corners.max() <= 250
    assert np.histogram(corners, bins=5, range=(0, 251))[0] == pytest.approx([4000] * 5, rel=0.06)
    assert torch.equal(draw_squares([7, 9], 5, 256, seed=3), squares[[7, 9], :5])
    assert not torch.equal(draw_squares([7, 9], 5, 256, seed=4), squares[[7, 9], :5])
    assert (draw_squares([0], 1, 64, seed=3)[..., 2] == 2).all()  # in proportion


def test_means_of_squares_by_hand():
    planes = torch.arange(2 * 2 * 8 * 8.0).view(2, 2, 8, 8)
    squares = torch.tensor([[[0, 0, 3], [5, 4, 3]], [[2, 5, 3], [1, 1, 3]]])
    means = square_means(planes, squares)
    for number in range(2):
        for point, (top, left, side) in enumerate(squares[number].tolist()):
            expected = planes[number, :, top : top + side, left : left + side].mean(dim=(1, 2))
            assert torch.allclose(means[number, point], expected)


def test_adherence_is_the_mean_distance_at_the_points():
    asked = torch.zeros(2, 2, 16, 16)
    ab = asked.clone()
    ab[0, :, :8] = torch.tensor([3.0, 4.0]).view(2, 1, 1)  # 5 away in the upper half
    squares = torch.tensor([[[1, 1, 2], [12, 12, 2]]] * 2)
    assert adherence(ab, asked, squares).tolist() == pytest.approx([2.5, 0])


def test_spill_counts_what_is_far_from_the_point_only():
    lab = torch.zeros(2, 3, 32, 32)
    lab[:, 0] = 50
    squares = torch.tensor([[[2, 2, 4]]] * 2)
    given = []

    def with_hints(hints):
        given.append(hints)
        changed = lab.clone()
        changed[0, 1, :8, :8] += 50  # near the point
        changed[0, 2, 16:] += 6  # half of the photo, far away
        return changed

    found = spill(lab, with_hints, squares, [0, 1], seed=5)
    rows, columns = np.mgrid[:32, :32] + 0.5
    far = np.hypot(rows - 4, columns - 4) > 8
    assert found.tolist() == pytest.approx([6 * 16 * 32 / far.sum(), 0], rel=1e-5)
    (hints,) = given
    assert hints[:, 2].sum().tolist() == 2 * 16 and hints[:, 2, 2:6, 2:6].all()
    assert (110 * hints[:, :2, 3, 3].norm(dim=1) >= 20).all()


def test_strange_colors_are_real_colors_at_least_20_away():
    generator = torch.Generator().manual_seed(0)
    lab = torch.rand(64, 3, generator=generator) * torch.tensor([60.0, 40.0, 40.0]) + torch.tensor([20.0, -20.0, -20.0])
    strange = strange_colors(lab, range(64), seed=1)
    assert ((strange - lab[:, 1:]).norm(dim=1) >= 20 - 1e-3).all()
    lightness = (lab[:, 0] / 50 - 1).view(-1, 1, 1, 1)
    shown = rgb_to_lab(lab_to_rgb_in_gamut(lightness, strange.view(-1, 2, 1, 1) / 110) / 255)[:, 1:, 0, 0]
    assert (shown - strange).norm(dim=1).max() < 2.5  # sRGB has them at that L
    assert strange_colors(torch.tensor([[0.0, 0, 0], [100.0, 0, 0]]), [0, 1], seed=1).isnan().all()
