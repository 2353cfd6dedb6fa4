"""Hints for training, drawn from the photos' own colors after Zhang et al. 2017.

The random numbers of a whole batch are drawn on the CPU before it is shared out, as those of `augment` are.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

CHANCE = 1 / 8  # that a point is a photo's last: the number of points is distributed geometrically, 8 on average
MANY, TIMES = 0.05, 5  # this share of photos gets so many times as many points
SIDES = (1, 9)  # of the square patches, in pixels of photos of 256
CENTERED = 0.5  # the share of points that is normally distributed about the center, by a quarter of the side


def draw_hints(count: int, size: int, generator: torch.Generator, *, share_without: float) -> Tensor:
    """Squares (count, points, 3) in photos of `size` x `size`: top, left and side in pixels, int64, for `sample_hints`.

    A side of 0 is no point: photos have different numbers, and `share_without` of them none.
    """
    chance = torch.rand(count, 3, generator=generator)
    number = 1 + (torch.log1p(-chance[:, 0]) / math.log1p(-CHANCE)).floor()
    number = number * torch.where(chance[:, 1] < MANY, TIMES, 1) * (chance[:, 2] >= share_without)
    most = int(number.max()) if count else 0
    draws = torch.rand(count, most, 4, generator=generator)
    normal = 0.5 + 0.25 * torch.randn(count, most, 2, generator=generator)
    places = torch.where(draws[..., :1] < CENTERED, normal, draws[..., 1:3])
    low, high = SIDES
    sides = (low + (high - low + 1) * draws[..., 3:]).floor() * size / 256
    sides = (sides + 0.5).floor().clamp(1, size)
    corners = (places * size - sides / 2).round().clamp(min=0).minimum(size - sides)
    used = torch.arange(most) < number[:, None]
    return torch.cat((corners, sides * used[..., None]), dim=2).long()


def sample_hints(ab: Tensor, squares: Tensor) -> Tensor:
    """ab (N, 2, H, W) in [-1, 1] and the squares (N, points, 3) to hints (N, 3, H, W): ab and a mask.

    Each square's hinted ab is its mean ab; where squares overlap the later one counts.
    """
    count, _, height, width = ab.shape
    squares = squares.to(ab.device)
    if squares.shape[1] == 0:
        return ab.new_zeros(count, 3, height, width)
    top, left, side = (part[..., None] for part in squares.unbind(2))
    step = torch.arange(int(SIDES[1] * max(height, width) / 256 + 0.5) or 1, device=ab.device)
    down, across = step.repeat_interleave(len(step)), step.repeat(len(step))
    inside = (down < side) & (across < side)
    pixels = torch.where(inside, (top + down) * width + left + across, 0).flatten(1)
    colors = ab.flatten(2).gather(2, pixels[:, None].expand(-1, 2, -1)).unflatten(2, inside.shape[1:])
    means = (colors * inside[:, None]).sum(3) / side.squeeze(2).clamp(min=1).square()[:, None]
    number = (torch.arange(1, squares.shape[1] + 1, device=ab.device)[:, None] * inside).flatten(1)
    last = torch.zeros(count, height * width, dtype=torch.long, device=ab.device)
    last = last.scatter_reduce(1, pixels, number, "amax").gather(1, pixels)  # the last square over each pixel, or 0
    values = torch.cat((means, torch.ones_like(means[:, :1])), dim=1)
    values = torch.cat((torch.zeros_like(values[..., :1]), values), dim=2)  # of no square, then of each
    hints = ab.new_zeros(count, 3, height * width)
    hints.scatter_(2, pixels[:, None].expand(-1, 3, -1), values.gather(2, last[:, None].expand(-1, 3, -1)))
    return hints.unflatten(2, (height, width))
