"""A photo that is being edited on the page: a small copy of it, the points on it, and what they were before.

Nothing here knows the browser: places are shares of the photo's width and height, pictures are arrays.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pix2pix.color import AB_SCALE
from pix2pix.errors import UserError
from pix2pix.hints import Point, reachable_color
from pix2pix.inference import Colorizer, gray_photos
from pix2pix.photofile.colorize import load_pages
from pix2pix.photofile.points import check_points

PREVIEW = 1024  # pixels, the longer side of the small copy
UNFIT = 5.0  # units of ab between the color asked for and the one that comes out, from which on the page says so
# What people often point at. Only hue and chroma count: the photo's own lightness stays.
PALETTE = {
    "skin": "#d8a283",
    "hair": "#70492c",
    "wood": "#8f6238",
    "grass": "#668c3c",
    "sky": "#7db4e6",
    "denim": "#456798",
    "brick": "#a6553b",
    "no color": "#808080",
}


@dataclass
class EditedPhoto:
    """A photo file's first page, upright, and the points put on it.

    `lightness` is float16 (1, 1, h, w) in [-1, 1], at most 1024 pixels on its longer side, and `alpha` uint8 (h, w) or
    None; `width` and `height` are the photo's own. `before` holds the points of every step back.
    """

    path: Path
    width: int
    height: int
    lightness: Tensor
    alpha: np.ndarray | None = None
    notes: list[str] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    before: list[list[Point]] = field(default_factory=list)

    def place(self, x: float, y: float, color: str) -> None:
        """Put a point at shares x and y, in [0, 1], of the photo's width and height. Raises UserError for others."""
        if not (0 <= x <= 1 and 0 <= y <= 1):
            raise UserError(f"the point lies outside {self.path.name}")
        try:
            column, row = min(int(x * self.width), self.width - 1), min(int(y * self.height), self.height - 1)
            self._change([*self.points, Point(column, row, color)])
        except ValueError as error:
            raise UserError(str(error)) from None

    def remove(self, number: int) -> None:
        """Take away the point of this number, counted from 0; nothing happens where there is none."""
        if 0 <= number < len(self.points):
            self._change(self.points[:number] + self.points[number + 1 :])

    def clear(self) -> None:
        """Take away all points."""
        if self.points:
            self._change([])

    def load(self, points: list[Point]) -> None:
        """Put these points on the photo instead of those there. Raises UserError when one lies outside it."""
        check_points([point for point in points if is_on_first_page(point)], self.width, self.height, self.path.name)
        self._change(points)

    def undo(self) -> None:
        """Go back to the points before the last change."""
        if self.before:
            self.points = self.before.pop()

    def _change(self, points: list[Point]) -> None:
        self.before.append(self.points)
        self.points = points


@dataclass(frozen=True)
class Preview:
    """The small copy in gray and in color, uint8 (h, w, 3), and the color "#rrggbb" that each point has in it."""

    gray: np.ndarray
    color: np.ndarray
    shown: list[str]


def open_photo(path: Path, max_pixels: int) -> EditedPhoto:
    """Read a photo file for editing. Raises UserError, naming the file, for what cannot be read."""
    page = load_pages(path, name=path.name, max_pixels=max_pixels)[0]
    height, width = page.lightness.shape[-2:]
    scale = min(1.0, PREVIEW / max(height, width))
    size = max(1, round(height * scale)), max(1, round(width * scale))
    lightness = page.lightness
    if scale < 1:
        lightness = F.interpolate(lightness, size, mode="bilinear", align_corners=False, antialias=True).clamp(-1, 1)
    alpha = None if page.alpha is None else _small_alpha(page.alpha, size)
    return EditedPhoto(path, width, height, lightness.half(), alpha, page.notes)


def preview(colorizer: Colorizer, photo: EditedPhoto) -> Preview:
    """The photo's small copy with its points, as near to the full-size result as a small copy comes."""
    lightness = photo.lightness.float()
    height, width = lightness.shape[-2:]
    points = [_scaled(point, width / photo.width, height / photo.height) for point in photo.points]
    on_it = [point for point in points if is_on_first_page(point)]
    color = colorizer.colorize_lightness(lightness, on_it)[0].permute(1, 2, 0).numpy()
    gray = gray_photos(lightness)[0].permute(1, 2, 0).numpy()
    shown = ["#{:02x}{:02x}{:02x}".format(*color[_pixel(point, width, height)]) for point in points]
    return Preview(gray, color, shown)


def unfit_note(photo: EditedPhoto) -> str | None:
    """A line about the last point when its color does not fit its place's lightness, else None."""
    if not photo.points or not is_on_first_page(photo.points[-1]):
        return None
    asked = photo.points[-1]
    height, width = photo.lightness.shape[-2:]
    point = _scaled(asked, width / photo.width, height / photo.height)
    lightness = photo.lightness[0, 0][_pixel(point, width, height)].item()
    nearest = reachable_color(asked.color, lightness)
    if np.hypot(*(np.subtract(_ab(nearest), _ab(asked.color)))) <= UNFIT:
        return None
    kind = "dark" if lightness < 0 else "light"
    return f"{asked.color} is too strong for a place as {kind} as this one; the nearest that fits is {nearest}"


def is_on_first_page(point: Point) -> bool:
    """Whether the point belongs to the page that is edited."""
    return point.page in (None, 1)


def _scaled(point: Point, across: float, down: float) -> Point:
    """The point on a copy of the photo that is `across` times as wide and `down` times as high."""
    radius = None if point.radius is None else point.radius * across
    return replace(point, x=(int(point.x) + 0.5) * across, y=(int(point.y) + 0.5) * down, radius=radius)


def _pixel(point: Point, width: int, height: int) -> tuple[int, int]:
    return min(int(point.y), height - 1), min(int(point.x), width - 1)


def _small_alpha(alpha: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """uint8 or uint16 (H, W) to uint8 of `size` (h, w)."""
    values = torch.from_numpy(alpha.astype(np.float32) * (255 / np.iinfo(alpha.dtype).max))[None, None]
    small = F.interpolate(values, size, mode="bilinear", align_corners=False, antialias=True)
    return small.round().clamp(0, 255).to(torch.uint8)[0, 0].numpy()


def _ab(color: str) -> tuple[float, float]:
    a, b = Point(0, 0, color).ab
    return a * AB_SCALE, b * AB_SCALE
