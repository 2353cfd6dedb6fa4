"""A Colorizer without a network: the same colors for every photo, but for squares of color at its points."""

import copy
from pathlib import Path

import torch
from PIL import ImageColor

from pix2pix.color import lab_to_rgb_in_gamut, to_lab

AB = (0.2, 0.3)  # a warm brown, in [-1, 1]
RADIUS = 2  # of the squares at points, in pixels


class StubColorizer:
    """Takes what Colorizer takes; `takes_points` may be set on the class."""

    takes_points = True
    device = torch.device("cpu")

    def __init__(self, weights=None, *, strength=1.0, size=None, device="auto", runs=Path("runs")):
        self.weights, self.strength, self.size = weights or Path("stub.pt"), strength, size or 64

    def with_strength(self, strength):
        other = copy.copy(self)
        other.strength = strength
        return other

    def colorize_lightness(self, lightness, points=None, *, deep=False, name="the photo"):
        ab = torch.tensor(AB).view(1, 2, 1, 1).expand(-1, -1, *lightness.shape[2:]) * self.strength
        ab = ab.clone()
        for point in points or ():
            rgb = torch.tensor(ImageColor.getrgb(point.color), dtype=torch.uint8).view(1, 3, 1, 1)
            top, left = max(int(point.y) - RADIUS, 0), max(int(point.x) - RADIUS, 0)
            ab[:, :, top : int(point.y) + RADIUS + 1, left : int(point.x) + RADIUS + 1] = to_lab(rgb)[1]
        rgb = lab_to_rgb_in_gamut(lightness, ab, torch.uint16 if deep else torch.uint8)
        return rgb.contiguous(memory_format=torch.channels_last)
