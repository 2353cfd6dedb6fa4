"""The network of Kang et al. 2023, "DDColor: Towards Photo-Realistic Image Colorization via Dual Decoders", tiny size.

Built from the paper's description around torchvision's ConvNeXt-T, with random weights: it is here for its time, not
for its colors.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import convnext_tiny
from torchvision.models.convnext import LayerNorm2d

ENCODER_WIDTHS = (96, 192, 384, 768)  # at 1/4, 1/8, 1/16 and 1/32 of the photo's size
DECODER_WIDTHS = (512, 512, 256)  # at 1/16, 1/8 and 1/4
HIDDEN, HEADS, FEEDFORWARD, QUERIES, LAYERS = 256, 8, 2048, 100, 9


class ShuffleUp(nn.Sequential):
    """(N, inner, H, W) to (N, outer, scale H, scale W)."""

    def __init__(self, inner: int, outer: int, scale: int) -> None:
        super().__init__(nn.Conv2d(inner, outer * scale**2, 1), nn.ReLU(inplace=True), nn.PixelShuffle(scale))


class PixelBlock(nn.Module):
    """(N, inner, H, W) and the encoder's (N, skip, 2H, 2W) to (N, outer, 2H, 2W)."""

    def __init__(self, inner: int, skip: int, outer: int) -> None:
        super().__init__()
        self.up, self.norm = ShuffleUp(inner, outer // 2, 2), nn.BatchNorm2d(skip)
        self.conv = nn.Sequential(
            nn.Conv2d(outer // 2 + skip, outer, 3, padding=1), nn.ReLU(inplace=True), nn.BatchNorm2d(outer)
        )

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.conv(F.relu(torch.cat((self.up(x), self.norm(skip)), dim=1)))


class ColorBlock(nn.Module):
    """The color queries (N, QUERIES, HIDDEN) look at the pixels of one scale (N, H W, HIDDEN), then at each other."""

    def __init__(self) -> None:
        super().__init__()
        self.cross, self.self_attention = (nn.MultiheadAttention(HIDDEN, HEADS, batch_first=True) for _ in range(2))
        self.feedforward = nn.Sequential(nn.Linear(HIDDEN, FEEDFORWARD), nn.ReLU(), nn.Linear(FEEDFORWARD, HIDDEN))
        self.norms = nn.ModuleList(nn.LayerNorm(HIDDEN) for _ in range(3))

    def forward(self, queries: Tensor, place: Tensor, pixels: Tensor) -> Tensor:
        first, second, third = self.norms
        queries = first(queries + self.cross(queries + place, pixels, pixels, need_weights=False)[0])
        placed = queries + place
        queries = second(queries + self.self_attention(placed, placed, queries, need_weights=False)[0])
        return third(queries + self.feedforward(queries))


class DDColorTiny(nn.Module):
    """L (N, 1, H, W) to ab (N, 2, H, W); H and W are multiples of 32."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = convnext_tiny().features
        self.norms = nn.ModuleList(LayerNorm2d(width) for width in ENCODER_WIDTHS)
        blocks, inner = [], ENCODER_WIDTHS[-1]
        for skip, outer in zip(reversed(ENCODER_WIDTHS[:-1]), DECODER_WIDTHS, strict=True):
            blocks.append(PixelBlock(inner, skip, outer))
            inner = outer
        self.blocks, self.up = nn.ModuleList(blocks), ShuffleUp(inner, HIDDEN, 4)
        self.project = nn.ModuleList(nn.Conv2d(width, HIDDEN, 1) for width in DECODER_WIDTHS)
        self.level = nn.Parameter(torch.randn(len(DECODER_WIDTHS), HIDDEN))
        self.queries, self.place = (nn.Parameter(torch.randn(1, QUERIES, HIDDEN)) for _ in range(2))
        self.color_blocks = nn.ModuleList(ColorBlock() for _ in range(LAYERS))
        self.color_norm = nn.LayerNorm(HIDDEN)
        self.color_head = nn.Sequential(
            nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN)
        )
        self.refine = nn.Conv2d(QUERIES + 3, 2, 1)

    def forward(self, lightness: Tensor) -> Tensor:
        photo = lightness.expand(-1, 3, -1, -1)
        x, skips = photo, []
        for number, stage in enumerate(self.encoder):
            x = stage(x)
            if number % 2:  # the stages between the stem and the downsampling layers
                skips.append(self.norms[number // 2](x))
        x, scales = skips.pop(), []
        for block in self.blocks:
            x = block(x, skips.pop())
            scales.append(x)
        pixels = [
            project(scale).flatten(2).transpose(1, 2) + level
            for project, scale, level in zip(self.project, scales, self.level, strict=True)
        ]
        queries = self.queries.expand(len(x), -1, -1)
        for number, block in enumerate(self.color_blocks):
            queries = block(queries, self.place, pixels[number % len(pixels)])
        colors = self.color_head(self.color_norm(queries))
        maps = torch.einsum("nqc,nchw->nqhw", colors, self.up(x))
        return self.refine(torch.cat((maps, photo), dim=1))
