"""The PatchGAN discriminator (Isola et al. 2017): for each 70x70 patch of a photo, is it real or colorized?"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


class PatchDiscriminator(nn.Module):
    """Lab (N, 3, H, W), L and ab in [-1, 1], to logits (N, 1, H/8 - 2, W/8 - 2): 30x30 for 256x256.

    The layers are the report's. Weights start as N(0, 0.02), BatchNorm's as N(1, 0.02). With `spectral`, every
    convolution has spectral normalization (Miyato et al. 2018) and a bias, and there is no BatchNorm.
    """

    def __init__(self, *, spectral: bool = False) -> None:
        super().__init__()
        self.model = nn.Sequential(
            _layer(3, 64, stride=2, norm=False, spectral=spectral),
            _layer(64, 128, stride=2, spectral=spectral),
            _layer(128, 256, stride=2, spectral=spectral),
            _layer(256, 512, stride=1, spectral=spectral),
            _layer(512, 1, stride=1, norm=False, activation=False, spectral=spectral),
        )

    def forward(self, lightness: Tensor, ab: Tensor) -> Tensor:
        """L (N, 1, H, W) and ab (N, 2, H, W) to logits (N, 1, H/8 - 2, W/8 - 2); above 0 means real."""
        return self.model(torch.cat((lightness, ab), dim=1)).float()


def _layer(
    inner: int, outer: int, *, stride: int, norm: bool = True, activation: bool = True, spectral: bool = False
) -> nn.Sequential:
    batch_norm = norm and not spectral
    conv = nn.Conv2d(inner, outer, 4, stride, padding=1, bias=not batch_norm)
    nn.init.normal_(conv.weight, 0.0, 0.02)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    modules: list[nn.Module] = [spectral_norm(conv) if spectral else conv]
    if batch_norm:
        normalization = nn.BatchNorm2d(outer)
        nn.init.normal_(normalization.weight, 1.0, 0.02)
        modules.append(normalization)
    if activation:
        modules.append(nn.LeakyReLU(0.2, inplace=True))
    return nn.Sequential(*modules)
