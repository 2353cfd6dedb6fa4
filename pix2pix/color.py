"""sRGB to CIE Lab and back on tensors: batched, differentiable, on any device.

The numbers are those of IEC 61966-2-1 (sRGB) and CIE 15 (Lab) with the D65 white of the 2 degree observer, as in
scikit-image's `rgb2lab` and `lab2rgb`. The networks see `L / 50 - 1` and `ab / 110`, both in [-1, 1].

sRGB's transfer curve and Lab's curve are a straight line up to a threshold and a power above it. The input is clamped
at the threshold for each of the two parts, and the parts are added, which is much faster than `torch.where`. In-place
operations touch only values that autograd does not need.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
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
_RGB_TO_SCALED_XYZ = tuple(tuple(x / white for x in row) for row, white in zip(RGB_TO_XYZ, WHITE, strict=True))
AB_SCALE = 110.0
KNEE = 0.2068966  # of Lab's curve: below it is a straight line
GAMUT_MARGIN = 1e-4  # of linear RGB; less than one 8-bit level
GAMMA_STEPS = 1 << 16  # of the table that 8-bit colors are looked up in on CPUs, three times as fast as powers
AT_ONCE = 1 << 17  # pixels converted at a time: more leave a CPU's caches, fewer wait for Python's lock too often


def srgb_to_linear(rgb: Tensor) -> Tensor:
    """Undo sRGB's transfer curve; any shape, values in [0, 1]."""
    curved = _power((rgb.clamp(min=0.04045) + 0.055) / 1.055, 2.4)
    return rgb.clamp(max=0.04045) / 12.92 + (curved - 0.04045 / 12.92)


def linear_to_srgb(linear: Tensor, white: float = 1.0) -> Tensor:
    """Apply sRGB's transfer curve; any shape, values in [0, 1] to [0, white]."""
    curved = linear.clamp(min=0.0031308)
    line = (linear - curved).mul_(12.92 * white)
    power = torch.log2(curved).mul_(1 / 2.4).add_(math.log2(1.055 * white)).exp2_()
    return line.add_(power).sub_(0.055 * white)


def rgb_to_lab(rgb: Tensor) -> Tensor:
    """(N, 3, H, W) sRGB in [0, 1] to (N, 3, H, W) Lab: L in [0, 100], a and b in about [-108, 98].

    Half-precision input is computed in float32; float64 stays float64. On CPUs a batch is computed a few photos at a
    time, whose values fit the caches, three times as fast.
    """
    pixels = max(1, rgb.shape[2] * rgb.shape[3])
    some = max(1, AT_ONCE // pixels if rgb.device.type == "cpu" else len(rgb))
    return torch.cat([_rgb_to_lab(at_least_float32(photos)) for photos in rgb.split(some)])


def _rgb_to_lab(rgb: Tensor) -> Tensor:
    fx, fy, fz = (_lab_curve(component) for component in _matrix(_RGB_TO_SCALED_XYZ, srgb_to_linear(rgb).unbind(1)))
    return torch.stack((116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)), dim=1)


def lab_to_rgb(lab: Tensor) -> Tensor:
    """(N, 3, H, W) Lab to (N, 3, H, W) sRGB, clipped to [0, 1] where Lab leaves sRGB's gamut."""
    linear = _lab_to_linear(*at_least_float32(lab).unbind(1))
    return linear_to_srgb(torch.stack(linear, dim=1)).clamp(0, 1)


@torch.no_grad()
def lab_to_rgb_in_gamut(
    lightness: Tensor, ab: Tensor, dtype: torch.dtype = torch.uint8, out: Tensor | None = None
) -> Tensor:
    """L (N, 1, H, W) and ab (N, 2, H, W) in [-1, 1] to sRGB (N, 3, H, W), with chroma reduced to fit sRGB's gamut.

    `dtype`, or that of `out`, is uint8 or uint16 (white 255 or 65535, rounded) or a floating type (white 1). Lightness
    and hue do not change; clipping R, G and B would change both. The largest chroma that fits is found by bisection, to
    1/256 of the chroma asked for. For inference only: no gradients.
    """
    rgb = lightness.new_empty((len(ab), 3, *ab.shape[2:]), dtype=dtype) if out is None else out
    with torch.autocast(ab.device.type, enabled=False):
        kind = torch.promote_types(torch.promote_types(lightness.dtype, ab.dtype), torch.float32)
        for photo, (light,), (a, b) in zip(rgb, lightness, ab, strict=True):
            _fill_in_gamut(photo.view(3, -1), [plane.reshape(-1).to(kind) for plane in (light, a, b)])
    return rgb


def _fill_in_gamut(rgb: Tensor, scaled: list[Tensor]) -> None:
    """Write the colors of L, a and b, in [-1, 1], each (n,), into `rgb` (3, n)."""
    outside = []
    for target, *parts in zip(rgb.split(AT_ONCE, dim=1), *(plane.split(AT_ONCE) for plane in scaled), strict=True):
        linear = _scaled_to_linear(*parts)
        outside.append(_out_of_gamut(linear))
        _write(target, _encode(linear, rgb.dtype))
    mended = rgb.view(torch.int16) if rgb.dtype == torch.uint16 else rgb  # torch cannot index uint16
    for found in _places(torch.cat(outside)).split(AT_ONCE):
        lightness, a, b = (plane.index_select(0, found) for plane in scaled)
        kept = torch.zeros_like(lightness)
        for halving in range(1, 9):
            tried = kept + 0.5**halving
            fits = ~_out_of_gamut(_scaled_to_linear(lightness, a * tried, b * tried))
            kept.add_(fits, alpha=0.5**halving)
        linear = _scaled_to_linear(lightness, a * kept, b * kept)
        mended[:, found] = _encode(linear, rgb.dtype).view(mended.dtype)


def _scaled_to_linear(lightness: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """L, a and b in [-1, 1], each (n,), to linear R, G and B (3, n), in few passes."""
    curve = a.new_empty((3, len(a)))
    fy = torch.mul(lightness, 50 / 116, out=curve[1]).add_(66 / 116)
    torch.add(fy, a, alpha=AB_SCALE / 500, out=curve[0])
    torch.add(fy, b, alpha=-AB_SCALE / 200, out=curve[2])
    # f - c is 0 above the knee and c constant below it: (f - c) / 7.787 + c^3 is f / 7.787 + c (c^2 - 1 / 7.787)
    curved = curve.clamp(min=KNEE)
    xyz = curve.mul_(1 / 7.787).addcmul_(curved, curved.square().sub_(1 / 7.787))
    if xyz.device.type != "cpu":  # where a program may have allowed matrix products to round to TF32
        return torch.stack(_matrix(_SCALED_XYZ_TO_RGB, xyz.unbind()))
    return xyz.new_tensor(_SCALED_XYZ_TO_RGB) @ xyz


def _write(target: Tensor, values: Tensor) -> None:
    """Fill (3, n), whose pixels may lie apart; on CPUs by NumPy, which is four times as fast at that."""
    if target.device.type == "cpu" and target.dtype == torch.uint8:
        for channel, plane in zip(target.numpy(), values.numpy(), strict=True):
            channel[:] = plane
    else:
        target.copy_(values)


def _encode(linear: Tensor, dtype: torch.dtype) -> Tensor:
    """Linear values to sRGB of type `dtype`: rounded, white 255 or 65535, for integers; white 1 for floats."""
    if dtype.is_floating_point:
        return linear_to_srgb(linear).clamp_(0, 1).to(dtype)
    if dtype == torch.uint8 and linear.device.type == "cpu":
        steps = (linear * GAMMA_STEPS).clamp_(0, GAMMA_STEPS - 1).to(torch.int32)  # rounded down
        return _gamma_table().index_select(0, steps.flatten()).view(steps.shape)
    white = torch.iinfo(dtype).max
    return linear_to_srgb(linear, white).add_(0.5).clamp_(0, white).to(dtype)


@functools.cache
def _gamma_table() -> Tensor:
    """sRGB in 8 bits (GAMMA_STEPS,) of the middles of equal steps of linear values, 0 to 1: within 0.03 of a level."""
    middles = (torch.arange(GAMMA_STEPS) + 0.5) / GAMMA_STEPS
    return linear_to_srgb(middles, 255).round().to(torch.uint8)


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
    fy = ((at_least_float32(lightness) + 1) * 50 + 16) / 116
    return linear_to_srgb(_lab_curve_inverse(fy))


def luminance_to_lightness(luminance: Tensor) -> Tensor:
    """Relative luminance Y in [0, 1] to L in [0, 100]; any shape."""
    return _lab_curve(luminance).mul_(116).sub_(16)


def _lab_to_linear(lightness: Tensor, a: Tensor, b: Tensor) -> list[Tensor]:
    """L, a and b of any shape to linear R, G and B; values outside [0, 1] lie outside sRGB's gamut."""
    fy = (lightness + 16) / 116
    fx, fz = torch.add(fy, a, alpha=1 / 500), torch.add(fy, b, alpha=-1 / 200)
    return _matrix(_SCALED_XYZ_TO_RGB, [_lab_curve_inverse(f) for f in (fx, fy, fz.clamp(min=0))])


def _out_of_gamut(linear: Tensor) -> Tensor:
    """Which of the linear colors (3, n) lie outside sRGB's gamut: (n,); on CPUs by NumPy, six times as fast at that."""
    red, green, blue = linear
    low, high = torch.minimum(torch.minimum(red, green), blue), torch.maximum(torch.maximum(red, green), blue)
    if linear.device.type == "cpu":
        return torch.from_numpy((low.numpy() < -GAMUT_MARGIN) | (high.numpy() > 1 + GAMUT_MARGIN))
    return (low < -GAMUT_MARGIN).logical_or_(high > 1 + GAMUT_MARGIN)


def _places(mask: Tensor) -> Tensor:
    """Where a mask (n,) is set; on CPUs by NumPy, four times as fast at that."""
    return torch.from_numpy(np.flatnonzero(mask.numpy())) if mask.device.type == "cpu" else mask.nonzero().flatten()


def at_least_float32(values: Tensor) -> Tensor:
    """float64 as it is, everything else as float32; any shape."""
    return values if values.dtype == torch.float64 else values.float()


def _matrix(rows: tuple[tuple[float, ...], ...], channels: Sequence[Tensor]) -> list[Tensor]:
    """A 3x3 matrix times three channels of any shape, without matmul, which autocast would round to bf16."""
    first, second, third = channels
    return [(row[0] * first).add_(second, alpha=row[1]).add_(third, alpha=row[2]) for row in rows]


def _lab_curve(t: Tensor) -> Tensor:
    root = _power(t.clamp(min=0.008856), 1 / 3)
    return t.clamp(max=0.008856) * 7.787 + (root - 0.008856 * 7.787)


def _lab_curve_inverse(f: Tensor) -> Tensor:
    curved = f.clamp(min=KNEE)
    return (f - curved).mul_(1 / 7.787).addcmul_(curved * curved, curved)


def _power(base: Tensor, exponent: float) -> Tensor:
    """`base ** exponent` for positive numbers; three times as fast on a CPU as `**`."""
    return torch.log2(base).mul_(exponent).exp2_()
