"""SSIM as the report's notebook scored it, so that its 0.87 can be understood.

It meant to average scikit-image's SSIM over photos of 256x256, as floating RGB from `lab2rgb`, the data range taken
from the photo. What it did: the range was the prediction's own, `max - min`, so that SSIM's constants changed with what
was judged; and `net_G.train()` was called inside the loop, so that all but the first of its batches of 16 were colored
with the batch's own statistics instead of the trained ones.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pix2pix.color import join_lab, lab_to_rgb, to_lab
from pix2pix.errors import UserError
from pix2pix.evaluation.methods import Batch
from pix2pix.evaluation.metrics import ssim
from pix2pix.evaluation.scoring import Scores

REPORT_BATCH = 16
MEANT, DID = "ssim_as_meant", "ssim_as_it_did"


class ReportProtocol:
    """Scores batches of uint8 photos (n, 3, H, W): {row: {MEANT: (n,), DID: (n,)}} for gray and every generator.

    `generators` maps a row's name to a network in eval mode and its working size. The networks are left alone: train
    mode, which moves the running statistics, is for copies.
    """

    def __init__(self, generators: Mapping[str, tuple[nn.Module, int]], strength: float) -> None:
        self.generators = generators
        self.copies = {name: copy.deepcopy(network) for name, (network, _) in generators.items()}
        self.strength = strength

    @torch.inference_mode()
    def __call__(self, photos: Tensor, *, first: bool) -> Scores:
        """`first` says that this is the loop's first batch, which was still in eval mode."""
        lightness, ab = to_lab(photos)
        truth = lab_to_rgb(join_lab(lightness, ab))
        gray = lab_to_rgb(join_lab(lightness, torch.zeros_like(ab)))
        scores = {"gray": _both(gray, gray, truth)}
        for name, (network, size) in self.generators.items():
            self.copies[name].train(not first)
            small = F.interpolate(lightness, (size, size), mode="bilinear", align_corners=False, antialias=True)
            small_abs = [generator(small) for generator in (network, self.copies[name])]  # once, as there
            abs_ = [F.interpolate(ab, lightness.shape[-2:], mode="bicubic", align_corners=False) for ab in small_abs]
            meant, did = (lab_to_rgb(join_lab(lightness, self.strength * ab)) for ab in abs_)
            scores[name] = _both(meant, did, truth)
        return scores

    def score(self, batch: Batch, photos: dict[str, Tensor]) -> Scores:
        """Both SSIMs of a batch; the methods' own photos are not looked at."""
        return self(batch.photos, first=batch.numbers[0] == 0)


def refuse_batch_of_one(count: int, sizes: Sequence[int]) -> None:
    """Raises UserError where the last batch has one photo and a network's lowest features would then be one value."""
    if count % REPORT_BATCH == 1 and count > 1 and min(sizes) < 64:
        raise UserError(
            f"the report's protocol leaves a batch of one photo, in train mode, of {count}: batch normalization wants "
            "more than one value; take another --part"
        )


def _both(meant: Tensor, did: Tensor, truth: Tensor) -> dict[str, Tensor]:
    return {MEANT: ssim(meant, truth, _span(truth)).cpu(), DID: ssim(did, truth, _span(did)).cpu()}


def _span(photos: Tensor) -> Tensor:
    return photos.amax(dim=(1, 2, 3)) - photos.amin(dim=(1, 2, 3))
