"""The losses: three kinds of adversarial loss on PatchGAN logits, and L1 on ab."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GAN_LOSSES = ("vanilla", "lsgan", "hinge")


class GANLoss(nn.Module):
    """Mean adversarial loss over logits of any shape.

    - "vanilla": binary cross-entropy on logits, the report's (Goodfellow et al. 2014, non-saturating);
    - "lsgan": squared distance to 1 for real and 0 for fake (Mao et al. 2017);
    - "hinge": relu(1 - x) for real and relu(1 + x) for fake; the generator's is -x (Lim & Ye 2017).
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        if kind not in GAN_LOSSES:
            raise ValueError(f"unknown GAN loss {kind!r}; choose one of {', '.join(GAN_LOSSES)}")
        self.kind = kind

    def forward(self, logits: Tensor, real: bool, *, for_generator: bool = False) -> Tensor:
        """How far `logits` are from being called real (or fake): a scalar.

        `for_generator` matters to hinge alone, where the generator's loss is not bounded by the margin.
        """
        if self.kind == "hinge":
            signed = logits if real else -logits
            return -signed.mean() if for_generator else F.relu(1 - signed).mean()
        target = torch.full_like(logits, float(real))
        if self.kind == "lsgan":
            return F.mse_loss(logits, target)
        return F.binary_cross_entropy_with_logits(logits, target)


def l1_loss(fake_ab: Tensor, real_ab: Tensor) -> Tensor:
    """Mean absolute error of ab (N, 2, H, W), both scaled to [-1, 1]: a scalar; 0.01 is 1.1 units of Lab."""
    return F.l1_loss(fake_ab, real_ab)
