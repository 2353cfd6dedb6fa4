"""Augmentation of whole batches: mirrored crops, the L of old film, and the wear of old photos.

The random numbers of a whole batch are drawn on the CPU before it is shared out, so that any number of processes sees
the same crops. They are tensors whose first axis is the photos'.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from pix2pix.color import luminance_to_lightness, srgb_to_linear

CROP_AREA = (0.35, 1.0)
CROP_ASPECT = (3 / 4, 4 / 3)
RED_OF_FILM = 0.2  # the most that film before about 1930 saw of red light, beside the rest
BLUE_OF_FILM = (0.3, 0.9)  # how much of the rest was blue; what is left was green
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
    """(count, 5) windows for `augment`: left, top, width and height as parts of a photo's sides, and 1 to mirror it.

    One in two photos is mirrored. With `crop` a window has 35 to 100 % of the photo's area and lies anywhere inside
    it; otherwise it is the whole photo.
    """
    draws = torch.rand(count, 5, generator=generator)
    width = height = torch.ones(count)
    if crop:
        area = CROP_AREA[0] + (CROP_AREA[1] - CROP_AREA[0]) * draws[:, 0]
        low, high = map(math.log, CROP_ASPECT)
        aspect = torch.exp(low + (high - low) * draws[:, 1])
        width, height = (area * aspect).sqrt().clamp(max=1), (area / aspect).sqrt().clamp(max=1)
    left, top = (1 - width) * draws[:, 2], (1 - height) * draws[:, 3]
    return torch.stack((left, top, width, height, (draws[:, 4] < 0.5).float()), dim=1)


def augment(photos: Tensor, windows: Tensor, size: int) -> Tensor:
    """uint8 photos (N, 3, H, W) to their windows, to whole pixels, resized to float (N, 3, size, size) in [0, 1].

    Bilinear, antialiased. On a CPU in uint8: a tenth of the time of resampling floats.
    """
    height, width = photos.shape[-2:]
    corners = torch.cat((windows[:, :2], windows[:, :2] + windows[:, 2:4]), dim=1)
    pixels = (corners * torch.tensor([width, height, width, height])).round().int().tolist()
    source = photos if photos.device.type == "cpu" else photos.float()
    resized = []
    for photo, (left, top, right, bottom), mirror in zip(source, pixels, windows[:, 4].tolist(), strict=True):
        window = photo[None, :, top:bottom, left:right]
        window = F.interpolate(window, (size, size), mode="bilinear", antialias=True)
        resized.append(window.flip(-1) if mirror else window)
    return torch.cat(resized).float().div_(255)


def draw_film(count: int, generator: torch.Generator, share: float) -> Tensor:
    """(count, 4) for `film_lightness`: 1 for about `share` of the photos, and how much red, green, blue the film saw.

    The three sum to 1. Film before about 1930 saw blue as light and red as dark: no red with the first plates
    (blue-sensitive), hardly any with orthochromatic film.
    """
    chosen, red, blue = torch.rand(count, 3, generator=generator).unbind(1)
    red = RED_OF_FILM * red.square()
    blue = (1 - red) * (BLUE_OF_FILM[0] + (BLUE_OF_FILM[1] - BLUE_OF_FILM[0]) * blue)
    return torch.stack(((chosen < share).float(), red, 1 - red - blue, blue), dim=1)


def film_lightness(photos: Tensor, lightness: Tensor, draws: Tensor) -> Tensor:
    """L (N, 1, H, W) in [-1, 1] of sRGB photos (N, 3, H, W) in [0, 1], that of old film for the photos drawn.

    Instead of the luminance Y of the eye, the film's own mix of linear red, green and blue goes into CIE's L.
    """
    chosen = draws[:, 0].nonzero().flatten()
    if not len(chosen):
        return lightness
    mixes, chosen = draws[chosen, 1:, None, None].to(photos.device), chosen.to(photos.device)
    seen = (srgb_to_linear(photos[chosen]) * mixes).sum(dim=1, keepdim=True)
    return lightness.index_copy(0, chosen, luminance_to_lightness(seen) / 50 - 1)


def draw_degradation(count: int, generator: torch.Generator, share: float) -> Tensor:
    """(count, 7) numbers in [0, 1] for `degrade`: the first is 1 for about `share` of the photos, otherwise 0.

    Then how strong fading, blur, grain, coding and marks are, and what the grain is drawn from.
    """
    draws = torch.rand(count, 7, generator=generator)
    draws[:, 0] = (draws[:, 0] < share).float()
    return draws


def degrade(lightness: Tensor, draws: Tensor) -> Tensor:
    """L (N, 1, H, W) in [-1, 1], that of a worn scan for the photos drawn.

    It is faded (contrast 0.5 to 1.1 about a level that is shifted by at most 0.2), in half of the cases dusty and
    scratched, blurred (up to a 5x5 binomial filter), grainy (standard deviation up to 0.1, 5 of L's 100), and coded as
    JPEG (luminance quantized at up to 3 times the standard's table, which is about quality 17).
    """
    chosen = draws[:, 0].nonzero().flatten()
    if not len(chosen):
        return lightness
    seeds, draws, chosen = draws[chosen, 6], draws[chosen].to(lightness.device), chosen.to(lightness.device)
    fade, blur, grain, coding, marks = (level.view(-1, 1, 1, 1) for level in draws[:, 1:6].unbind(1))
    clean = lightness[chosen]
    noise = _noise(clean, (seeds * 2**24).long().tolist())
    worn = clean * (1.1 - 0.6 * fade) + 0.4 * (2 * fade * blur - fade)
    worn = torch.where(marks > 0.5, _dust_and_scratches(worn, noise), worn)
    worn = torch.lerp(worn, _binomial_blur(worn), blur)
    worn = torch.addcmul(worn, noise, 0.1 * grain.square())
    return lightness.index_copy(0, chosen, _jpeg(worn, 3 * coding.square()).clamp_(-1, 1))


def _noise(like: Tensor, seeds: list[int]) -> Tensor:
    """Normally distributed numbers of the shape and on the device of `like`, each photo's from its own seed."""
    generator, noise = torch.Generator(like.device), torch.empty_like(like)
    for plane, seed in zip(noise, seeds, strict=True):
        plane.normal_(generator=generator.manual_seed(seed))
    return noise


def _dust_and_scratches(lightness: Tensor, noise: Tensor) -> Tensor:
    """White and black specks, about 3 in 10,000 pixels, and brighter columns, about 5 in 1,000."""
    scratched = torch.where(noise[..., :1, :] > 2.6, lightness + 0.4, lightness)
    return torch.where(noise.abs() > 3.6, noise.sign(), scratched)


def _binomial_blur(lightness: Tensor) -> Tensor:
    """The 5x5 binomial filter (1, 4, 6, 4, 1) / 16 in both directions, as four means of two neighbors in each."""
    blurred = F.pad(lightness, (2, 2, 2, 2), mode="replicate")
    for axis in (-1, -1, -1, -1, -2, -2, -2, -2):
        count = blurred.shape[axis] - 1
        blurred = blurred.narrow(axis, 0, count) + blurred.narrow(axis, 1, count)
    return blurred.div_(2**8)


def _jpeg(lightness: Tensor, scale: Tensor) -> Tensor:
    """L after rounding the 8x8 cosine coefficients to `scale` (N, 1, 1, 1) times the JPEG standard's luminance table.

    Sides that are no multiples of 8 are extended for it. A block's transform is one product with a 64x64 matrix.
    """
    rows, columns = lightness.shape[-2:]
    lightness = F.pad(lightness, (0, -columns % 8, 0, -rows % 8), mode="replicate")
    count, _, height, width = lightness.shape
    frequency, place = torch.arange(8.0).view(8, 1), torch.arange(8.0)
    cosines = 0.5 * torch.cos(math.pi * frequency * (2 * place + 1) / 16)
    cosines[0] = math.sqrt(1 / 8)
    transform = torch.kron(cosines, cosines).to(lightness.device)
    steps = JPEG_LUMINANCE.to(lightness.device).view(64) / 127.5 * scale.clamp(min=0.05).view(-1, 1, 1)
    blocks = lightness.view(count, height // 8, 8, width // 8, 8).transpose(2, 3).reshape(count, -1, 64)
    coefficients = (blocks @ transform.T).div_(steps).round_().mul_(steps)
    blocks = (coefficients @ transform).view(count, height // 8, width // 8, 8, 8)
    return blocks.transpose(2, 3).reshape(lightness.shape)[..., :rows, :columns]
