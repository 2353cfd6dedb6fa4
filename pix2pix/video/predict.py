"""A film's prediction: two views of a frame, where a photo gets four. Time brings the others."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from pix2pix.guided_filter import guided_filter
from pix2pix.hints import Point, hint_planes, hold_at_points, resize_hints
from pix2pix.inference import Colorizer, asked_of_network


@torch.inference_mode()
def predict_frame(
    colorizer: Colorizer, lightness: Tensor, size: tuple[int, int], points: Sequence[Point], frame_size: tuple[int, int]
) -> Tensor:
    """L (1, 1, h, w) in [-1, 1], with (h, w) = `larger(size)`, to ab (1, 2, h, w) in [-1, 1].

    The mean of the prediction at `size` and of the mirrored one at (h, w), times the colorizer's strength,
    smoothed along the edges of L. The points are in pixels of the upright frame of `frame_size` (height, width).
    """
    large = lightness.to(colorizer.device)
    small = F.interpolate(large, size, mode="bilinear", align_corners=False, antialias=True)
    if points:
        hints = hint_planes(points, frame_size, (large.shape[2], large.shape[3])).to(colorizer.device)
        asked = asked_of_network(hints, colorizer.strength)
        plain = colorizer.generator(small, resize_hints(asked, size))
        mirrored = colorizer.generator(large.flip(3), asked.flip(3))
    else:
        plain, mirrored = colorizer.generator(small), colorizer.generator(large.flip(3))
    total = F.interpolate(plain, large.shape[-2:], mode="bicubic", align_corners=False) + mirrored.flip(3)
    ab = guided_filter((total * (colorizer.strength / 2)).clamp(-1, 1), large)
    if points:
        ab = hold_at_points(ab, hints, large)
    return ab.to(lightness.device)
