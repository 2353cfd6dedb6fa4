"""Training photos in which one thing has another color, and the hint on it says so.

In photos a strange color somewhere tells much about the rest: the light, the place, the season. A network that was
shown true hints alone therefore changes the whole photo for a color that a person only wants on one thing.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from pix2pix.color import AB_SCALE, lab_to_rgb_in_gamut, rgb_to_lab

SHIFT = (20.0, 70.0)  # how far the new color is from the old one, in ab
TOLERANCE = (4.0, 18.0)  # how far the colors of one thing may be from the color at the point; L counts half
SOFT = 5.0  # over this distance more, the new color fades out
REACH = (0.1, 0.7)  # of the photo's side: so far from the point, half of the tolerance is used up
COARSE, STEPS = 4, 32  # a thing is followed from pixel to pixel on a grid of 1/4 of the size, at most so far
ALONE = 0.5  # the share of recolored photos that keep the hint on the thing alone


def draw_recoloring(count: int, generator: torch.Generator, share: float) -> Tensor:
    """(count, 6) numbers in [0, 1] for `recolor`: the first is 1 for about `share` of the photos, otherwise 0.

    Then the direction of the new color, how far it is, how different one thing may be in itself and how large, and 1
    to keep one hint alone.
    """
    draws = torch.rand(count, 6, generator=generator)
    draws[:, 0] = (draws[:, 0] < share).float()
    draws[:, 5] = (draws[:, 5] < ALONE).float()
    return draws


def recolor(lightness: Tensor, ab: Tensor, squares: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
    """New ab and squares, where the thing under the first square has another color in the photos drawn.

    L (N, 1, H, W) and ab (N, 2, H, W) in [-1, 1]; squares (N, points, 3) as `draw_hints` gives them. Photos without a
    square stay as they are. The thing is what is connected with the square's center and has about its color.
    """
    hinted = squares[:, :1, 2].sum(dim=1) > 0
    chosen = ((draws[:, 0] > 0) & hinted).nonzero().flatten()
    if not len(chosen):
        return ab, squares
    where, places = chosen.to(ab.device), (squares[chosen, 0, :2] + squares[chosen, 0, 2:] // 2).to(ab.device)
    _, direction, far, tolerance, reach, alone = draws[chosen].to(ab.device).unbind(1)
    before, light = ab[where], lightness[where]
    lab = torch.cat((light * 25, before * AB_SCALE), dim=1)  # distances of L count half
    thing = _connected(lab, places, _between(TOLERANCE, tolerance), _between(REACH, reach))
    angle, length = 2 * math.pi * direction, _between(SHIFT, far) / AB_SCALE
    shift = length[:, None] * torch.stack((angle.cos(), angle.sin()), dim=1)
    asked = (before + shift[:, :, None, None] * thing).clamp(-1, 1)
    after = rgb_to_lab(lab_to_rgb_in_gamut(light, asked, torch.float32))[:, 1:] / AB_SCALE  # colors that exist
    squares = squares.clone()
    squares[chosen, 1:, 2] *= (1 - alone.cpu().long())[:, None]
    return ab.index_copy(0, where, after), squares


def _between(limits: tuple[float, float], draws: Tensor) -> Tensor:
    return limits[0] + (limits[1] - limits[0]) * draws


def _connected(lab: Tensor, places: Tensor, tolerance: Tensor, reach: Tensor) -> Tensor:
    """How much each pixel belongs to the thing at `places` (n, 2), row and column: (n, 1, H, W) in [0, 1].

    Morphological reconstruction on a coarse grid: what is alike is followed outward from the place.
    """
    numbers = torch.arange(len(lab), device=lab.device)
    alike = _alike(lab, places, tolerance, reach)
    coarse = F.avg_pool2d(alike, COARSE, ceil_mode=True)
    mask = torch.zeros_like(coarse)
    mask[numbers, 0, places[:, 0] // COARSE, places[:, 1] // COARSE] = 1
    for _ in range(STEPS):
        mask = torch.minimum(F.max_pool2d(mask, 3, stride=1, padding=1), coarse)
    reached = F.interpolate(F.max_pool2d(mask, 3, stride=1, padding=1), alike.shape[-2:], mode="bilinear")
    return torch.minimum(alike, (2 * reached).clamp(max=1))


def _alike(lab: Tensor, places: Tensor, tolerance: Tensor, reach: Tensor) -> Tensor:
    """How much each pixel's color is the one at `places`, less so far away: (n, 1, H, W) in [0, 1]."""
    count, _, height, width = lab.shape
    color = lab[torch.arange(count, device=lab.device), :, places[:, 0], places[:, 1]]
    rows = (torch.arange(height, device=lab.device) - places[:, :1]) / (reach[:, None] * height)
    columns = (torch.arange(width, device=lab.device) - places[:, 1:]) / (reach[:, None] * width)
    away = rows.square()[:, None, :, None] + columns.square()[:, None, None, :]
    distance = (lab - color[:, :, None, None]).norm(dim=1, keepdim=True)
    tolerance = tolerance.view(-1, 1, 1, 1)
    return (1 + (tolerance * (1 - away / 2) - distance) / SOFT).clamp(0, 1)
