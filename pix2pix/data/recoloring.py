"""Training photos in which one thing has another color, and the hint on it says so.

In photos a strange color somewhere tells much about the rest: the light, the place, the season. A network that was
shown true hints alone therefore changes the whole photo for a color that a person only wants on one thing.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from pix2pix.color import AB_SCALE, lab_to_rgb_in_gamut, rgb_to_lab, split_lab

SHIFT = (20.0, 70.0)  # how far the new color is from the old one, in ab; less where sRGB does not have it at that L
TOLERANCE = (4.0, 18.0)  # how far the colors of one thing may be from the color at the point, in L / 2, a and b
SOFT = 5.0  # beyond the tolerance, the new color fades out over this distance
REACH = (0.1, 0.7)  # of the photo's side: so far from the point, the tolerance is half as large
COARSE = 4  # a thing is followed from neighbor to neighbor in cells of 4x4 pixels
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


def recolor(photos: Tensor, squares: Tensor, draws: Tensor) -> tuple[Tensor, Tensor]:
    """The photos and their squares, where the thing under the first square has another color in the photos drawn.

    `photos` are sRGB (N, 3, H, W) in [0, 1], on any device; `squares` (N, points, 3), as `draw_hints` gives them, and
    `draws` are on the CPU. The thing is what is connected with the square's center and has about its color; its L
    stays. Photos without a square stay as they are.
    """
    hinted = squares[:, :1, 2].sum(dim=1) > 0
    chosen = ((draws[:, 0] > 0) & hinted).nonzero().flatten()
    if not len(chosen):
        return photos, squares
    where, drawn = chosen.to(photos.device), draws[chosen].to(photos.device)
    places = (squares[chosen, 0, :2] + squares[chosen, 0, 2:] // 2).to(photos.device)
    lightness, ab = split_lab(rgb_to_lab(photos[where]))
    _, direction, far, tolerance, reach, _ = drawn.unbind(1)
    thing = _connected(lightness, ab, places, _between(TOLERANCE, tolerance), _between(REACH, reach))
    angle, length = 2 * math.pi * direction, _between(SHIFT, far) / AB_SCALE
    shift = length[:, None] * torch.stack((angle.cos(), angle.sin()), dim=1)
    ab = (ab + shift[:, :, None, None] * thing).clamp(-1, 1)
    number, row, column = thing[:, 0].nonzero(as_tuple=True)  # of the pixels that change
    its_lightness, its_ab = (planes[number, :, row, column].T[None, :, None] for planes in (lightness, ab))
    photos, squares = photos.clone(), squares.clone()
    photos[where[number], :, row, column] = lab_to_rgb_in_gamut(its_lightness, its_ab, photos.dtype)[0, :, 0].T
    squares[chosen, 1:, 2] *= (draws[chosen, 5:] == 0).long()
    return photos, squares


def _between(limits: tuple[float, float], draws: Tensor) -> Tensor:
    return limits[0] + (limits[1] - limits[0]) * draws


def _connected(lightness: Tensor, ab: Tensor, places: Tensor, tolerance: Tensor, reach: Tensor) -> Tensor:
    """How much each pixel belongs to the thing at `places` (n, 2), row and column: (n, 1, H, W) in [0, 1].

    Morphological reconstruction on a coarse grid: what is alike is followed outward from the place.
    """
    alike = _alike(torch.cat((25 * lightness, AB_SCALE * ab), dim=1), places, tolerance, reach)
    coarse = F.avg_pool2d(alike, COARSE, ceil_mode=True)
    mask = torch.zeros_like(coarse)
    mask[torch.arange(len(mask), device=mask.device), 0, places[:, 0] // COARSE, places[:, 1] // COARSE] = 1
    for _ in range(max(coarse.shape[-2:])):
        mask = torch.minimum(F.max_pool2d(mask, 3, stride=1, padding=1), coarse)
    reached = F.interpolate(F.max_pool2d(mask, 3, stride=1, padding=1), alike.shape[-2:], mode="bilinear")
    return torch.minimum(alike, (2 * reached).clamp(max=1))


def _alike(colors: Tensor, places: Tensor, tolerance: Tensor, reach: Tensor) -> Tensor:
    """How much each pixel's color, L / 2, a and b (n, 3, H, W), is the one at `places`: (n, 1, H, W) in [0, 1].

    The farther away, the less different it may be.
    """
    count, _, height, width = colors.shape
    color = colors[torch.arange(count, device=colors.device), :, places[:, 0], places[:, 1]]
    rows = (torch.arange(height, device=colors.device) - places[:, :1]) / (reach[:, None] * height)
    columns = (torch.arange(width, device=colors.device) - places[:, 1:]) / (reach[:, None] * width)
    away = rows.square()[:, None, :, None] + columns.square()[:, None, None, :]
    distance = (colors - color[:, :, None, None]).square_().sum(dim=1, keepdim=True).sqrt_()
    return (1 + (tolerance.view(-1, 1, 1, 1) * (1 - away / 2) - distance) / SOFT).clamp(0, 1)
