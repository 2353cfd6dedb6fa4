"""Colouring photos: the network works at its own resolution, the colours are joined to the photo's full-size L."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from pix2pix.checkpoint import find_generator, load_generator
from pix2pix.color import fit_gamut, join_lab, lab_to_rgb, lightness_to_gray, to_lab
from pix2pix.device import choose_device
from pix2pix.photos import to_rgb

LONGEST_SIDE = 4  # times the working size, for panoramas
STRIP = 256  # rows that are converted at a time, so that a large photo needs little more memory than itself


def predict_ab(generator: nn.Module, lightness: Tensor, size: tuple[int, int]) -> Tensor:
    """L (N, 1, H, W) to ab (N, 2, H, W), both in [-1, 1]: predicted at `size` (height, width), enlarged bicubically."""
    full_size = lightness.shape[-2:]
    if tuple(full_size) == tuple(size):
        return generator(lightness)
    small = F.interpolate(lightness, size, mode="bilinear", align_corners=False, antialias=True)
    ab = F.interpolate(generator(small), full_size, mode="bicubic", align_corners=False)
    return ab.clamp(-1, 1)


def colorize_batch(generator: nn.Module, photos: Tensor, size: int, strength: float = 1.0) -> Tensor:
    """uint8 photos (N, 3, H, W), whose colours are not looked at, to coloured uint8 photos of the same L.

    The network sees them at `size` x `size`; its ab are multiplied by `strength`. Call with the generator in eval mode.
    """
    lightness, _ = to_lab(photos)
    return join_colors(lightness, strength * predict_ab(generator, lightness, (size, size)))


def join_colors(lightness: Tensor, ab: Tensor) -> Tensor:
    """L (N, 1, H, W) and ab (N, 2, H, W) to uint8 photos; chroma beyond sRGB's gamut is reduced, not clipped."""
    return to_uint8(lab_to_rgb(fit_gamut(join_lab(lightness, ab))))


def gray_batch(photos: Tensor) -> Tensor:
    """uint8 photos (N, 3, H, W) to the gray uint8 photos of the same L (ab = 0)."""
    lightness, _ = to_lab(photos)
    return to_uint8(lightness_to_gray(lightness)).expand(-1, 3, -1, -1)


def to_uint8(rgb: Tensor) -> Tensor:
    return (rgb * 255).round().clamp(0, 255).to(torch.uint8)


class Colorizer:
    """Colours Pillow images with a generator file: `Colorizer().colorize(image)`.

    `weights` is a generator file or a run's folder; without it the weights shipped with the package, else the latest
    run under `runs`. `strength` multiplies the colours: 0 is gray. Raises UserError when there are no weights or they
    cannot be read.
    """

    def __init__(
        self,
        weights: Path | None = None,
        *,
        strength: float = 1.0,
        device: str = "auto",
        runs: Path = Path("runs"),
    ) -> None:
        self.strength = strength
        self.weights = find_generator(weights, runs=runs)
        self.device = choose_device(device)
        loaded = load_generator(self.weights)
        self.size = loaded.size
        self.generator = loaded.network.to(self.device, memory_format=torch.channels_last).eval()

    @torch.inference_mode()
    def colorize(self, image: Image.Image) -> Image.Image:
        """Any Pillow image to an RGB image of the same size; what colours it has are replaced."""
        photo = torch.from_numpy(np.array(to_rgb(image))).permute(2, 0, 1)[None]
        lightness = torch.cat([to_lab(strip.to(self.device))[0] for strip in photo.split(STRIP, dim=2)], dim=2)
        size = self._working_size(image.height, image.width)
        ab = self.strength * predict_ab(self.generator, lightness, size)
        for rgb, part, colors in zip(*(tensor.split(STRIP, dim=2) for tensor in (photo, lightness, ab)), strict=True):
            rgb.copy_(join_colors(part, colors))
        return Image.fromarray(photo[0].permute(1, 2, 0).numpy())

    def _working_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) with the short side at the generator's training size and the photo's aspect."""
        scale = self.size / min(height, width)
        longest = LONGEST_SIDE * self.size
        return min(max(round(height * scale), 1), longest), min(max(round(width * scale), 1), longest)
