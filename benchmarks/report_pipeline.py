"""The report's pipeline, rebuilt for comparison: fastai's DynamicUnet, scikit-image's Lab photo by photo, float32."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from skimage.color import rgb2lab
from torch import Tensor, nn
from torch.optim import AdamW
from torch.utils.data import Dataset
from torchvision.models import resnet18

with warnings.catch_warnings():  # of its dependencies' old names
    warnings.simplefilter("ignore")
    from fastai.vision.learner import create_body
    from fastai.vision.models.unet import DynamicUnet

BATCH, SIZE, LAMBDA = 16, 256, 100.0


def dynamic_unet() -> nn.Module:
    """L (N, 1, 256, 256) to ab (N, 2, 256, 256), random weights."""
    body = create_body(resnet18(), n_in=1, cut=-2)
    return DynamicUnet(body, 2, (SIZE, SIZE))


def patch_gan() -> nn.Module:
    """Lab (N, 3, 256, 256) to logits (N, 1, 30, 30): 64 to 512 filters of 4x4, BatchNorm in the middle three."""
    layers, inner = [], 3
    for width, stride in ((64, 2), (128, 2), (256, 2), (512, 1)):
        layers.append(nn.Conv2d(inner, width, 4, stride, 1, bias=inner == 3))
        layers += [nn.BatchNorm2d(width)] if inner != 3 else []
        layers.append(nn.LeakyReLU(0.2, inplace=True))
        inner = width
    return nn.Sequential(*layers, nn.Conv2d(inner, 1, 4, 1, 1))


class LabPhotos(Dataset):
    """Photos resized by Pillow, half of them mirrored, as L (1, size, size) and ab (2, size, size) in [-1, 1]."""

    def __init__(self, paths: list[Path], size: int = SIZE) -> None:
        self.paths, self.size = paths, size

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image = Image.open(self.paths[index]).convert("RGB").resize((self.size, self.size), Image.Resampling.BICUBIC)
        if torch.rand(()) < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        lab = torch.from_numpy(rgb2lab(np.array(image)).astype(np.float32)).permute(2, 0, 1)
        return lab[:1] / 50 - 1, lab[1:] / 110


class ReportTraining:
    """Both stages of the report: `pretrain(L, ab)` and `gan(L, ab)` make one step on a batch."""

    def __init__(self) -> None:
        self.generator, self.discriminator = dynamic_unet(), patch_gan()
        self.pretraining = AdamW(self.generator.parameters(), 1e-4)
        self.adversarial = AdamW(self.generator.parameters(), 2e-4, betas=(0.5, 0.999))
        self.judging = AdamW(self.discriminator.parameters(), 2e-4, betas=(0.5, 0.999))
        self.gan_loss = nn.BCEWithLogitsLoss()

    def pretrain(self, lightness: Tensor, ab: Tensor) -> None:
        loss = nn.functional.l1_loss(self.generator(lightness), ab)
        self.pretraining.zero_grad()
        loss.backward()
        self.pretraining.step()

    def gan(self, lightness: Tensor, ab: Tensor) -> None:
        fake_ab = self.generator(lightness)
        self.discriminator.requires_grad_(True)
        fake = self.discriminator(torch.cat((lightness, fake_ab.detach()), dim=1))
        real = self.discriminator(torch.cat((lightness, ab), dim=1))
        loss_d = (self.gan_loss(fake, torch.zeros_like(fake)) + self.gan_loss(real, torch.ones_like(real))) / 2
        self.judging.zero_grad()
        loss_d.backward()
        self.judging.step()
        self.discriminator.requires_grad_(False)
        fake = self.discriminator(torch.cat((lightness, fake_ab), dim=1))
        loss_g = self.gan_loss(fake, torch.ones_like(fake)) + LAMBDA * nn.functional.l1_loss(fake_ab, ab)
        self.adversarial.zero_grad()
        loss_g.backward()
        self.adversarial.step()
