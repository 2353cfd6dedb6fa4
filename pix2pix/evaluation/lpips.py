"""LPIPS (Zhang et al. 2018): how different two photos look to AlexNet's features, weighted by people's judgments."""

from __future__ import annotations

import urllib.error
import warnings

import torch
from torch import Tensor

from pix2pix.errors import UserError
from pix2pix.evaluation.methods import TRUTH, Batch
from pix2pix.evaluation.scoring import Scores


class PerceptualDistance:
    """uint8 photos (N, 3, H, W), twice, to their LPIPS (N,) in float64, by the package `lpips` (an extra).

    Its AlexNet is torchvision's download of 233 MB. Raises UserError when either is missing.
    """

    variant = "lpips 0.1 with AlexNet, photos at their own size"

    def __init__(self, device: torch.device) -> None:
        try:
            import lpips
        except ImportError:
            raise UserError('--lpips needs its package: pip install -e ".[lpips]"') from None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # it names its weights as torchvision did before 0.13
                self.network = lpips.LPIPS(net="alex", verbose=False).to(device).eval()
        except (urllib.error.URLError, OSError, RuntimeError) as error:
            raise UserError(
                f"cannot download torchvision's AlexNet weights for LPIPS ({error}); try again with a network, or "
                "leave --lpips out"
            ) from error

    @torch.inference_mode()
    def __call__(self, image: Tensor, truth: Tensor) -> Tensor:
        return self.network(*(photos.float() / 127.5 - 1 for photos in (image, truth))).flatten().cpu().double()

    def score(self, batch: Batch, photos: dict[str, Tensor]) -> Scores:
        """The distance of every method's photos from the true ones."""
        return {name: {"lpips": self(images, batch.photos)} for name, images in photos.items() if name != TRUTH}
