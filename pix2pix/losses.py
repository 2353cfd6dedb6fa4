"""The losses: three kinds of adversarial loss on PatchGAN logits, L1 on ab, and a distance of ResNet18 features."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pix2pix.color import join_lab, lab_to_rgb
from pix2pix.unet import ImageNetNormalize, ResNet18Encoder

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
        """The mean loss of `logits` (any shape) against the label real or fake: a scalar.

        `for_generator` changes hinge alone: the generator's loss has no margin.
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


class FeatureLoss(nn.Module):
    """The distance between the ImageNet features of two colorings of the same L (after Johnson et al. 2016).

    A frozen ResNet18 sees both at half resolution. At each of its five scales: the mean absolute difference of the
    features, divided by the mean feature of the real photo. The loss is the mean of the five: 0 for equal colors, about
    0.4 for gray against a color photo.
    """

    def __init__(self, encoder: ResNet18Encoder) -> None:
        super().__init__()
        self.encoder = encoder.eval().requires_grad_(False)
        self.normalize = ImageNetNormalize()

    def forward(self, lightness: Tensor, fake_ab: Tensor, real_ab: Tensor) -> Tensor:
        """L (N, 1, H, W) and two ab (N, 2, H, W), all in [-1, 1]: a scalar.

        The gradient goes to `fake_ab` alone.
        """
        fake = self._features(lightness, fake_ab)
        with torch.no_grad():
            real = self._features(lightness, real_ab)
        distances = [F.l1_loss(f.float(), r.float()) / r.float().mean() for f, r in zip(fake, real, strict=True)]
        return torch.stack(distances).mean()

    def _features(self, lightness: Tensor, ab: Tensor) -> list[Tensor]:
        lab = F.avg_pool2d(join_lab(lightness, ab), 2)  # colors need little resolution; this is 4 times faster
        rgb = lab_to_rgb(lab)  # after the mean: clipping first would hide a checkerboard outside the gamut
        return self.encoder(self.normalize(rgb).contiguous(memory_format=torch.channels_last))
