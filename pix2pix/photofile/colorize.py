"""Colouring a photo file into another one, written whole or not at all, with everything that was in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from pix2pix.color import lightness_to_gray
from pix2pix.data.photos import PHOTO_SUFFIXES
from pix2pix.errors import UserError, lacks_memory
from pix2pix.files import replacing
from pix2pix.inference import STRIP, Colorizer
from pix2pix.photofile.read import MAX_PIXELS, Page, read_pages
from pix2pix.photofile.write import holds_16_bits, write_pages

COLORIZED, COMPARED = "-colorized", "-compared"
SUFFIXES = (*PHOTO_SUFFIXES, ".jfif", ".jpe", ".avif", ".jp2", ".j2k", ".heic", ".heif", ".pgm", ".ppm")


def colorize_file(
    colorizer: Colorizer,
    source: Path | bytes,
    target: Path,
    *,
    name: str,
    max_pixels: int = MAX_PIXELS,
    compare: bool = False,
) -> list[str]:
    """Colour the photo `source`, a file or its content, into the file `target`; returns what the user should know.

    With `compare` gray and colour side by side. Raises UserError, naming the photo by `name` and saying the reason,
    and then leaves no `target`, or the one that was there.
    """
    try:
        pages = read_pages(source, name, max_pixels)
        deep = holds_16_bits(target)
        if compare:  # two photos side by side have no transparency
            pages = [replace(page, alpha=None) for page in pages]
        pictures = (_picture(colorizer, page, deep=deep and page.deep, compare=compare) for page in pages)
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as temporary:
            write_pages(pages, pictures, temporary)
    except (MemoryError, RuntimeError) as error:
        if not lacks_memory(error):
            raise
        raise UserError(
            f"{name} needs more memory than there is; close other programs, use --device cpu, or colour a smaller copy"
        ) from error
    except (OSError, ValueError) as error:
        raise UserError(f"cannot write {target}: {getattr(error, 'strerror', None) or error}") from error
    return list(dict.fromkeys(note for page in pages for note in page.notes))


def target_of(source: Path, name: Path, output: Path | None, added: str = COLORIZED) -> Path:
    """Beside the photo as NAME-colorized, or under the folder `output` with the photo's own name."""
    kept = name.suffix.lower() in SUFFIXES and name.suffix.lower() != ".gif"  # a GIF has too few colours
    suffix = "" if kept else ".png"
    if output is None:
        return source.with_name(f"{source.stem}{added}{source.suffix}{suffix}")
    return output / f"{name}{suffix}"


def _picture(colorizer: Colorizer, page: Page, *, deep: bool, compare: bool) -> np.ndarray:
    """The page in colour, uint8 or uint16 (H, W, 3); with `compare` (H, 2W, 3), gray on the left."""
    coloured = colorizer.colorize_lightness(page.lightness, deep=deep)[0].permute(1, 2, 0).numpy()
    if not compare:
        return coloured
    height, width = coloured.shape[:2]
    pair = np.empty((height, 2 * width, 3), dtype=coloured.dtype)
    pair[:, width:] = coloured
    step = max(1, STRIP // width)
    for top in range(0, height, step):
        gray = lightness_to_gray(page.lightness[0, 0, top : top + step]) * np.iinfo(coloured.dtype).max
        pair[top : top + step, :width] = gray.round()[..., None].numpy()
    return pair
