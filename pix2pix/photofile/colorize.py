"""Colorizing a photo file into another one, written whole or not at all, with everything that was in it.

`colorize_file` does it in three steps; `folder.colorize_files` takes them for several photos side by side.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from pix2pix.color import lightness_to_gray
from pix2pix.decoding.opening import PHOTO_SUFFIXES
from pix2pix.decoding.samples import row_slices
from pix2pix.errors import UserError, lacks_memory
from pix2pix.files import replacing
from pix2pix.hints import Point
from pix2pix.inference import Colorizer
from pix2pix.photofile.films import added_suffix, is_film
from pix2pix.photofile.points import check_points
from pix2pix.photofile.read import MAX_PIXELS, Page, read_pages
from pix2pix.photofile.write import holds_16_bits, write_pages

COLORIZED, COMPARED = "-colorized", "-compared"
SUFFIXES = PHOTO_SUFFIXES
# Pixels a side that a file of the kind can hold (libjpeg, libwebp).
LONGEST_SIDE = {".jpg": 65500, ".jpeg": 65500, ".jpe": 65500, ".jfif": 65500, ".webp": 16383, ".gif": 65535}


def colorize_file(
    colorizer: Colorizer,
    source: Path | bytes,
    target: Path,
    *,
    name: str,
    points: Sequence[Point] = (),
    max_pixels: int = MAX_PIXELS,
    compare: bool = False,
) -> list[str]:
    """Colorize the photo `source`, a file or its content, into the file `target`; returns what the user should know.

    `points` are colors asked for; with `compare` gray and color are side by side. Raises UserError, naming the photo
    by `name` and saying the reason, and then leaves no `target`, or the one that was there.
    """
    pages = load_pages(source, name=name, max_pixels=max_pixels)
    pictures = color_pages(colorizer, pages, target, name=name, points=points, compare=compare)
    return write_photo(pages, pictures, target, name=name)


def load_pages(source: Path | bytes, *, name: str, max_pixels: int = MAX_PIXELS) -> list[Page]:
    """The pages of a photo, as `read_pages` gives them. Raises UserError, for too little memory as well."""
    with _memory_named(name):
        return read_pages(source, name, max_pixels)


def color_pages(
    colorizer: Colorizer,
    pages: list[Page],
    target: Path,
    *,
    name: str,
    points: Sequence[Point] = (),
    compare: bool = False,
) -> Iterator[np.ndarray]:
    """The pages in color, one after the other: uint8 (H, W, 3), or uint16 where page and `target` have 16 bits.

    With `compare` (H, 2W, 3), gray on the left, and the pages lose their transparency. A page loses its lightness once
    it is colorized. Raises UserError, before any page is colorized, for points that lie in no page or that the weights
    do not take, and for a photo that is too large or of the wrong kind for `target`; while the pages are colorized,
    for too little memory.
    """
    deep = _writes_16_bits(target, pages, name)
    for page in pages:
        height, width = page.lightness.shape[-2:]
        _check_sides(width * (1 + compare), height, target, name)
        if compare:  # two photos side by side have no transparency
            page.alpha = None
    if points and not colorizer.takes_points:
        raise UserError(
            f"{name} has points of color, and the weights {colorizer.weights} take none; give others with --weights, "
            "or --no-points to leave out those of a file"
        )
    for point in points:
        if (point.page or 1) > len(pages):
            where = f"page {point.page} of {name}, which has {len(pages)}"
            raise UserError(f"the point {point.x:g},{point.y:g},{point.color} is on {where}")
    asked = [[point for point in points if (point.page or 1) == number] for number in range(1, len(pages) + 1)]
    for page, its in zip(pages, asked, strict=True):
        check_points(its, page.lightness.shape[-1], page.lightness.shape[-2], name)
    return _pictures(colorizer, pages, asked, deep=deep, compare=compare, name=name)


def write_photo(pages: list[Page], pictures: Iterable[np.ndarray], target: Path, *, name: str) -> list[str]:
    """Write the pages' pictures to `target`; returns what the user should know. Raises UserError where it cannot."""
    with _memory_named(name):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with replacing(target) as temporary:
                write_pages(pages, pictures, temporary)
        except (OSError, ValueError) as error:
            if lacks_memory(error):
                raise
            hint = "; give another name or folder with -o" if getattr(error, "errno", 0) == errno.ENAMETOOLONG else ""
            reason = getattr(error, "strerror", None) or error
            raise UserError(f"cannot write {target}: {reason}{hint}") from error
    return list(dict.fromkeys(note for page in pages for note in page.notes))


def target_of(source: Path, name: Path, output: Path | None, added: str = COLORIZED) -> Path:
    """Beside the photo as NAME-colorized, or under the folder `output` with the photo's own name; films as well."""
    kept = name.suffix.lower() in SUFFIXES and name.suffix.lower() != ".gif"  # a GIF has too few colors
    suffix = added_suffix(name) if is_film(name) else "" if kept else ".png"
    if output is None:
        return source.with_name(f"{source.stem}{added}{source.suffix}{suffix}")
    return output / f"{name}{suffix}"


@contextmanager
def _memory_named(name: str) -> Iterator[None]:
    try:
        yield
    except (MemoryError, RuntimeError, OSError) as error:
        if not lacks_memory(error):
            raise
        raise UserError(
            f"{name} needs more memory than there is; close other programs, use --device cpu, "
            "or colorize a smaller copy"
        ) from error


def _writes_16_bits(target: Path, pages: list[Page], name: str) -> bool:
    """Whether `target` holds 16 bits. Raises UserError for what cannot be written here, naming what can."""
    try:
        return holds_16_bits(target)
    except UserError as error:
        kind = pages[0].format
        if kind not in ("JPEG", "MPO"):
            raise
        hint = f"{name} is a JPEG in spite of its name: write it as one with -o {target.with_suffix('.jpg').name}"
        raise UserError(f"{error}; {hint}") from None


def _check_sides(width: int, height: int, target: Path, name: str) -> None:
    longest = LONGEST_SIDE.get(target.suffix.lower(), max(width, height))
    if max(width, height) > longest:
        raise UserError(
            f"{name} would be {width}x{height} pixels in color, and {target.suffix} holds at most {longest} a side; "
            f"write it as PNG or TIFF, as with -o {target.with_suffix('.png').name}"
        )


def _pictures(
    colorizer: Colorizer, pages: list[Page], points: list[list[Point]], *, deep: bool, compare: bool, name: str
) -> Iterator[np.ndarray]:
    for page, its in zip(pages, points, strict=True):
        with _memory_named(name):
            picture = _picture(colorizer, page, its, deep=deep and page.deep, compare=compare)
        page.lightness = torch.zeros(()).expand(page.lightness.shape)  # its memory is needed for writing
        yield picture


def _picture(colorizer: Colorizer, page: Page, points: Sequence[Point], *, deep: bool, compare: bool) -> np.ndarray:
    """The page in color, uint8 or uint16 (H, W, 3); with `compare` (H, 2W, 3), gray on the left."""
    rgb = colorizer.colorize_lightness(page.lightness, points, deep=deep)[0].permute(1, 2, 0).numpy()
    if not compare:
        return rgb
    height, width = rgb.shape[:2]
    pair = np.empty((height, 2 * width, 3), dtype=rgb.dtype)
    pair[:, width:] = rgb
    for rows in row_slices(height, width):
        gray = lightness_to_gray(page.lightness[0, 0, rows]) * np.iinfo(rgb.dtype).max
        pair[rows, :width] = gray.round()[..., None].numpy()
    return pair
