"""Points with a color for the evaluation of hints: where they lie, how well they are kept, and how far they spread.

As Zhang et al. 2017 published it: uniform places, the mean of 6x6 pixels of photos of 256x256 as the color.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pix2pix.color import AB_SCALE, lab_to_rgb_in_gamut, rgb_to_lab

SIDE = 6 / 256  # of a point's square, relative to the photo's side
STRANGE = 20.0  # a color at least so far from the automatic one, in ab, is used to measure the spill
ASKED, DIRECTIONS = 40.0, 8  # how far away it is looked for, and in how many directions of the ab plane
NEAR = 0.25  # of the photo's side: what is nearer to the point is not counted as spill


def draw_squares(numbers: Sequence[int], count: int, size: int, seed: int) -> Tensor:
    """The squares (n, count, 3) of the photos with these numbers: top, left and side in pixels, int64.

    They are uniform over photos of `size` x `size` and follow from the seed and a photo's number alone. The first
    squares are the same for every count.
    """
    side = max(1, round(SIDE * size))
    places = [np.random.default_rng((seed, number)).random((count, 2)) for number in numbers]
    corners = torch.from_numpy(np.stack(places) * (size - side + 1)).floor().long()
    return torch.cat((corners, torch.full_like(corners[..., :1], side)), dim=2)


def square_means(planes: Tensor, squares: Tensor) -> Tensor:
    """Planes (n, c, H, W) and squares (n, count, 3) of one side to the means over the squares, (n, count, c)."""
    means = F.avg_pool2d(planes, int(squares[0, 0, 2]), stride=1)
    places = (squares[..., 0] * means.shape[3] + squares[..., 1]).to(planes.device)
    return means.flatten(2).gather(2, places[:, None].expand(-1, planes.shape[1], -1)).transpose(1, 2)


def adherence(ab: Tensor, asked: Tensor, squares: Tensor) -> Tensor:
    """How far the colors at the points are from what was asked for: the mean distance in ab, (n,) in float64.

    `ab` and `asked` (n, 2, H, W) are in Lab's units; of each square the mean counts.
    """
    distance = (square_means(ab, squares) - square_means(asked, squares)).norm(dim=2)
    return distance.mean(dim=1).cpu().double()


def spill(
    lab: Tensor, with_hints: Callable[[Tensor], Tensor], squares: Tensor, numbers: Sequence[int], seed: int
) -> Tensor:
    """How much one strange point changes the colors far from it: the mean distance in ab, (n,) in float64.

    `lab` (n, 3, H, W) are the automatic colors, `with_hints` gives those with hints (n, 3, H, W), `squares` (n, 1, 3)
    is the point. Its color is at least 20 from the automatic one and inside sRGB at the L there. "Far" is more than a
    quarter of the photo's side away. NaN where there is no such color (near black and white).
    """
    strange = strange_colors(square_means(lab, squares)[:, 0], numbers, seed)
    found = strange.isfinite().all(dim=1)
    hints = lab.new_zeros(len(lab), 3, *lab.shape[2:])
    for plane, color, (top, left, side) in zip(hints, strange.nan_to_num(), squares[:, 0].tolist(), strict=True):
        plane[:2, top : top + side, left : left + side] = (color / AB_SCALE).view(2, 1, 1)
        plane[2, top : top + side, left : left + side] = 1
    change = (with_hints(hints)[:, 1:] - lab[:, 1:]).norm(dim=1)
    far = _distances(squares[:, 0].to(lab.device), *lab.shape[2:]) > NEAR * lab.shape[-1]
    mean = (change * far).sum(dim=(1, 2)) / far.sum(dim=(1, 2))
    return torch.where(found, mean, math.nan).cpu().double()


def strange_colors(lab: Tensor, numbers: Sequence[int], seed: int) -> Tensor:
    """Lab (n, 3) to an ab (n, 2) that is at least 20 away and inside sRGB at that L; NaN where none was found.

    Eight directions are tried in turn, from one that follows from the seed and the photo's number.
    """
    first = [np.random.default_rng((seed, number, 1)).random() for number in numbers]
    turns = lab.new_tensor(first)[:, None] + torch.arange(DIRECTIONS, device=lab.device) / DIRECTIONS
    angle = 2 * math.pi * turns
    tried = lab[:, None, 1:] + ASKED * torch.stack((angle.cos(), angle.sin()), dim=2)  # (n, 8, 2)
    ab = (tried / AB_SCALE).clamp(-1, 1).transpose(1, 2)[..., None]
    lightness = (lab[:, 0] / 50 - 1).view(-1, 1, 1, 1).expand(-1, 1, DIRECTIONS, 1)
    shown = rgb_to_lab(lab_to_rgb_in_gamut(lightness, ab).float() / 255)[:, 1:, :, 0].transpose(1, 2)
    strange = (shown - lab[:, None, 1:]).norm(dim=2) >= STRANGE
    chosen = strange.int().argmax(dim=1)
    color = shown[torch.arange(len(lab), device=lab.device), chosen]
    return torch.where(strange.any(dim=1, keepdim=True), color, math.nan)


def _distances(squares: Tensor, height: int, width: int) -> Tensor:
    """Squares (n, 3) to the distance (n, H, W) of every pixel's center from the square's, in pixels."""
    top, left, side = squares.float().unbind(1)
    rows, columns = (torch.arange(count, device=squares.device) + 0.5 for count in (height, width))
    down = (rows - (top + side / 2)[:, None]).square()[:, :, None]
    across = (columns - (left + side / 2)[:, None]).square()[:, None, :]
    return (down + across).sqrt()
