"""Augmentation of whole batches, on the device: flips, random resized crops, and the wear of old photos.

The random numbers of a whole batch are drawn on the CPU before it is shared out, so that any number of processes and
any device sees the same crops.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

CROP_AREA = (0.35, 1.0)
CROP_ASPECT = (3 / 4, 4 / 3)
JPEG_LUMINANCE = torch.tensor(  # ITU-T T.81, table K.1, for values in 0..255
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)


def draw_augmentation(count: int, generator: torch.Generator, *, crop: bool) -> Tensor:
    """(count, 2, 3) affine maps from a crop's corners to a photo's, for `augment`: a flip for one in two photos and,
    with `crop`, a window of 35 to 100 % of the area (relative to the photo's sides) anywhere inside it."""
    draws = torch.rand(count, 5, generator=generator)
    width = height = torch.ones(count)
    if crop:
        area = CROP_AREA[0] + (CROP_AREA[1] - CROP_AREA[0]) * draws[:, 0]
        low, high = map(math.log, CROP_ASPECT)
        aspect = torch.exp(low + (high - low) * draws[:, 1])
        width, height = (area * aspect).sqrt().clamp(max=1), (area / aspect).sqrt().clamp(max=1)
    maps = torch.zeros(count, 2, 3)
    maps[:, 0, 0] = torch.where(draws[:, 4] < 0.5, -width, width)
    maps[:, 1, 1] = height
    maps[:, 0, 2] = (1 - width) * (2 * draws[:, 2] - 1)
    maps[:, 1, 2] = (1 - height) * (2 * draws[:, 3] - 1)
    return maps


def augment(photos: Tensor, maps: Tensor, size: int) -> Tensor:
    """uint8 (N, 3, H, W) photos through their maps to (N, 3, size, size) floats in [0, 1]."""
    grid = F.affine_grid(maps.to(photos.device), [len(photos), 3, size, size], align_corners=False)
    return F.grid_sample(photos.float() / 255, grid, mode="bilinear", padding_mode="border", align_corners=False)


def draw_degradation(count: int, size: int, generator: torch.Generator, share: float) -> Tensor:
    """(count, 5 + size * size) random numbers for `degrade`: the first `share` of all photos' say which are degraded.

    Five numbers in [0, 1] a photo, then the normally distributed grain of its pixels.
    """
    levels = torch.rand(count, 5, generator=generator)
    levels[:, 0] = (levels[:, 0] < share).float()
    return torch.cat((levels, torch.randn(count, size * size, generator=generator)), dim=1)


def degrade(lightness: Tensor, draws: Tensor) -> Tensor:
    """L (N, 1, H, W) in [-1, 1] to the L of a worn scan: faded, blurred, grainy, and coded as JPEG.

    Contrast 0.5 to 1.1 about a level that is shifted by at most 0.2; up to a 5x5 binomial blur; grain of a standard
    deviation up to 0.1 (5 of L's 100); JPEG's luminance quantisation at up to 3 times the standard's table, which is
    about quality 17. Photos whose first number is 0 are left as they are.
    """
    draws = draws.to(lightness.device)
    chosen, fade, blur, grain, coding = (level.view(-1, 1, 1, 1) for level in draws[:, :5].unbind(1))
    worn = lightness * (1.1 - 0.6 * fade) + 0.4 * (2 * fade * blur - fade)
    row = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0], device=worn.device) / 16
    padded = F.pad(worn, (2, 2, 2, 2), mode="replicate")
    worn = torch.lerp(worn, F.conv2d(padded, torch.outer(row, row)[None, None]), blur)
    worn = worn + 0.1 * grain.square() * draws[:, 5:].view_as(worn)
    return torch.where(chosen > 0, _jpeg(worn, 3 * coding.square()), lightness).clamp(-1, 1)


def _jpeg(lightness: Tensor, scale: Tensor) -> Tensor:
    """L after rounding the 8x8 cosine coefficients to `scale` (N, 1, 1, 1) times the JPEG standard's luminance table.

    Sides that are no multiples of 8 are extended for it.
    """
    size = lightness.shape[-2:]
    lightness = F.pad(lightness, (0, -size[1] % 8, 0, -size[0] % 8), mode="replicate")
    count, _, height, width = lightness.shape
    frequency, place = torch.arange(8.0).view(8, 1), torch.arange(8.0)
    cosines = 0.5 * torch.cos(math.pi * frequency * (2 * place + 1) / 16)
    cosines[0] = math.sqrt(1 / 8)
    cosines = cosines.to(lightness.device)
    steps = JPEG_LUMINANCE.to(lightness.device) / 127.5 * scale.clamp(min=0.05).view(-1, 1, 1, 1, 1)
    blocks = lightness.view(count, height // 8, 8, width // 8, 8).transpose(2, 3)
    coefficients = cosines @ blocks @ cosines.T
    blocks = cosines.T @ ((coefficients / steps).round() * steps) @ cosines
    return blocks.transpose(2, 3).reshape(lightness.shape)[..., : size[0], : size[1]]
