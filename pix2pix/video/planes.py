"""A film's planes: luma, which stays as it was decoded, and chroma, which is made from predicted colors.

Luma and chroma are those of ITU-R BT.601, BT.709 or BT.2020 (non-constant luminance), in limited or full range, in 8 to
16 bits. The network sees the lightness of the gray picture that the luma plane is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pix2pix.color import lab_to_rgb_in_gamut, rgb_to_lab, split_lab

if TYPE_CHECKING:
    from av import VideoFrame
    from av.video.plane import VideoPlane

# The weights of red and blue in luma, by FFmpeg's number of the matrix (ITU-T H.273).
BT601, BT709 = 6, 1
WEIGHTS = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}


@dataclass(frozen=True)
class Coding:
    """How numbers in the planes stand for luma in [0, 1] and chroma in [-0.5, 0.5]."""

    matrix: int
    full: bool
    bits: int

    @property
    def kind(self) -> type:
        return np.uint8 if self.bits == 8 else np.uint16

    @property
    def scales(self) -> tuple[float, float, float]:
        """The number of black, how many there are from black to white, and of chroma from -0.5 to 0.5."""
        if self.full:
            return 0.0, 2.0**self.bits - 1, 2.0**self.bits - 1
        unit = 2.0 ** (self.bits - 8)
        return 16 * unit, 219 * unit, 224 * unit

    @property
    def middle(self) -> int:
        """The number of no color."""
        return 1 << (self.bits - 1)


def plane_array(plane: VideoPlane, coding: Coding) -> np.ndarray:
    """A plane (rows, columns) of 8 or 16 bits a number, without copying it."""
    rows: np.ndarray = np.frombuffer(memoryview(plane), coding.kind)
    rows = rows[: plane.height * plane.line_size // rows.itemsize].reshape(plane.height, -1)
    return rows[:, : plane.width]


def luma_of(frame: VideoFrame, coding: Coding) -> Tensor:
    """The luma plane (1, 1, H, W) as float32: 0 is black and 1 white, and some may lie outside."""
    black, span, _ = coding.scales
    plane = plane_array(frame.planes[0], coding)
    values = torch.from_numpy(plane if coding.bits == 8 else plane.astype(np.int32)).float()
    return values.sub_(black).div_(span)[None, None]


def small_lightness(luma: Tensor, size: tuple[int, int]) -> Tensor:
    """Luma (N, 1, H, W) to the L (N, 1, h, w) in [-1, 1] of the gray picture it is, at `size` (h, w)."""
    small = F.interpolate(luma, size, mode="bilinear", align_corners=False, antialias=True)
    lightness, _ = split_lab(rgb_to_lab(small.clamp(0, 1).expand(-1, 3, -1, -1)))
    return lightness


def chroma_of(lightness: Tensor, ab: Tensor, coding: Coding) -> Tensor:
    """L (N, 1, h, w) and ab (N, 2, h, w) in [-1, 1] to Cb and Cr (N, 2, h, w) in [-0.5, 0.5].

    That is the difference of blue and of red to luma, of the color that has this L and ab.
    """
    red_weight, blue_weight = WEIGHTS[coding.matrix]
    red, green, blue = lab_to_rgb_in_gamut(lightness, ab, torch.float32).unbind(1)
    luma = red_weight * red + (1 - red_weight - blue_weight) * green + blue_weight * blue
    return torch.stack(((blue - luma) / (2 - 2 * blue_weight), (red - luma) / (2 - 2 * red_weight)), dim=1)


def fit_to_luma(chroma: Tensor, luma: Tensor, coding: Coding) -> Tensor:
    """Cb and Cr (N, 2, h, w), reduced in place, without a change of hue, where luma (N, 1, h, w) leaves no such RGB."""
    red_weight, blue_weight = WEIGHTS[coding.matrix]
    blue, red = chroma[:, :1] * (2 - 2 * blue_weight), chroma[:, 1:] * (2 - 2 * red_weight)
    green = (red * red_weight).add_(blue, alpha=blue_weight).div_(red_weight + blue_weight - 1)
    above = torch.maximum(torch.maximum(red, green), blue).clamp_(min=1e-6)
    below = torch.minimum(torch.minimum(red, green), blue).neg_().clamp_(min=1e-6)
    kept = torch.minimum((1 - luma).div_(above), luma / below).clamp_(0, 1)
    return chroma.mul_(kept)


def fill_chroma(frame: VideoFrame, chroma: Tensor, luma: Tensor, coding: Coding) -> None:
    """Write small Cb and Cr (1, 2, h, w) into a writable frame's chroma planes, whose luma is (1, 1, H, W)."""
    planes = [plane_array(plane, coding) for plane in frame.planes[1:3]]
    size = planes[0].shape
    large = F.interpolate(chroma, size, mode="bicubic", align_corners=False)
    fit_to_luma(large, _shrink(luma, size), coding)
    _, _, span = coding.scales
    numbers = large.mul_(span).add_(coding.middle + 0.5).clamp_(0, (1 << coding.bits) - 1)[0].numpy()
    for plane, values in zip(planes, numbers, strict=True):
        np.copyto(plane, values, casting="unsafe")


def _shrink(luma: Tensor, size: tuple[int, int]) -> Tensor:
    """Luma at the size of a chroma plane: the mean of the pixels that share one chroma pixel."""
    height, width = luma.shape[-2:]
    steps = (-(-height // size[0]), -(-width // size[1]))
    if steps == (1, 1):
        return luma
    return F.avg_pool2d(luma, steps, ceil_mode=True, count_include_pad=False)
