"""The generator: a ResNet18 encoder written by hand and a light U-Net decoder that predicts ab from L.

Encoder: He et al. 2015, "Deep Residual Learning"; parameter names are torchvision's, so its ImageNet weights load.
U-Net: Ronneberger et al. 2015. Sub-pixel upsampling: Shi et al. 2016; ICNR initialisation: Aitken et al. 2017.
"""

from __future__ import annotations

import urllib.error
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pix2pix.color import lightness_to_gray
from pix2pix.errors import UserError

STRIDE = 32
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class ImageNetNormalize(nn.Module):
    """RGB (N, 3, H, W), or gray (N, 1, H, W) for all three, in [0, 1] to (N, 3, H, W) as ImageNet's networks expect."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, rgb: Tensor) -> Tensor:
        return (rgb - self.mean) / self.std


class BasicBlock(nn.Module):
    """(N, inner, H, W) to (N, outer, H/stride, W/stride): two 3x3 convolutions and a shortcut."""

    def __init__(self, inner: int, outer: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inner, outer, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outer)
        self.conv2 = nn.Conv2d(outer, outer, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outer)
        self.downsample = None
        if stride != 1 or inner != outer:
            self.downsample = nn.Sequential(nn.Conv2d(inner, outer, 1, stride, bias=False), nn.BatchNorm2d(outer))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return F.relu(self.bn2(self.conv2(x)) + shortcut, inplace=True)


class ResNet18Encoder(nn.Module):
    """torchvision's `resnet18` without `avgpool` and `fc`; returns the features of every scale.

    (N, 3, H, W), RGB normalised by ImageNet's mean and standard deviation, H and W multiples of 32, to
    [(N, 64, H/2, W/2), (N, 64, H/4, W/4), (N, 128, H/8, W/8), (N, 256, H/16, W/16), (N, 512, H/32, W/32)].
    """

    widths = (64, 64, 128, 256, 512)

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = nn.Sequential(BasicBlock(64, 64, 1), BasicBlock(64, 64, 1))
        self.layer2 = nn.Sequential(BasicBlock(64, 128, 2), BasicBlock(128, 128, 1))
        self.layer3 = nn.Sequential(BasicBlock(128, 256, 2), BasicBlock(256, 256, 1))
        self.layer4 = nn.Sequential(BasicBlock(256, 512, 2), BasicBlock(512, 512, 1))
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and not module.weight.is_meta:  # there, weights from a file will follow
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> list[Tensor]:
        features = [F.relu(self.bn1(self.conv1(x)))]
        x = self.maxpool(features[0])
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            features.append(x)
        return features


class PixelShuffleUp(nn.Module):
    """(N, inner, H, W) to (N, outer, 2H, 2W): a convolution to four times the channels, shuffled into 2x2 pixels."""

    def __init__(self, inner: int, outer: int, kernel: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inner, 4 * outer, kernel, padding=kernel // 2)
        if self.conv.weight.is_meta:
            return
        first = nn.init.kaiming_normal_(torch.empty(outer, inner, kernel, kernel), nonlinearity="relu")
        with torch.no_grad():  # ICNR: the four pixels of a 2x2 block start equal, so there is no checkerboard
            self.conv.weight.copy_(first.repeat_interleave(4, dim=0))
            self.conv.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.conv(x), 2)


class UpBlock(nn.Module):
    """(N, inner, H, W) and the skip (N, skip, 2H, 2W) to (N, outer, 2H, 2W)."""

    def __init__(self, inner: int, skip: int, outer: int) -> None:
        super().__init__()
        self.up = PixelShuffleUp(inner, outer)
        self.conv1 = nn.Conv2d(outer + skip, outer, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outer)
        self.conv2 = nn.Conv2d(outer, outer, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outer)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = torch.cat((F.relu(self.up(x)), skip), dim=1)
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return F.relu(self.bn2(self.conv2(x)), inplace=True)


@dataclass(frozen=True, kw_only=True)
class GeneratorConfig:
    """The generator's shape: the decoder's channels at 1/16, 1/8, 1/4 and 1/2 of the input's size."""

    decoder_widths: tuple[int, int, int, int] = (256, 128, 64, 32)


class UNetGenerator(nn.Module):
    """L (N, 1, H, W) in [-1, 1] to ab (N, 2, H, W) in [-1, 1] (times 110: Lab), for any H and W from 1 up.

    The last features are at half resolution; a pixel shuffle brings the two colour planes to full size. In bf16, after
    `.bfloat16()`, L and ab stay float32.
    """

    def __init__(self, config: GeneratorConfig | None = None) -> None:
        super().__init__()
        self.config = config or GeneratorConfig()
        self.encoder = ResNet18Encoder()
        blocks, inner = [], self.encoder.widths[-1]
        for skip, outer in zip(reversed(self.encoder.widths[:-1]), self.config.decoder_widths, strict=True):
            blocks.append(UpBlock(inner, skip, outer))
            inner = outer
        self.decoder = nn.ModuleList(blocks)
        self.head = PixelShuffleUp(inner, 2, kernel=3)
        with torch.no_grad():
            self.head.conv.weight.mul_(0.1)  # start near gray
        self.normalize = ImageNetNormalize()

    def encoder_input(self, lightness: Tensor) -> Tensor:
        """L (N, 1, H, W) in [-1, 1] to (N, 3, H, W): the gray photo of that L, as ImageNet's networks expect it."""
        return self.normalize(lightness_to_gray(lightness))

    def forward(self, lightness: Tensor) -> Tensor:
        height, width = lightness.shape[-2:]
        padding = (0, -width % STRIDE, 0, -height % STRIDE)
        padded = F.pad(lightness, padding, mode="replicate") if any(padding) else lightness
        *skips, x = self.encoder(self.encoder_input(padded).to(self.head.conv.weight.dtype))
        for block in self.decoder:
            x = block(x, skips.pop())
        return torch.tanh(self.head(x).float())[..., :height, :width]


def load_encoder_weights(encoder: ResNet18Encoder, source: str) -> None:
    """Fill the encoder from `source`: "imagenet" (torchvision's download), a file in its layout, or "none".

    Every name but `fc.*` has to match. Raises UserError when the download or the file cannot be used.
    """
    if source == "none":
        return
    if source == "imagenet":
        from torchvision.models import ResNet18_Weights

        try:
            state = ResNet18_Weights.IMAGENET1K_V1.get_state_dict(progress=True, check_hash=True)
        except (urllib.error.URLError, OSError, RuntimeError) as error:
            raise UserError(
                f"cannot download torchvision's ResNet18 weights ({error}); give a local file with --encoder FILE, "
                "or start from random weights with --encoder none"
            ) from error
    else:
        try:
            state = torch.load(Path(source), map_location="cpu", weights_only=True)
        except FileNotFoundError:
            raise UserError(f"no encoder weights at {source}; --encoder takes imagenet, none or a file") from None
        except Exception as error:  # a damaged file makes the unpickler raise almost anything
            raise UserError(f"{source} holds no ResNet18 weights that can be read; is it a .pth file?") from error
    try:
        encoder.load_state_dict({name: value for name, value in state.items() if not name.startswith("fc.")})
    except (RuntimeError, AttributeError, TypeError) as error:
        raise UserError(f"the weights of {source} are not those of torchvision's resnet18") from error
