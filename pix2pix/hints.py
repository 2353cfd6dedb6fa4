"""Colors that a person asks for at points of a photo: from points to the planes that the network takes, and back.

A hint is a color's hue and chroma (its a and b); the photo's own L stays. Real-time user-guided colorization: Zhang et
al. 2017.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from PIL import ImageColor
from torch import Tensor

from pix2pix.color import lab_to_rgb_in_gamut, to_lab

RADIUS = 3 / 256  # of a point that does not say its own, relative to the photo's short side
LEAST = 3  # pixels that a point's square is wide and high: enlarging the colors then keeps the one at a point
LARGEST = 1e9  # pixels or seconds
SPREADING = 24  # steps by which a corrected color spreads, about one pixel each
EDGE = 0.1  # the difference of L, of [-1, 1], at which it hardly does


@dataclass(frozen=True)
class Point:
    """The color at (x, y), in pixels of the upright photo from its top left corner.

    `color` is "#rrggbb" or a CSS name, as Pillow's ImageColor reads them; a gray one asks for no color. `radius`, in
    pixels of the photo, is half the side of the square that is surely of this color (default: 3 in 256 of the photo's
    short side). `page` (of a TIFF, from 1), `frame` (of a film, from 0) or `time` (seconds of a film) say where the
    point belongs if there are several pictures. Raises ValueError for a color or a number that is none.
    """

    x: float
    y: float
    color: str
    radius: float | None = None
    page: int | None = None
    frame: int | None = None
    time: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.color, str):
            raise ValueError(f"color is {self.color!r:.40}, not a text like #c0392b or red")
        try:
            ImageColor.getcolor(self.color, "RGB")
        except ValueError:
            raise ValueError(f"{self.color!r:.40} is no color; give #rrggbb or a CSS name like red") from None
        for name in ("x", "y", "radius", "time"):
            value = getattr(self, name)
            if value is not None or name in ("x", "y"):
                _check_number(name, value)
        if self.radius is not None and self.radius <= 0:
            raise ValueError(f"radius is {self.radius}, and has to be above 0")
        if self.time is not None and self.time < 0:
            raise ValueError(f"time is {self.time}, and has to be at least 0")
        for name, least in (("page", 1), ("frame", 0)):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
                raise ValueError(f"{name} is {value!r}, not a whole number from {least} up")

    def __str__(self) -> str:
        return f"{self.x:g},{self.y:g},{self.color}"

    @property
    def ab(self) -> tuple[float, float]:
        """The color's a and b, divided by 110."""
        rgb = ImageColor.getcolor(self.color, "RGB")
        _, ab = to_lab(torch.tensor(rgb, dtype=torch.uint8).view(1, 3, 1, 1))
        return ab[0, 0].item(), ab[0, 1].item()


def _check_number(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < LARGEST:
        raise ValueError(f"{name} is {value!r:.40}, not a number of pixels or seconds")


def hint_planes(points: Iterable[Point], photo_size: tuple[int, int], working_size: tuple[int, int]) -> Tensor:
    """The points of a photo of `photo_size` (height, width) as hints (1, 3, h, w) of `working_size` (h, w).

    ab in [-1, 1] and a mask: 1 in each point's square, which has at least 3x3 pixels where there are as many, else all
    0. Later points lie over earlier ones.
    """
    hints = torch.zeros(1, 3, *working_size)
    for point in points:
        radius = RADIUS * min(photo_size) if point.radius is None else point.radius
        rows, columns = (
            _covered(place, radius, whole, pixels)
            for place, whole, pixels in zip((point.y, point.x), photo_size, working_size, strict=True)
        )
        hints[0, :, rows, columns] = torch.tensor([*point.ab, 1.0]).view(3, 1, 1)
    return hints


def _covered(place: float, radius: float, whole: int, pixels: int) -> slice:
    """The pixels along one side that a point covers: of a photo's side of `whole` pixels, seen as `pixels`."""
    scale = pixels / whole
    center, reach = (math.floor(place) + 0.5) * scale, max(radius * scale, LEAST / 2)
    first = max(min(round(center - reach), pixels - LEAST), 0)
    return slice(first, min(max(round(center + reach), first + LEAST), pixels))


def resize_hints(hints: Tensor, size: tuple[int, int]) -> Tensor:
    """Hints (N, 3, H, W) at another size (height, width): the mean of the hinted pixels that a new pixel covers."""
    if hints.shape[-2:] == size:
        return hints
    mask = hints[:, 2:]
    means = F.interpolate(torch.cat((hints[:, :2] * mask, mask), dim=1), size, mode="area")
    share = means[:, 2:]
    return torch.cat((means[:, :2] / share.clamp(min=1e-6), (share > 0).to(means.dtype)), dim=1)


def hold_at_points(ab: Tensor, hints: Tensor, lightness: Tensor) -> Tensor:
    """ab (N, 2, h, w) with the hinted ab where there are hints (N, 3, h, w), and what is missing spread around them.

    The difference is diffused for some steps, which fades it within about 10 pixels and stops it at edges of L
    `lightness` (N, 1, h, w): Perona and Malik 1990.
    """
    mask = hints[:, 2:] > 0
    missing = (hints[:, :2] - ab) * mask
    across = torch.exp(-((lightness.diff(dim=3) / EDGE) ** 2)) / 4
    down = torch.exp(-((lightness.diff(dim=2) / EDGE) ** 2)) / 4
    spread = missing
    for _ in range(SPREADING):
        flow_x, flow_y = across * spread.diff(dim=3), down * spread.diff(dim=2)
        spread = spread + F.pad(flow_x, (0, 1)) - F.pad(flow_x, (1, 0))
        spread = spread + F.pad(flow_y, (0, 0, 0, 1)) - F.pad(flow_y, (0, 0, 1, 0))
        spread = torch.where(mask, missing, spread)
    return (ab + spread).clamp(-1, 1)


def reachable_color(color: str, lightness: float) -> str:
    """The color "#rrggbb" that comes out at a pixel of L (in [-1, 1]) where `color` is asked for.

    It has the color's hue and, as far as sRGB has it at that L, its chroma.
    """
    ab = torch.tensor(Point(0, 0, color).ab).view(1, 2, 1, 1)
    red, green, blue = lab_to_rgb_in_gamut(torch.full((1, 1, 1, 1), lightness), ab).flatten().tolist()
    return f"#{red:02x}{green:02x}{blue:02x}"
