"""sRGB to CIE Lab and back on tensors: batched, differentiable, on any device.

The numbers are those of IEC 61966-2-1 (sRGB) and CIE 15 (Lab) with the D65 white of the 2 degree observer, as in
scikit-image's `rgb2lab` and `lab2rgb`. The networks see `L / 50 - 1` and `ab / 110`, both in [-1, 1].
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

RGB_TO_XYZ = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
XYZ_TO_RGB = tuple(map(tuple, torch.linalg.inv(torch.tensor(RGB_TO_XYZ, dtype=torch.float64)).tolist()))
WHITE = (0.95047, 1.0, 1.08883)
_SCALED_XYZ_TO_RGB = tuple(tuple(x * white for x, white in zip(row, WHITE, strict=True)) for row in XYZ_TO_RGB)
AB_SCALE = 110.0
GAMUT_MARGIN = 1e-4  # of linear RGB, less than a step of 8 bits


def srgb_to_linear(rgb: Tensor) -> Tensor:
    """Undo sRGB's transfer curve; any shape, values in [0, 1]."""
    curved = ((rgb.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4
    return torch.where(rgb > 0.04045, curved, rgb / 12.92)


def linear_to_srgb(linear: Tensor) -> Tensor:
    """Apply sRGB's transfer curve; any shape, values in [0, 1]."""
    curved = 1.055 * linear.clamp(min=0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(linear > 0.0031308, curved, linear * 12.92)


def rgb_to_lab(rgb: Tensor) -> Tensor:
    """(N, 3, H, W) sRGB in [0, 1] to (N, 3, H, W) Lab: L in [0, 100], a and b in about [-108, 98].

    Half-precision input is computed in float32; float64 stays float64.
    """
    linear = srgb_to_linear(_at_least_float32(rgb))
    x, y, z = (component / white for component, white in zip(_matrix(RGB_TO_XYZ, linear), WHITE, strict=True))
    fx, fy, fz = _lab_curve(x), _lab_curve(y), _lab_curve(z)
    return torch.stack((116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)), dim=1)


def lab_to_rgb(lab: Tensor) -> Tensor:
    """(N, 3, H, W) Lab to (N, 3, H, W) sRGB, clipped to [0, 1] where Lab leaves sRGB's gamut."""
    return linear_to_srgb(_lab_to_linear(_at_least_float32(lab))).clamp(0, 1)


def fit_gamut(lab: Tensor) -> Tensor:
    """(N, 3, H, W) Lab, its chroma reduced where it leaves sRGB's gamut: lightness and hue stay as they are.

    Clipping R, G and B instead changes all three. The chroma kept is found by bisection, to 1/256 of it.
    """
    outside = ~_in_gamut(_lab_to_linear(lab))
    if not outside.any():
        return lab
    lightness, a, b = (plane[outside].view(1, -1, 1) for plane in lab.unbind(1))
    kept = torch.zeros_like(lightness)
    for halving in range(1, 9):
        tried = kept + 0.5**halving
        inside = _in_gamut(_lab_to_linear(torch.stack((lightness, a * tried, b * tried), dim=1)))
        kept = torch.where(inside, tried, kept)
    fitted = lab.clone()
    fitted[:, 1][outside], fitted[:, 2][outside] = (a * kept).flatten(), (b * kept).flatten()
    return fitted


def split_lab(lab: Tensor) -> tuple[Tensor, Tensor]:
    """(N, 3, H, W) Lab to the networks' scale: L (N, 1, H, W) as L/50 - 1 and ab (N, 2, H, W) as ab/110."""
    return lab[:, :1] / 50 - 1, lab[:, 1:] / AB_SCALE


def to_lab(photos: Tensor) -> tuple[Tensor, Tensor]:
    """uint8 (N, 3, H, W) to L (N, 1, H, W) and ab (N, 2, H, W), float32 in [-1, 1]."""
    return split_lab(rgb_to_lab(photos.float() / 255))


def join_lab(lightness: Tensor, ab: Tensor) -> Tensor:
    """The inverse of `split_lab`: L (N, 1, H, W) and ab (N, 2, H, W), both in [-1, 1], to (N, 3, H, W) Lab."""
    return torch.cat(((lightness.to(ab.dtype) + 1) * 50, ab * AB_SCALE), dim=1)


def lightness_to_gray(lightness: Tensor) -> Tensor:
    """Lightness on the networks' scale, L/50 - 1, to the sRGB gray level in [0, 1] that has this L*; any shape."""
    fy = ((_at_least_float32(lightness) + 1) * 50 + 16) / 116
    return linear_to_srgb(_lab_curve_inverse(fy))


def delta_e_2000(lab: Tensor, other: Tensor) -> Tensor:
    """The CIEDE2000 colour difference (N, H, W) of two Lab images (N, 3, H, W); 1 is about just noticeable.

    CIE 142-2001, all weights 1, as in Sharma, Wu and Dalal 2005.
    """
    (l1, a1, b1), (l2, a2, b2) = _at_least_float32(lab).unbind(1), _at_least_float32(other).unbind(1)
    mean_chroma = (torch.hypot(a1, b1) + torch.hypot(a2, b2)) / 2
    stretch = 1.5 - 0.5 * _seventh(mean_chroma)
    a1, a2 = a1 * stretch, a2 * stretch
    c1, c2 = torch.hypot(a1, b1), torch.hypot(a2, b2)
    h1, h2 = torch.atan2(b1, a1), torch.atan2(b2, a2)
    turn = torch.remainder(h2 - h1 + math.pi, 2 * math.pi) - math.pi  # the shorter way round
    colored = (c1 * c2) > 0
    turn = torch.where(colored, turn, 0.0)
    hue = torch.where(colored, h1 + turn / 2, h1 + h2)
    chroma, lightness = (c1 + c2) / 2, (l1 + l2) / 2
    weight = (
        1
        - 0.17 * torch.cos(hue - math.radians(30))
        + 0.24 * torch.cos(2 * hue)
        + 0.32 * torch.cos(3 * hue + math.radians(6))
        - 0.20 * torch.cos(4 * hue - math.radians(63))
    )
    degrees = torch.remainder(torch.rad2deg(hue), 360)
    rotation = -2 * _seventh(chroma) * torch.sin(math.radians(60) * torch.exp(-(((degrees - 275) / 25) ** 2)))
    offset = (lightness - 50) ** 2
    dl = (l2 - l1) / (1 + 0.015 * offset / (20 + offset).sqrt())
    dc = (c2 - c1) / (1 + 0.045 * chroma)
    dh = 2 * (c1 * c2).sqrt() * torch.sin(turn / 2) / (1 + 0.015 * chroma * weight)
    return (dl**2 + dc**2 + dh**2 + rotation * dc * dh).clamp(min=0).sqrt()


def _seventh(chroma: Tensor) -> Tensor:
    power = chroma**7
    return (power / (power + 25.0**7)).sqrt()


def _lab_to_linear(lab: Tensor) -> Tensor:
    """(N, 3, H, W) Lab to linear RGB, outside [0, 1] where Lab leaves sRGB's gamut."""
    lightness, a, b = lab.unbind(1)
    fy = (lightness + 16) / 116
    curved = torch.stack((fy + a / 500, fy, (fy - b / 200).clamp(min=0)), dim=1)
    return torch.stack(_matrix(_SCALED_XYZ_TO_RGB, _lab_curve_inverse(curved)), dim=1)


def _in_gamut(linear: Tensor) -> Tensor:
    """(N, 3, H, W) linear RGB to (N, H, W): whether a pixel is a colour of sRGB."""
    low, high = linear.aminmax(dim=1)
    return (low >= -GAMUT_MARGIN) & (high <= 1 + GAMUT_MARGIN)


def _at_least_float32(values: Tensor) -> Tensor:
    return values if values.dtype == torch.float64 else values.float()


def _matrix(rows: tuple[tuple[float, ...], ...], channels: Tensor) -> list[Tensor]:
    """3x3 matrix times the channels of (N, 3, H, W), written out so that autocast cannot round it to bf16."""
    first, second, third = channels.unbind(1)
    return [(row[0] * first).add(second, alpha=row[1]).add(third, alpha=row[2]) for row in rows]


def _lab_curve(t: Tensor) -> Tensor:
    root = t.clamp(min=0.008856) ** (1 / 3)
    return torch.where(t > 0.008856, root, 7.787 * t + 16 / 116)


def _lab_curve_inverse(f: Tensor) -> Tensor:
    return torch.where(f > 0.2068966, f**3, (f - 16 / 116) / 7.787)
