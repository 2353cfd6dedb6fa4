"""Colorized photos, written with the transparency and the metadata that `read.read_pages` kept of them."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from pix2pix.decoding.opening import FORMATS, register_heif
from pix2pix.decoding.values import to_8_bits
from pix2pix.errors import UserError
from pix2pix.photofile.metadata import Metadata
from pix2pix.photofile.read import Page
from pix2pix.photofile.write_deep import to_16_bits, write_deep_png, write_deep_ppm
from pix2pix.photofile.write_tiff import write_tiff

QUALITY: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"quality": 95},
    "AVIF": {"quality": 95, "subsampling": "4:4:4"},
    "HEIF": {"quality": 95, "chroma": 444},
}
WITH_ALPHA = ("PNG", "TIFF", "WEBP", "AVIF", "HEIF", "JPEG2000")
WITH_EXIF = ("JPEG", "PNG", "WEBP", "AVIF", "HEIF")
WITH_XMP = ("WEBP", "AVIF", "HEIF")  # as an option of Pillow's; JPEG and PNG have ways of their own
DEEP = ("PNG", "TIFF", "PPM")  # hold 16 bits a channel
SEGMENT_LIMIT = 65533  # bytes in a JPEG's metadata segment


def holds_16_bits(target: Path) -> bool:
    """Whether `write_pages` keeps 16 bits a channel in such a file, by its suffix."""
    return _format(target) in DEEP


def write_pages(pages: Sequence[Page], rgbs: Iterable[np.ndarray], target: Path) -> None:
    """Write the colorized pages, with their transparency and metadata, in the format of `target`'s suffix.

    Each of `rgbs` is uint8 (H, W, 3) sRGB, or uint16, which is rounded to 8 bits where the format holds no more. What
    else the format cannot hold is left out, transparency and depth with a note in the page. Raises UserError for a
    suffix no photo has and for several pages in anything but a TIFF; OSError or ValueError, as Pillow does, for what
    cannot be written.
    """
    format = _format(target)
    if format == "TIFF":
        write_tiff(pages, rgbs, target)
        return
    if len(pages) > 1:
        raise UserError(f"{len(pages)} pages need a TIFF; {target.suffix} holds one")
    (page,), (rgb,) = pages, rgbs
    alpha = page.alpha if format in WITH_ALPHA else None
    if page.alpha is not None and alpha is None and page.alpha.min() < np.iinfo(page.alpha.dtype).max:
        page.notes.append(f"its transparency is left out: {format} holds none")
    if page.deep and format not in DEEP:
        page.notes.append(f"written with 8 bits a channel: {format} holds no more here")
    options = QUALITY.get(format, {}) | _save_options(page, format)
    if format in DEEP and rgb.dtype == np.uint16:
        if format == "PPM":
            write_deep_ppm(rgb, target)
        else:
            pixels = rgb if alpha is None else np.dstack((rgb, to_16_bits(alpha)))
            write_deep_png(pixels, target, options)
        return
    image = Image.fromarray(to_8_bits(rgb))
    if alpha is not None:
        image.putalpha(Image.fromarray(to_8_bits(alpha)))
    image.save(target, format, **options)


def _format(target: Path) -> str:
    if target.suffix.lower() in (".heic", ".heif"):
        register_heif()
    format = Image.registered_extensions().get(target.suffix.lower(), "")
    if format not in FORMATS or format not in Image.SAVE:
        raise UserError(f"photos cannot be written as {target.suffix or 'a file without a suffix'}")
    return format


def _save_options(page: Page, format: str) -> dict[str, Any]:
    """Pillow's arguments for the metadata that a format holds."""
    metadata = page.metadata
    options: dict[str, Any] = {}
    if metadata.dpi and format in ("JPEG", "PNG", "BMP"):
        options["dpi"] = metadata.dpi
    if metadata.exif and format in WITH_EXIF:
        options["exif"] = metadata.exif
    if metadata.xmp and format in WITH_XMP:
        options["xmp"] = metadata.xmp
    if format == "JPEG":
        options |= _jpeg_options(page)
    if format == "PNG":
        options["pnginfo"] = _png_chunks(metadata)
    return options


def _jpeg_options(page: Page) -> dict[str, Any]:
    """A JPEG's segments; what is too long for one is left out, with a note."""
    metadata = page.metadata
    resource = b""
    if iptc := metadata.iptc:
        resource = b"8BIM" + struct.pack(">HHI", 0x0404, 0, len(iptc)) + iptc + bytes(len(iptc) % 2)
    parts = {
        "EXIF": (0xE1, b"", metadata.exif or b""),
        "XMP": (0xE1, b"http://ns.adobe.com/xap/1.0/\0", metadata.xmp or b""),
        "IPTC": (0xED, b"Photoshop 3.0\0", resource),
    }
    too_long = [name for name, (_, mark, content) in parts.items() if len(mark + content) > SEGMENT_LIMIT]
    options: dict[str, Any] = {"exif": b""} if "EXIF" in too_long else {}
    options["extra"] = b"".join(
        struct.pack(">BBH", 0xFF, marker, 2 + len(mark + content)) + mark + content
        for name, (marker, mark, content) in parts.items()
        if content and name not in too_long and name != "EXIF"
    )
    comment = metadata.comment or metadata.text.get("Comment", "").encode()
    if comment:
        options["comment"] = comment[:SEGMENT_LIMIT]
    if len(comment) > SEGMENT_LIMIT:
        too_long.append("comment")
    if too_long:
        page.notes.append(f"its {' and '.join(too_long)} left out or cut: longer than a JPEG can hold")
    return options


def _png_chunks(metadata: Metadata) -> PngImagePlugin.PngInfo:
    chunks = PngImagePlugin.PngInfo()
    text = dict(metadata.text)
    if metadata.comment:
        text.setdefault("Comment", _decoded(metadata.comment))
    for key, value in text.items():
        if isinstance(value, PngImagePlugin.iTXt):
            chunks.add_itxt(key, value, value.lang or "", value.tkey or "")
        else:
            chunks.add_text(key, value)
    if metadata.xmp:
        chunks.add_itxt("XML:com.adobe.xmp", _decoded(metadata.xmp))
    return chunks


def _decoded(content: bytes) -> str:
    """UTF-8, else Latin-1."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("latin-1")
