"""Photo files, read with everything that must survive colorizing.

A file becomes pages (one, but for a TIFF of several), each its lightness, its transparency and its metadata;
`write.write_pages` writes them in color.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from torch import Tensor

from pix2pix.decoding.measure import read_lightness
from pix2pix.decoding.opening import open_with_pillow, opened, without_pillow_limit
from pix2pix.decoding.pictures import Picture, pictures_of
from pix2pix.errors import UserError, lacks_memory
from pix2pix.files import refuse_special
from pix2pix.photofile.memory import free_memory
from pix2pix.photofile.metadata import Metadata, read_metadata

MAX_PIXELS = 500_000_000


@dataclass
class Page:
    """One upright photo of a file; `format` is Pillow's name of the file's kind.

    `lightness` is float32 (1, 1, H, W) in [-1, 1], L*/50 - 1; `alpha` uint8 or uint16 (H, W), or None; `deep` says
    that the file has more than 8 bits a channel. `notes` are for the user: what of the file was left out or could not
    be honored.
    """

    lightness: Tensor
    alpha: np.ndarray | None = None
    deep: bool = False
    metadata: Metadata = field(default_factory=Metadata)
    notes: list[str] = field(default_factory=list)
    format: str = ""


def read_pages(source: Path | bytes, name: str, max_pixels: int = MAX_PIXELS) -> list[Page]:
    """The pages of a file, or of a file's content; of an animation or a burst only the first picture.

    `max_pixels` is the limit for all pages together. Raises UserError, beginning with `name`, for what is no photo,
    damaged, cut short, too large or in a format that cannot be read; MemoryError, before anything is decoded, where
    less memory is free than colorizing takes.
    """
    try:
        if isinstance(source, Path):
            refuse_special(source, name)
        with without_pillow_limit(), opened(source, name) as file:
            pages: list[Page] = []
            pixels = 0
            for picture in pictures_of(file, name):
                pixels += picture.width * picture.height
                _refuse_large(picture, pixels, name, max_pixels)
                pages.append(_read_page(picture))
            return pages
    except (MemoryError, UserError):
        raise
    except FileNotFoundError:
        raise UserError(f"there is no photo {name}") from None
    except Exception as error:  # a damaged file makes Pillow's readers raise almost anything
        if lacks_memory(error):
            raise MemoryError from error
        reason = " ".join(str(getattr(error, "strerror", None) or error).split()) or type(error).__name__
        raise UserError(f"{name} cannot be read: {reason}") from error


def format_of(content: bytes, name: str) -> str:
    """Pillow's name of a content's format. Raises UserError, beginning with `name`, for what is no photo."""
    with without_pillow_limit(), opened(content, name) as file:
        if content[:2] in (b"II", b"MM"):
            return "TIFF"  # of which Pillow does not know every kind
        return open_with_pillow(file, name).format or ""


def _refuse_large(picture: Picture, pixels: int, name: str, max_pixels: int) -> None:
    """Raises UserError for more pixels than allowed, MemoryError for more than there is memory for."""
    if pixels > max_pixels:
        size = f"{picture.width}x{picture.height}"
        raise UserError(
            f"{name} has {pixels / 1e6:.1f} million pixels ({size}), more than the limit of {max_pixels / 1e6:g} "
            "million; --max-pixels raises it"
        )
    # The lightness of all; of one at a time its pixels and those of its colorized copy.
    if 4 * pixels + 8 * picture.width * picture.height > free_memory():
        raise MemoryError


def _read_page(picture: Picture) -> Page:
    samples = picture.load()
    lightness, alpha = read_lightness(samples)
    orientation = samples.orientation if picture.directory is None else picture.directory.integer(274, 1)
    metadata, notes = read_metadata(picture, orientation)
    return Page(lightness, alpha, samples.deep, metadata, [*picture.notes, *samples.notes, *notes], picture.format)
