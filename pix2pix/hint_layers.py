"""How the generator takes hints: they are added to the features of every scale.

A hint that is given to the first layer alone is hardly learned. At the low scales one click covers the cell of a whole
object, so color hints reach everything that the network sees as that object.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

AB_GAIN = 5.0  # brings ab, which is mostly below 0.3, to the size of the other features
FIRST_WEIGHTS = 0.02  # standard deviation: hints change little at first


class HintLayers(nn.Module):
    """Hints (N, 3, H, W) to what is added to the encoder's features of every scale and to the decoder's last.

    Each scale sees three planes per cell (2x2 pixels, 4x4, ... 32x32): the mean hinted a and b, times 5, and 1 where
    the cell has a hint. A convolution without bias brings them to the scale's channels, so no hint adds exactly 0.
    """

    def __init__(self, encoder_widths: Sequence[int], decoder_width: int) -> None:
        super().__init__()
        self.encoder = nn.ModuleList(nn.Conv2d(3, width, 3, padding=1, bias=False) for width in encoder_widths)
        self.decoder = nn.Conv2d(3, decoder_width, 3, padding=1, bias=False)

    def init_weights(self) -> None:
        """First weights, for training from the beginning."""
        for convolution in (*self.encoder, self.decoder):
            nn.init.normal_(convolution.weight, std=FIRST_WEIGHTS)

    def forward(self, hints: Tensor) -> tuple[list[Tensor], Tensor]:
        """H and W are multiples of 32. Returns the encoder's five additions, at 1/2 to 1/32, and the decoder's."""
        dtype = self.decoder.weight.dtype
        planes = [plane.to(dtype) for plane in hint_cells(hints.float(), len(self.encoder))]
        added = [convolution(plane) for convolution, plane in zip(self.encoder, planes, strict=True)]
        return added, self.decoder(planes[0])


def hint_cells(hints: Tensor, scales: int) -> list[Tensor]:
    """Hints (N, 3, H, W), ab and a mask, to `scales` tensors (N, 3, H/2, W/2), (N, 3, H/4, W/4), and so on.

    Their planes are 5 times the mean a and b of the cell's hinted pixels and whether it has any (0 or 1).
    """
    mask = hints[:, 2:]
    means = torch.cat((hints[:, :2] * mask, mask), dim=1)  # over all pixels of a cell
    cells = []
    for _ in range(scales):
        means = F.avg_pool2d(means, 2)
        share = means[:, 2:]
        ab = means[:, :2] / share.clamp(min=1e-6)
        cells.append(torch.cat((AB_GAIN * ab, (share > 0).to(ab.dtype)), dim=1))
    return cells
