"""The generator: a ResNet18 encoder written by hand and a light U-Net decoder that predicts ab from L and hints.

Encoder: He et al. 2015, "Deep Residual Learning"; parameter names are torchvision's, so its ImageNet weights load.
U-Net: Ronneberger et al. 2015. Sub-pixel upsampling: Shi et al. 2016; ICNR initialization: Aitken et al. 2017.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from pix2pix.color import lightness_to_gray
from pix2pix.hint_layers import HintLayers

STRIDE = 32
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class ImageNetNormalize(nn.Module):
    """RGB (N, 3, H, W), or gray (N, 1, H, W) for all three, in [0, 1] to (N, 3, H, W) as ImageNet's networks expect."""

    mean: Tensor
    std: Tensor

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

    (N, 3, H, W), RGB normalized by ImageNet's mean and standard deviation, H and W multiples of 32, to
    [(N, 64, H/2, W/2), (N, 64, H/4, W/4), (N, 128, H/8, W/8), (N, 256, H/16, W/16), (N, 512, H/32, W/32)].
    Tensors of these shapes may be given to be added to the features, each before the next scale is computed from it.
    """

    widths = (64, 64, 128, 256, 512)

    def __init__(self) -> None:
        super().__init__()
        stem, first, *others = self.widths
        self.conv1 = nn.Conv2d(3, stem, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = nn.Sequential(BasicBlock(stem, first, 1), BasicBlock(first, first, 1))
        self.layer2, self.layer3, self.layer4 = (
            nn.Sequential(BasicBlock(inner, outer, 2), BasicBlock(outer, outer, 1))
            for inner, outer in zip((first, *others), others, strict=False)
        )

    def init_weights(self) -> None:
        """First weights, for training from the beginning."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor, added: Sequence[Tensor] | None = None) -> list[Tensor]:
        x = F.relu(self.bn1(self.conv1(x)))
        features = [x if added is None else x + added[0]]
        x = self.maxpool(features[0])
        for number, layer in enumerate((self.layer1, self.layer2, self.layer3, self.layer4), start=1):
            x = layer(x) if added is None else layer(x) + added[number]
            features.append(x)
        return features


class PixelShuffleUp(nn.Module):
    """(N, inner, H, W) to (N, outer, 2H, 2W): a convolution to four times the channels, shuffled into 2x2 pixels."""

    def __init__(self, inner: int, outer: int, kernel: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inner, 4 * outer, kernel, padding=kernel // 2)

    @torch.no_grad()
    def init_weights(self) -> None:
        """First weights after ICNR: the four pixels of a 2x2 block start equal, so there is no checkerboard."""
        first = nn.init.kaiming_normal_(self.conv.weight[::4].clone(), nonlinearity="relu")
        self.conv.weight.copy_(first.repeat_interleave(4, dim=0))
        nn.init.zeros_(self.conv.get_parameter("bias"))

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
    """The generator's shape: the decoder's channels at 1/16, 1/8, 1/4 and 1/2 of the input's size, and whether it
    takes hints."""

    decoder_widths: tuple[int, int, int, int] = (256, 128, 64, 32)
    hints: bool = False


class UNetGenerator(nn.Module):
    """L (N, 1, H, W) in [-1, 1] to ab (N, 2, H, W) in [-1, 1] (times 110: Lab), for any H and W from 1 up.

    `hints` (N, 3, H, W) are colors that somebody asks for: ab in [-1, 1] at some pixels (0 elsewhere) and a mask, 1 at
    these pixels and 0 elsewhere. All zeros give what no hints give. The last features are at half resolution; a pixel
    shuffle brings the two color planes to full size. In bf16, after `.bfloat16()`, L, hints and ab stay float32.
    Weights are PyTorch's first ones until `init_weights` or a file gives others.
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
        self.hint_layers = HintLayers(self.encoder.widths, inner) if self.config.hints else None
        self.normalize = ImageNetNormalize()

    @property
    def takes_hints(self) -> bool:
        return self.hint_layers is not None

    @torch.no_grad()
    def init_weights(self) -> None:
        """First weights, for training from the beginning: almost gray, and hints change little."""
        for module in self.modules():
            if isinstance(module, ResNet18Encoder | PixelShuffleUp | HintLayers):
                module.init_weights()
        self.head.conv.weight.mul_(0.1)

    def encoder_input(self, lightness: Tensor) -> Tensor:
        """L (N, 1, H, W) in [-1, 1] to (N, 3, H, W): the gray photo of that L, as ImageNet's networks expect it."""
        return self.normalize(lightness_to_gray(lightness))

    def forward(self, lightness: Tensor, hints: Tensor | None = None) -> Tensor:
        """Raises ValueError for hints if the network has no layers for them."""
        height, width = lightness.shape[-2:]
        padding = (0, -width % STRIDE, 0, -height % STRIDE)
        if any(padding):
            lightness = F.pad(lightness, padding, mode="replicate")
        padded_hints = None if hints is None else F.pad(hints, padding)
        return self.predict_padded(lightness, padded_hints)[..., :height, :width]

    def predict_padded(self, lightness: Tensor, hints: Tensor | None = None) -> Tensor:
        """`forward` for sides that are multiples of 32."""
        for_encoder, for_decoder = None, None
        if hints is not None:
            if self.hint_layers is None:
                raise ValueError("this generator takes no hints")
            for_encoder, for_decoder = self.hint_layers(hints)
        *skips, x = self.encoder(self.encoder_input(lightness).to(self.head.conv.weight.dtype), for_encoder)
        for block in self.decoder:
            x = block(x, skips.pop())
        if for_decoder is not None:
            x = x + for_decoder
        return torch.tanh(self.head(x).float())


def fold_batch_norm(network: nn.Module) -> None:
    """Put every batch norm's statistics into the convolution before it; for inference, where it gives the same faster.

    Every `conv1`, `conv2` of a module has its `bn1`, `bn2`; in a Sequential the two follow each other. In eval mode.
    """
    assert not network.training, "in training mode batch norm takes its statistics from the batch"
    for module in network.modules():
        children = dict(module.named_children())
        pairs = [(name, name.replace("conv", "bn")) for name in children if name.startswith("conv")]
        pairs += [("0", "1")] if isinstance(module, nn.Sequential) else []
        for conv, norm in pairs:
            convolution, batch_norm = children[conv], children.get(norm)
            if isinstance(convolution, nn.Conv2d) and isinstance(batch_norm, nn.BatchNorm2d):
                mean, variance = (batch_norm.get_buffer(f"running_{name}") for name in ("mean", "var"))
                convolution.weight, convolution.bias = fuse_conv_bn_weights(
                    convolution.weight,
                    convolution.bias,
                    mean,
                    variance,
                    batch_norm.eps,
                    batch_norm.weight,
                    batch_norm.bias,
                )
                setattr(module, norm, nn.Identity())
