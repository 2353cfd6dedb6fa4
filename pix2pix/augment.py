"""Augmentation of whole batches, on the device: flips and random resized crops.

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
