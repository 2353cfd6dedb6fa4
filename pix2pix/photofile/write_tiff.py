"""Colorized pages as a TIFF, uncompressed, 8 or 16 bits a channel, through tifffile."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pix2pix.decoding.tags import IPTC, ORIENTATION, XMP, Directory, read_exif, write_directory
from pix2pix.decoding.values import to_8_bits
from pix2pix.photofile.metadata import KEPT_TAGS
from pix2pix.photofile.read import Page
from pix2pix.photofile.write_deep import to_16_bits

LARGEST = 2**32 - 2**25  # bytes of pixels that a plain TIFF can point to; more need a BigTIFF


def write_tiff(pages: Sequence[Page], rgbs: Iterable[np.ndarray], target: Path) -> None:
    """Write uint8 or uint16 (H, W, 3) for each page, with its alpha and metadata."""
    import tifffile

    directories = [read_exif(page.metadata.exif) if page.metadata.exif else (Directory(), {}) for page in pages]
    order: Any = directories[0][0].order
    large = sum(page.lightness.numel() * (8 if page.deep else 4) for page in pages) > LARGEST
    inner_parts: list[dict[int, Directory]] = []
    with tifffile.TiffWriter(target, bigtiff=large, byteorder=order) as file:
        for page, rgb, (main, inner) in zip(pages, rgbs, directories, strict=True):
            tags: list[tuple[int, int, int, Any, bool]] = [(ORIENTATION, 3, 1, 1, True)]
            tags += [(tag, main[tag].type, main[tag].length, main[tag].data, True) for tag in KEPT_TAGS if tag in main]
            for tag, content in ((XMP, page.metadata.xmp), (IPTC, page.metadata.iptc)):
                if content:
                    tags.append((tag, 1, len(content), content, True))
            inner_parts.append({} if large else inner)
            tags += [(tag - 1, 4, 1, 0, True) for tag in inner_parts[-1]]  # a stand-in, just before it
            pixels = rgb
            if page.alpha is not None:
                alpha = to_16_bits(page.alpha) if rgb.dtype == np.uint16 else to_8_bits(page.alpha)
                pixels = np.dstack((rgb, alpha))
            file.write(
                pixels,
                photometric="rgb",
                extrasamples=["unassalpha"] if pixels.shape[2] == 4 else None,
                resolution=page.metadata.dpi,
                resolutionunit="inch" if page.metadata.dpi else None,
                software=False,
                metadata=None,
                extratags=tags,
            )
    _add_inner(target, inner_parts)


def _add_inner(target: Path, parts: list[dict[int, Directory]]) -> None:
    """Write the EXIF and GPS directories of every page, whose tags tifffile refuses.

    They go to the end of the file, and the stand-ins become those tags: number, type (4: 32 bits), count, and where
    the directory begins.
    """
    import tifffile

    with tifffile.TiffFile(target) as file:
        pages: Any = file.pages
        places = [{tag: page.tags[tag - 1].offset for tag in part} for page, part in zip(pages, parts, strict=True)]
    with target.open("r+b") as file:
        for part, place in zip(parts, places, strict=True):
            for tag, directory in part.items():
                offset = file.seek(0, 2)
                file.write(bytes(offset % 2))
                offset += offset % 2
                file.write(write_directory(directory, offset))
                file.seek(place[tag])
                file.write(struct.pack(directory.order + "HHII", tag, 4, 1, offset))
