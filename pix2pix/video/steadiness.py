"""How steady a film's colors are: measures for frames (N, 3, H, W) uint8, and clips whose motion is known.

A constant color is steady too, so each goes beside the colorfulness.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pix2pix.color import AB_SCALE, to_lab

DISTANCES = (1, 2, 4)  # frames


def color_distribution_consistency(frames: Tensor) -> float:
    """CDC: the Jensen-Shannon divergence (natural logarithm) of the color histograms of frames some way apart.

    The mean over R, G and B, over all pairs of frames 1, 2 and 4 apart; lower is steadier. Liu et al. 2021, "Temporally
    consistent video colorization". Needs five frames.
    """
    counts = [[torch.bincount(plane.flatten().int(), minlength=256) for plane in frame] for frame in frames]
    histograms = torch.stack([torch.stack(row) for row in counts]).double()
    histograms /= histograms.sum(dim=2, keepdim=True)
    means = [_divergence(histograms[:-apart], histograms[apart:]).mean() for apart in DISTANCES]
    return float(torch.stack(means).mean())


def _divergence(first: Tensor, second: Tensor) -> Tensor:
    """Jensen-Shannon's, of distributions along the last dimension."""
    middle = (first + second) / 2
    entropies = [torch.special.entr(p).sum(dim=-1) for p in (middle, first, second)]
    return entropies[0] - (entropies[1] + entropies[2]) / 2


@dataclass(frozen=True)
class Clip:
    """Frames (N, 3, H, W) uint8 cut from a photo, and for each the (left, top, width, height) of its part there.

    The parts are in shares of the photo's sides.
    """

    frames: Tensor
    parts: list[tuple[float, float, float, float]]


def move_over(
    photo: np.ndarray, start: tuple[float, ...], end: tuple[float, ...], count: int, size: tuple[int, int]
) -> Clip:
    """A pan or a zoom over a photo (H, W, 3) uint8: `count` frames of `size` (height, width).

    `start` and `end` are the first and last frame's (left, top, width, height) in shares of the photo's sides.
    """
    pixels = torch.from_numpy(photo.copy()).permute(2, 0, 1)[None].float()
    parts, frames = [], []
    for share in np.linspace(0, 1, count):
        left, top, width, height = ((1 - share) * a + share * b for a, b in zip(start, end, strict=True))
        grid = _grid((left, top, width, height), size)
        frame = F.grid_sample(pixels, grid, mode="bicubic", padding_mode="reflection", align_corners=False)
        frames.append(frame.round().clamp(0, 255).to(torch.uint8))
        parts.append((float(left), float(top), float(width), float(height)))
    return Clip(torch.cat(frames), parts)


def _grid(part: tuple[float, float, float, float], size: tuple[int, int]) -> Tensor:
    """Where in a picture, from -1 to 1, the pixels lie of a frame that shows a part of it."""
    left, top, width, height = part
    matrix = torch.tensor([[width, 0, 2 * left + width - 1], [0, height, 2 * top + height - 1]])
    return F.affine_grid(matrix[None].float(), [1, 1, *size], align_corners=False)


def warping_error(frames: Tensor, clip: Clip) -> float:
    """How much the color of a thing changes from one frame to the next, in units of Lab's a and b: lower is steadier.

    `frames` are the clip's, in colors (uint8). Each is moved as the clip moves, by which its own things come to lie
    where they are in the next; what comes in at an edge does not count.
    """
    _, ab = to_lab(frames)
    errors = []
    for number in range(len(frames) - 1):
        (left, top, width, height), (left_next, top_next, width_next, height_next) = clip.parts[number : number + 2]
        part = ((left_next - left) / width, (top_next - top) / height, width_next / width, height_next / height)
        grid = _grid(part, (frames.shape[2], frames.shape[3]))
        moved = F.grid_sample(ab[number : number + 1], grid, align_corners=False)
        inside = (grid.abs() < 1).all(dim=3)
        change = ((ab[number + 1 : number + 2] - moved) * AB_SCALE).norm(dim=1)
        errors.append(change[inside].mean())
    return float(torch.stack(errors).mean())
