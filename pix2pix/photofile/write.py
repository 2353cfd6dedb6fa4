"""Coloured photos, written with the transparency and the metadata that `imagefile.read_pages` kept of them."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin, TiffImagePlugin

from pix2pix.errors import UserError
from pix2pix.photofile import read as imagefile
from pix2pix.photofile.read import EXIF, GPS, IPTC, KEPT_TAGS, ORIENTATION, XMP, Page

QUALITY = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"quality": 95},
    "AVIF": {"quality": 95, "subsampling": "4:4:4"},
    "HEIF": {"quality": 95, "chroma": 444},
}
WITH_ALPHA = ("PNG", "TIFF", "WEBP", "AVIF", "HEIF", "JPEG2000")
SEGMENT_LIMIT = 65533  # bytes in a JPEG's metadata segment


def holds_16_bits(target: Path) -> bool:
    """Whether `write_pages` keeps 16 bits a channel in such a file, by its suffix."""
    return _format(target) in ("PNG", "TIFF")


def write_pages(pages: Sequence[Page], rgbs: Iterable[np.ndarray], target: Path) -> None:
    """Write the coloured pages, with their transparency and metadata, in the format of `target`'s suffix.

    Each of `rgbs` is uint8 (H, W, 3) sRGB, or uint16, which is rounded to 8 bits where the format holds no more. What
    else the format cannot hold is left out, transparency with a note in the page. Raises UserError for a suffix no
    photo has and for several pages in anything but a TIFF; OSError or ValueError, as Pillow does, for what cannot be
    written.
    """
    format = _format(target)
    if format == "TIFF":
        _write_tiff(pages, rgbs, target)
        return
    if len(pages) > 1:
        raise UserError(f"{len(pages)} pages need a TIFF; {target.suffix} holds one")
    (page,), (rgb,) = pages, rgbs
    options = QUALITY.get(format, {}) | _save_options(page.metadata, format)
    alpha = page.alpha if format in WITH_ALPHA else None
    if alpha is not page.alpha and page.alpha.min() < np.iinfo(page.alpha.dtype).max:
        page.notes.append(f"its transparency is left out: {format} holds none")
    if format == "PNG" and rgb.dtype == np.uint16:
        _write_deep_png(_join(rgb, alpha), target, options)
        return
    image = Image.fromarray(_to_depth(rgb, np.uint8))
    if alpha is not None:
        image.putalpha(Image.fromarray(_to_depth(alpha, np.uint8)))
    image.save(target, format, **options)


def _format(target: Path) -> str:
    if target.suffix.lower() in (".heic", ".heif"):
        imagefile.register_heif()
    format = Image.registered_extensions().get(target.suffix.lower(), "")
    if format not in imagefile.FORMATS or format not in Image.SAVE:
        raise UserError(f"photos cannot be written as {target.suffix or 'a file without a suffix'}")
    return format


def _to_depth(pixels: np.ndarray, dtype: type) -> np.ndarray:
    """uint8 or uint16 pixels in the other depth, rounded."""
    if pixels.dtype == dtype:
        return pixels
    if dtype == np.uint16:
        return pixels.astype(np.uint16) * 257
    return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _join(rgb: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    """(H, W, 3), or (H, W, 4) with an alpha, which takes the depth of `rgb`."""
    return rgb if alpha is None else np.dstack((rgb, _to_depth(alpha, rgb.dtype)))


def _save_options(metadata: dict[str, Any], format: str) -> dict[str, Any]:
    """Pillow's arguments for the metadata that a format holds."""
    options = {}
    exif, xmp, text = metadata.get("exif"), metadata.get("xmp"), metadata.get("text", {})
    if "dpi" in metadata and format in ("JPEG", "PNG", "BMP"):
        options["dpi"] = metadata["dpi"]
    if exif and format in ("JPEG", "PNG", "WEBP", "AVIF", "HEIF") and (format != "JPEG" or len(exif) <= SEGMENT_LIMIT):
        options["exif"] = exif
    if xmp and format in ("WEBP", "AVIF", "HEIF"):
        options["xmp"] = xmp
    if format == "JPEG":
        segments = _segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0", xmp)
        if iptc := metadata.get("iptc"):
            resource = b"8BIM" + struct.pack(">HHI", 0x0404, 0, len(iptc)) + iptc + bytes(len(iptc) % 2)
            segments += _segment(0xED, b"Photoshop 3.0\0", resource)
        options["extra"] = segments
        if "Comment" in text:
            options["comment"] = text["Comment"].encode()[:SEGMENT_LIMIT]
    if format == "PNG":
        chunks = options["pnginfo"] = PngImagePlugin.PngInfo()
        for key, value in text.items():
            if isinstance(value, PngImagePlugin.iTXt):
                chunks.add_itxt(key, value, value.lang or "", value.tkey or "")
            else:
                chunks.add_text(key, value)
        if xmp:
            chunks.add_itxt("XML:com.adobe.xmp", imagefile.decode_text(xmp))
    return options


def _segment(marker: int, name: bytes, content: bytes | None) -> bytes:
    """A JPEG segment; empty for no content and for one that is too long."""
    if not content or len(name + content) > SEGMENT_LIMIT:
        return b""
    return bytes((0xFF, marker)) + struct.pack(">H", 2 + len(name + content)) + name + content


def _write_deep_png(pixels: np.ndarray, target: Path, options: dict[str, Any]) -> None:
    """uint16 (H, W, 3 or 4), which Pillow cannot write: a PNG of one pixel by Pillow, its IHDR and IDAT exchanged."""
    height, width, channels = pixels.shape
    frame = io.BytesIO()
    Image.new("RGB", (1, 1)).save(frame, "PNG", **options)
    with target.open("wb") as file:

        def write(kind: bytes, content: bytes) -> None:
            file.write(struct.pack(">I", len(content)) + kind + content)
            file.write(struct.pack(">I", zlib.crc32(kind + content)))

        file.write(frame.getvalue()[:8])
        start = 8
        while start < len(frame.getvalue()):
            length, kind = struct.unpack_from(">I4s", frame.getvalue(), start)
            content = frame.getvalue()[start + 8 : start + 8 + length]
            start += 12 + length
            if kind == b"IHDR":
                content = struct.pack(">IIBBBBB", width, height, 16, 2 if channels == 3 else 6, 0, 0, 0)
            if kind != b"IDAT":
                write(kind, content)
                continue
            packer, above = zlib.compressobj(6), np.zeros(width * channels * 2, dtype=np.uint8)
            step = max(1, imagefile.STRIP_PIXELS // width)
            for top in range(0, height, step):
                rows = pixels[top : top + step].astype(">u2").reshape(-1, width * channels).view(np.uint8)
                filtered = np.full((len(rows), rows.shape[1] + 1), 2, dtype=np.uint8)  # filter 2: less the row above
                filtered[:, 1:] = rows - np.vstack((above[None], rows[:-1]))
                above = rows[-1]
                write(b"IDAT", packer.compress(filtered.tobytes()))
            write(b"IDAT", packer.flush())


def _write_tiff(pages: Sequence[Page], rgbs: Iterable[np.ndarray], target: Path) -> None:
    """Every page uncompressed, 8 or 16 bits a channel, through tifffile."""
    import tifffile

    parts = []
    large = sum(page.lightness.numel() * (8 if page.deep else 4) for page in pages) > 2**32 - 2**25
    with tifffile.TiffWriter(target, bigtiff=large, byteorder="<") as file:
        for page, rgb in zip(pages, rgbs, strict=True):
            exif = Image.Exif()
            exif.load(page.metadata.get("exif", b""))
            tags = [(ORIENTATION, "H", 1, 1, True)]
            for tag in KEPT_TAGS:
                value = exif.get(tag)
                if isinstance(value, str):
                    tags.append((tag, "s", 0, value.encode(), True))
                elif isinstance(value, bytes):
                    tags.append((tag, "B", len(value), value, True))
            for tag, key in ((XMP, "xmp"), (IPTC, "iptc")):
                if content := page.metadata.get(key):
                    tags.append((tag, "B", len(content), content, True))
            parts.append({tag: exif.get_ifd(tag) for tag in (EXIF, GPS) if tag in exif and not large})
            tags += [(tag - 1, "I", 1, 0, True) for tag in parts[-1]]  # a stand-in, just before it
            pixels = _join(rgb, page.alpha)
            file.write(
                pixels,
                photometric="rgb",
                extrasamples=["unassalpha"] if pixels.shape[2] == 4 else None,
                resolution=page.metadata.get("dpi"),
                resolutionunit="inch" if "dpi" in page.metadata else None,
                software=False,
                metadata=None,
                extratags=tags,
            )
    # tifffile refuses the tags of EXIF's parts. They go to the end of the file, and the stand-ins are made to be those
    # tags: number, type (4: 32 bits), count, and where the part begins.
    with tifffile.TiffFile(target) as file:
        places = [
            {tag: page.tags[tag - 1].offset for tag in part} for page, part in zip(file.pages, parts, strict=True)
        ]
    with target.open("r+b") as file:
        for part, place in zip(parts, places, strict=True):
            for tag, values in part.items():
                directory = TiffImagePlugin.ImageFileDirectory_v2(b"II*\0\x08\0\0\0", group=tag)
                directory.update(values)
                offset = file.seek(0, 2)
                file.write(directory.tobytes(offset))
                file.seek(place[tag])
                file.write(struct.pack("<HHII", tag, 4, 1, offset))
