"""The CIEDE2000 color difference (CIE 142-2001, all weights 1), written as in Sharma, Wu and Dalal 2005.

A hue is kept as the cosine and sine of its angle: all but one of the formula's angles are then sums and products.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pix2pix.color import at_least_float32

TINY = 1e-30  # keeps 0 / 0 away from colors without any chroma


def delta_e_2000(lab: Tensor, truth: Tensor) -> Tensor:
    """(N, 3, H, W) Lab, twice, to the difference of each pixel, (N, H, W); about 1 is just noticeable.

    Half precision is computed in float32; float64 stays float64.
    """
    (l1, a1, b1), (l2, a2, b2) = at_least_float32(lab).unbind(1), at_least_float32(truth).unbind(1)
    stretch = 1.5 - 0.5 * _seventh((_length(a1, b1) + _length(a2, b2)).mul_(0.5))
    a1, a2 = a1 * stretch, a2 * stretch
    c1, c2 = _length(a1, b1), _length(a2, b2)
    mean_chroma, dc = (c1 + c2).mul_(0.5), c2 - c1
    dh = _hue_difference(a1, b1, a2, b2, c1, c2)
    cos, sin = _mean_hue(a1, b1, c1, a2, b2, c2)
    offset = ((l1 + l2) * 0.5 - 50).square_()
    dl = (l2 - l1) / (offset / (offset + 20).sqrt_()).mul_(0.015).add_(1)
    rotation = _rotation(cos, sin, mean_chroma)
    dc = dc / (0.045 * mean_chroma + 1)
    dh = dh / (_hue_weight(cos, sin).mul_(mean_chroma).mul_(0.015).add_(1))
    total = (dl * dl).addcmul_(dc, dc).addcmul_(dh, dh).addcmul_(rotation, dc * dh)
    return total.clamp_(min=0).sqrt_()


def _hue_difference(a1: Tensor, b1: Tensor, a2: Tensor, b2: Tensor, c1: Tensor, c2: Tensor) -> Tensor:
    """dH': 2 sqrt(c1 c2) sin(t / 2), with t the turn from the first hue to the second, by whatever cancels no digits.

    That is sqrt(2 (c1 c2 - dot)) for a turn of more than 90 degrees, and cross / sqrt((c1 c2 + dot) / 2) for less.
    """
    dot, cross = (a1 * a2).addcmul_(b1, b2), (a1 * b2).addcmul_(a2, b1, value=-1)
    size = (c1 * c2).add_(dot.abs()).clamp_(min=TINY)
    square = torch.where(dot < 0, size, cross * cross / size)
    return torch.copysign(square.mul_(2).sqrt_(), cross)


def _mean_hue(a1: Tensor, b1: Tensor, c1: Tensor, a2: Tensor, b2: Tensor, c2: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine of the hue halfway between two; of the other's hue where one color has none."""
    c1, c2 = c1.clamp(min=TINY), c2.clamp(min=TINY)
    x, y = (a1 / c1).add_(a2 / c2), (b1 / c1).add_(b2 / c2)
    length = _length(x, y).clamp_(min=TINY)
    return x.div_(length), y.div_(length)


def _hue_weight(cos: Tensor, sin: Tensor) -> Tensor:
    """T: 1 - 0.17 cos(h - 30) + 0.24 cos(2 h) + 0.32 cos(3 h + 6) - 0.20 cos(4 h - 63), in degrees."""
    cos2, sin2 = (cos * cos).mul_(2).sub_(1), (sin * cos).mul_(2)
    cos3, sin3 = (cos2 * cos).addcmul_(sin2, sin, value=-1), (sin2 * cos).addcmul_(cos2, sin)
    cos4, sin4 = (cos2 * cos2).mul_(2).sub_(1), (sin2 * cos2).mul_(2)
    weight = 1 + 0.24 * cos2
    for amount, x, y, shift in ((-0.17, cos, sin, -30), (0.32, cos3, sin3, 6), (-0.20, cos4, sin4, -63)):
        weight.add_(x, alpha=amount * math.cos(math.radians(shift)))
        weight.add_(y, alpha=-amount * math.sin(math.radians(shift)))
    return weight


def _rotation(cos: Tensor, sin: Tensor, chroma: Tensor) -> Tensor:
    """R_T, for blues: -2 sqrt(C^7 / (C^7 + 25^7)) sin(60 exp(-((h - 275) / 25)^2)), in degrees, h from 0 to 360."""
    hue = torch.atan2(sin, cos)  # from -180 to 180: blues are below 0
    angle = ((hue + math.radians(85)) / math.radians(25)).square_().neg_().exp_().mul_(math.radians(60)).mul_(hue < 0)
    return angle.sin_().mul_(_seventh(chroma)).mul_(-2)


def _seventh(chroma: Tensor) -> Tensor:
    cube = chroma * chroma * chroma
    power = (cube * cube).mul_(chroma)
    return power.div_(power + 25.0**7).sqrt_()


def _length(a: Tensor, b: Tensor) -> Tensor:
    return (a * a).addcmul_(b, b).sqrt_()
