"""Image metrics on batches of uint8 RGB photos (N, 3, H, W); each returns one float64 per photo."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pix2pix.color import delta_e_2000, rgb_to_lab

SSIM_WINDOW = 7


def psnr(image: Tensor, truth: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB, peak 255; infinite for equal photos."""
    error = (_float64(image) - _float64(truth)).square().mean(dim=(1, 2, 3))
    return 10 * torch.log10(255**2 / error)


def ssim(image: Tensor, truth: Tensor) -> Tensor:
    """Structural similarity (Wang et al. 2004), the mean over channels of a uniform 7x7 window.

    Equals scikit-image's `structural_similarity(..., channel_axis=-1, data_range=255)`. Sides of at least 7 pixels.
    """
    x, y = _float64(image), _float64(truth)
    samples = SSIM_WINDOW**2
    mean_x, mean_y = _window_mean(x), _window_mean(y)
    unbiased = samples / (samples - 1)
    variance_x = unbiased * (_window_mean(x * x) - mean_x * mean_x)
    variance_y = unbiased * (_window_mean(y * y) - mean_y * mean_y)
    covariance = unbiased * (_window_mean(x * y) - mean_x * mean_y)
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    structure = (2 * covariance + c2) / (variance_x + variance_y + c2)
    return (luminance * structure).mean(dim=(1, 2, 3))


def colorfulness(image: Tensor) -> Tensor:
    """Hasler & Susstrunk 2003, on R, G, B in 0..255: 0 for gray, about 40 for an everyday photo."""
    red, green, blue = _float64(image).flatten(2).unbind(1)
    red_green, yellow_blue = red - green, (red + green) / 2 - blue
    spread = (red_green.var(dim=1, correction=0) + yellow_blue.var(dim=1, correction=0)).sqrt()
    offset = (red_green.mean(dim=1).square() + yellow_blue.mean(dim=1).square()).sqrt()
    return spread + 0.3 * offset


def ciede2000(image: Tensor, truth: Tensor) -> Tensor:
    """The mean over pixels of the CIEDE2000 colour difference; about 1 is just noticeable."""
    labs = (rgb_to_lab(photos.float() / 255) for photos in (image, truth))
    return _float64(delta_e_2000(*labs).mean(dim=(1, 2)))


def _window_mean(x: Tensor) -> Tensor:
    return F.avg_pool2d(F.avg_pool2d(x, (SSIM_WINDOW, 1), stride=1), (1, SSIM_WINDOW), stride=1)


def _float64(image: Tensor) -> Tensor:
    return (image.cpu() if image.device.type == "mps" else image).double()  # MPS has no float64
