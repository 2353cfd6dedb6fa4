"""The network of Zhang et al. 2017, "Real-Time User-Guided Image Colorization with Learned Deep Priors".

Built from the paper's description, with random weights: it is here for its time and memory, not for its colors.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

WIDTHS = (64, 128, 256, 512, 512, 512, 512, 256, 128, 128)  # of the ten blocks
DEPTHS = (2, 2, 3, 3, 3, 3, 3)  # convolutions of the first seven blocks


class Siggraph17Generator(nn.Module):
    """L (N, 1, H, W), with no hints of the user, to ab (N, 2, H, W) in [-1, 1]; H and W are multiples of 8.

    Blocks 1 to 4 halve the size between them, 5 and 6 are dilated instead, 8 to 10 double it and add a shortcut's
    convolution of blocks 3, 2 and 1.
    """

    def __init__(self) -> None:
        super().__init__()
        inner, blocks = 4, []  # L, two planes of hints, and their mask
        for number, (width, depth) in enumerate(zip(WIDTHS, DEPTHS, strict=False), start=1):
            dilation = 2 if number in (5, 6) else 1
            layers: list[nn.Module] = []
            for _ in range(depth):
                layers += [nn.Conv2d(inner, width, 3, padding=dilation, dilation=dilation), nn.ReLU(inplace=True)]
                inner = width
            blocks.append(nn.Sequential(*layers, nn.BatchNorm2d(width)))
        self.down = nn.ModuleList(blocks)
        self.up, self.shortcut, self.merge = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for width, skip, depth in ((WIDTHS[7], WIDTHS[2], 2), (WIDTHS[8], WIDTHS[1], 1), (WIDTHS[9], WIDTHS[0], 1)):
            self.up.append(nn.ConvTranspose2d(inner, width, 4, stride=2, padding=1))
            self.shortcut.append(nn.Conv2d(skip, width, 3, padding=1))
            layers = [nn.ReLU(inplace=True)]
            for _ in range(depth):
                layers += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU(inplace=True)]
            last = width == WIDTHS[9] and skip == WIDTHS[0]
            self.merge.append(nn.Sequential(*layers, nn.Identity() if last else nn.BatchNorm2d(width)))
            inner = width
        self.head = nn.Conv2d(inner, 2, 1)

    def forward(self, lightness: Tensor) -> Tensor:
        hints = lightness.new_zeros(len(lightness), 3, *lightness.shape[2:])
        x, kept = torch.cat((lightness, hints), dim=1), []
        for number, block in enumerate(self.down, start=1):
            x = block(x)
            if number < 4:
                kept.append(x)
                x = x[:, :, ::2, ::2]
        for up, shortcut, merge in zip(self.up, self.shortcut, self.merge, strict=True):
            x = merge(up(x) + shortcut(kept.pop()))
        return torch.tanh(self.head(x))
