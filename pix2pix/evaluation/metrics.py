"""Image metrics on batches of photos; each returns one float64 per photo, (N,)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pix2pix.evaluation.ciede2000 import delta_e_2000

SSIM_WINDOW = 7


@dataclass(frozen=True)
class Metric:
    """How a metric is written: its title, its digits, and whether more (1) or less (-1) of it is better, or neither.

    A share is written in percent.
    """

    title: str
    digits: int
    better: int
    share: bool = False

    def text(self, value: float, *, signed: bool = False) -> str:
        """A value for people."""
        sign = "+" if signed else ""
        return f"{100 * value:{sign}.{self.digits}f} %" if self.share else f"{value:{sign}.{self.digits}f}"


METRICS = {
    "psnr": Metric("PSNR, dB", 2, 1),
    "ssim": Metric("SSIM", 4, 1),
    "ciede2000": Metric("CIEDE2000", 2, -1),
    "ab_l1": Metric("L1 of ab", 2, -1),
    "lpips": Metric("LPIPS", 4, -1),
    "colorfulness": Metric("colorfulness", 1, 0),
    "colorfulness_difference": Metric("minus the truth's", 1, 0),
    "worse_psnr": Metric("worse than gray, PSNR", 1, -1, share=True),
    "worse_ssim": Metric("worse than gray, SSIM", 1, -1, share=True),
    "worse_ciede2000": Metric("worse than gray, CIEDE2000", 1, -1, share=True),
    "skin_hue": Metric("skin hue, degrees", 1, 0),
    "skin_chroma": Metric("skin chroma", 1, 0, share=True),
    "adherence": Metric("adherence, ab", 2, -1),
    "spill": Metric("spill, ab", 2, -1),
}


def psnr(image: Tensor, truth: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB of uint8 RGB (N, 3, H, W), peak 255; infinite for equal photos."""
    error = _mean((image.float() - truth.float()).square_())
    return 10 * torch.log10(255**2 / error)


def ssim(image: Tensor, truth: Tensor, data_range: float | Tensor = 255.0) -> Tensor:
    """Structural similarity (Wang et al. 2004), the mean over channels of a uniform 7x7 window.

    Equals scikit-image's `structural_similarity(..., channel_axis=-1, data_range=data_range)` for RGB (N, 3, H, W) of
    any type and scale, to 1e-5 for uint8, which is computed in float32; a tensor (N,) gives each photo a range of its
    own. Sides of at least 7 pixels.
    """
    eight_bits = image.dtype == truth.dtype == torch.uint8
    x, y = (image.float(), truth.float()) if eight_bits else (_float64(image), _float64(truth))
    middle, count = 128 if eight_bits else 0, SSIM_WINDOW**2
    x, y = x - middle, y - middle  # variances stay the same, and their sums small enough for float32
    sum_x, sum_y, sum_xy, sum_squares = (_window_sum(z) for z in (x, y, x * y, x * x + y * y))
    covariance = sum_xy.mul_(count).sub_(sum_x * sum_y)
    variances = sum_squares.mul_(count).sub_((sum_x * sum_x).add_(sum_y * sum_y))
    sum_x, sum_y = sum_x.add_(count * middle), sum_y.add_(count * middle)
    span = torch.as_tensor(data_range, dtype=x.dtype, device=x.device).reshape(-1, 1, 1, 1)
    c1, c2 = (0.01 * span * count) ** 2, (0.03 * span) ** 2 * count * (count - 1)
    below = (sum_x * sum_x).add_(sum_y * sum_y).add_(c1).mul_(variances.add_(c2))
    above = sum_x.mul_(sum_y).add_(c1 / 2).mul_(covariance.add_(c2 / 2))
    return 4 * _mean(above.div_(below))


def colorfulness(image: Tensor) -> Tensor:
    """Hasler & Susstrunk 2003, on uint8 RGB (N, 3, H, W): 0 for gray, about 40 for an everyday photo."""
    red, green, blue = _float64(image).flatten(2).unbind(1)
    red_green, yellow_blue = red - green, (red + green) / 2 - blue
    spread = (red_green.var(dim=1, correction=0) + yellow_blue.var(dim=1, correction=0)).sqrt()
    offset = (red_green.mean(dim=1).square() + yellow_blue.mean(dim=1).square()).sqrt()
    return spread + 0.3 * offset


def ciede2000(lab: Tensor, truth: Tensor) -> Tensor:
    """The mean over pixels of the CIEDE2000 difference of Lab (N, 3, H, W); about 1 is just noticeable."""
    return _mean(delta_e_2000(lab, truth))


def ab_l1(lab: Tensor, truth: Tensor) -> Tensor:
    """The mean over pixels and both planes of |ab - true ab|, of Lab (N, 3, H, W), in Lab's own units."""
    return _mean((lab[:, 1:] - truth[:, 1:]).abs())


def _window_sum(x: Tensor) -> Tensor:
    """The sums of the 7x7 windows, of (N, C, H, W) to (N, C, H - 6, W - 6): of pairs, then fours, then 4 + 2 + 1."""
    for dim in (2, 3):
        count = x.shape[dim] - SSIM_WINDOW + 1
        pairs = x.narrow(dim, 0, count + 5) + x.narrow(dim, 1, count + 5)
        fours = pairs.narrow(dim, 0, count) + pairs.narrow(dim, 2, count)
        x = fours.add_(pairs.narrow(dim, 4, count)).add_(x.narrow(dim, 6, count))
    return x


def _mean(values: Tensor) -> Tensor:
    """(N, ...) to (N,), in float64."""
    return _off_mps(values).mean(dim=tuple(range(1, values.ndim)), dtype=torch.float64)


def _float64(image: Tensor) -> Tensor:
    return _off_mps(image).double()


def _off_mps(values: Tensor) -> Tensor:
    return values.cpu() if values.device.type == "mps" else values  # MPS has no float64
