"""The guided filter: colors without noise, whose edges are those of L. He, Sun & Tang 2013, "Guided Image Filtering".

The network's colors are a little noisy from pixel to pixel, which the eye and SSIM see more than PSNR does.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

RADIUS = 2  # of the windows, which have 5x5 pixels
FLAT = 0.01  # a window whose variance of L, of [-1, 1], is far below has no edge: there the colors are just averaged


def guided_filter(ab: Tensor, lightness: Tensor) -> Tensor:
    """ab (N, 2, H, W) smoothed to (N, 2, H, W) along L (N, 1, H, W), both in [-1, 1].

    In each window a and b are the linear functions of L that fit best, with small slopes; every pixel gets the mean of
    the functions of the windows that it lies in.
    """
    mean_l, mean_ab = _window_mean(lightness), _window_mean(ab)
    variance = _window_mean(lightness * lightness) - mean_l * mean_l
    slope = (_window_mean(ab * lightness) - mean_ab * mean_l) / (variance + FLAT)
    return _window_mean(slope) * lightness + _window_mean(mean_ab - slope * mean_l)


def _window_mean(planes: Tensor) -> Tensor:
    """The mean of each pixel's window; outside the photo its border counts."""
    return F.avg_pool2d(F.pad(planes, (RADIUS,) * 4, mode="replicate"), 2 * RADIUS + 1, stride=1)
