"""The lightness that a network sees of old photos, made from photos in color."""

from __future__ import annotations

import torch
from torch import Tensor

from pix2pix.color import lightness_to_gray, luminance_to_lightness, rgb_to_lab, split_lab, srgb_to_linear, to_lab
from pix2pix.data.augment import degrade, draw_degradation

INPUTS = ("worn", "sepia", "orthochromatic")
SEPIA_BLACK, SEPIA_WHITE = (48, 32, 20), (244, 226, 190)  # dark brown and cream, sRGB
ORTHOCHROMATIC = (0.02, 0.43, 0.55)  # of linear R, G and B: film that hardly sees red


def seen_lightness(kind: str, photos: Tensor, numbers: tuple[int, ...], seed: int) -> Tensor:
    """uint8 photos (n, 3, H, W) to the L (n, 1, H, W) in [-1, 1] of an old photo of the same.

    `kind` is one of INPUTS. worn: faded, dusty, blurred, grainy, coded as JPEG, as in training, by random numbers that
    follow from `seed` and the photos' `numbers`. sepia: L of a toned print, whose black is dark brown and whose white
    is cream. orthochromatic: a mix of linear R, G and B in which blue is light and red is dark.
    """
    if kind == "worn":
        return _worn(photos, numbers, seed)
    return {"sepia": _sepia, "orthochromatic": _orthochromatic}[kind](photos)


def _worn(photos: Tensor, numbers: tuple[int, ...], seed: int) -> Tensor:
    lightness, _ = to_lab(photos)
    draws = [draw_degradation(1, torch.Generator().manual_seed(seed * 10**9 + n), share=1.0) for n in numbers]
    return degrade(lightness, torch.cat(draws))


def _sepia(photos: Tensor) -> Tensor:
    gray = lightness_to_gray(to_lab(photos)[0])
    black, white = (gray.new_tensor(color).view(1, 3, 1, 1) / 255 for color in (SEPIA_BLACK, SEPIA_WHITE))
    toned = black + gray * (white - black)
    return split_lab(rgb_to_lab(toned))[0]


def _orthochromatic(photos: Tensor) -> Tensor:
    linear = srgb_to_linear(photos.float() / 255)
    mixed = (linear * linear.new_tensor(ORTHOCHROMATIC).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
    return luminance_to_lightness(mixed) / 50 - 1
