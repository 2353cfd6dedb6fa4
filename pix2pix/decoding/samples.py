"""A decoded picture, a strip of rows at a time: a large one then needs little more memory than itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

STRIP_PIXELS = 1 << 17  # converted at a time by a thread, at least
STRIPS = 96  # of a large photo: larger strips wait less for Python's lock, and are still little beside the photo
MOST_THREADS = 8  # that convert strips at the same time
# Rows, their pixels (h, W) or (h, W, channels), and their alpha (h, W) or None; uint8 or uint16.
Strip = tuple[slice, np.ndarray, np.ndarray | None]


@dataclass
class Samples:
    """The pixels of a picture as its file holds them, before they are turned upright and given a meaning.

    `kind` is what they are: "L", "RGB", "CMYK" or "LAB". `profile` is the ICC profile that
    says what they mean, None for sRGB. `orientation` is EXIF's, 1 to 8, and still to be applied. `deep` says that the
    file has more than 8 bits a channel. `image` has the same pixels where Pillow holds all of them, not turned either.
    `notes` tell the user what could not be honored.
    """

    kind: str
    width: int
    height: int
    strips: Iterator[Strip]
    profile: bytes | None = None
    orientation: int = 1
    deep: bool = False
    image: Image.Image | None = None
    notes: list[str] = field(default_factory=list)


def row_slices(height: int, width: int) -> Iterator[slice]:
    """Slices of about STRIP_PIXELS pixels, or more of a large picture, from top to bottom."""
    step = max(1, max(STRIP_PIXELS, height * width // STRIPS) // width)
    for top in range(0, height, step):
        yield slice(top, min(top + step, height))


def as_upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """A view of (H, W, ...) that is turned and mirrored by EXIF's orientation."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


def as_stored(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """The inverse of `as_upright`: a view of upright (H, W, ...) in which the file's rows are rows."""
    return as_upright(pixels, {6: 8, 8: 6}.get(orientation, orientation))
