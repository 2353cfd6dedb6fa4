"""Photo files, read with everything that must survive colouring.

A file becomes pages (one, but for a TIFF of several), each its lightness, its transparency and its metadata;
`imagesave.write_pages` writes them coloured.
"""

from __future__ import annotations

import io
import re
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, features
from torch import Tensor

from pix2pix.data.photos import white_level
from pix2pix.errors import UserError, lacks_memory
from pix2pix.files import refuse_special
from pix2pix.photofile.icc import Lightness
from pix2pix.photofile.memory import free_memory

MAX_PIXELS = 500_000_000
# Not all that Pillow reads: an EPS, for one, would start a program.
FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF", "JPEG2000", "AVIF", "HEIF", "PPM")
KINDS = {"1": "L", "L": "L", "LA": "L", "La": "L", "I": "L", "F": "L", "CMYK": "CMYK", "LAB": "LAB"}  # others are RGB
STRIP_PIXELS = 1 << 16  # converted at a time: a large photo then needs little more memory than itself, and is faster
# What EXIF keeps beside its Exif and GPS parts and the resolution: names, dates, rights and rating. The rest of a
# TIFF's tags describe how its pixels are stored.
KEPT_TAGS = (269, 270, 271, 272, 285, 305, 306, 315, 316, 18246, 18249, 33432, *range(40091, 40096))
EXIF, GPS, ORIENTATION, XMP, IPTC = 34665, 34853, 274, 700, 33723
OTHER_ORDER = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
_pillow_limit = threading.RLock()


@dataclass
class Page:
    """One upright photo of a file; `format` is Pillow's name of the file's kind.

    `lightness` is float32 (1, 1, H, W) in [-1, 1], L*/50 - 1; `alpha` uint8 or uint16 (H, W), or None; `deep` says
    that the file has 16 bits a channel. `metadata` may hold "exif" and "xmp" (bytes, orientation 1), "iptc" (bytes),
    "dpi" (two floats) and "text" (PNG's, and a JPEG's comment as "Comment"). `notes` are for the user: what of the
    file was left out or could not be honoured.
    """

    lightness: Tensor
    alpha: np.ndarray | None = None
    deep: bool = False
    metadata: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    format: str = ""


def read_pages(source: Path | bytes, name: str, max_pixels: int = MAX_PIXELS) -> list[Page]:
    """The pages of a file, or of a file's content; of an animation or a burst only the first picture.

    `max_pixels` is the limit for all pages together. Raises UserError, beginning with `name`, for what is no photo,
    damaged, cut short, too large or in a format that cannot be read; MemoryError, before anything is decoded, where
    less memory is free than colouring takes.
    """
    with without_pillow_limit():
        try:
            with _open(source, name) as image:
                pages, pixels = [], 0
                for number in _frames(image):
                    _turn_to(image, number)
                    pixels += image.width * image.height
                    if pixels > max_pixels:
                        size = f"{image.width}x{image.height}"
                        raise UserError(
                            f"{name} has {pixels / 1e6:.1f} million pixels ({size}), more than the limit of "
                            f"{max_pixels / 1e6:g} million; --max-pixels raises it"
                        )
                    # The lightness of all; of one at a time its pixels and those of its coloured copy.
                    if 4 * pixels + 8 * image.width * image.height > free_memory():
                        raise MemoryError
                    pages.append(_read_page(image, source, name))
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
    with without_pillow_limit(), _open(content, name) as image:
        return image.format


@contextmanager
def without_pillow_limit() -> Iterator[None]:
    """Lift Pillow's own limit of pixels, which is one for the whole process, and hide its warnings of bad tags."""
    with _pillow_limit, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _open(source: Path | bytes, name: str) -> Image.Image:
    """The file opened by Pillow, nothing decoded; UserError for an empty file and for what Pillow doesn't know."""
    Image.init()
    if isinstance(source, bytes):
        head = source[:32]
    else:
        refuse_special(source, name)
        with source.open("rb") as file:
            head = file.read(32)
    if not head:
        raise UserError(f"{name} is empty")
    brands = head[8:] if head[4:8] == b"ftyp" else b""
    is_avif = b"avi" in brands
    is_heif = not is_avif and brands[:4] in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")
    if is_heif and not register_heif():
        raise UserError(f'{name} is an HEIC photo; reading these needs: pip install -e ".[heic]"')
    if is_avif and not features.check("avif"):
        raise UserError(f"{name} is an AVIF photo, which this Pillow cannot read; try: pip install -U pillow")
    try:
        known = [format for format in FORMATS if format in Image.OPEN]
        return Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=known)
    except Image.UnidentifiedImageError:
        reason = f"damaged, or of no kind among {' '.join(FORMATS)}"
        raise UserError(f"{name} is not a photo that can be read ({reason})") from None


def register_heif() -> bool:
    """Let Pillow read and write HEIC; False where pillow-heif is not installed."""
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True


def _frames(image: Image.Image) -> list[int]:
    """The numbers of the pictures to colour: a TIFF's pages without its small copies and masks, else the first."""
    if image.format != "TIFF":
        return [image.tell()]
    pages = []
    for number in range(image.n_frames):
        _turn_to(image, number)
        if not image.tag_v2.get(254, 0) & 0b101:
            pages.append(number)
    return pages or [0]


def _turn_to(image: Image.Image, number: int) -> None:
    """Seek a picture. Pillow leaves it what others have and it has not: a profile, a resolution, a palette."""
    if number != image.tell():
        image.info.clear()
        image.palette = None
        image.seek(number)


def _read_page(image: Image.Image, source: Path | bytes, name: str) -> Page:
    """Decode the picture `image` stands at."""
    tags = getattr(image, "tag_v2", {})
    if tags.get(284) == 2 and max(tags.get(258, (8,))) > 8 and len(image.getbands()) > 1:
        raise UserError(f"{name} is a TIFF of 16-bit colours in separate planes, which cannot be read")
    notes = []
    if image.format not in ("TIFF", "MPO") and getattr(image, "n_frames", 1) > 1:  # an MPO's others are previews
        notes.append(f"only the first of its {image.n_frames} pictures is coloured")
    low = _low_bytes(image, source)
    turned = tags.get(ORIENTATION) in (5, 6, 7, 8)  # by Pillow, which turns a TIFF while it decodes it
    image.load()
    kind = "L" if low and low.mode == "LA" else KINDS.get(image.mode.partition(";")[0], "RGB")
    try:
        measure = Lightness(kind, image.info.get("icc_profile") or None)
    except ValueError as error:
        measure = Lightness(kind)
        notes.append(f"its colour profile {error}: read as sRGB")
    deep_gray = image.mode[0] in "IF"
    strips = _deep_gray_strips(image) if deep_gray else _strips(image, low, measure.mode)
    lightness, alpha = np.empty((image.height, image.width), dtype=np.float32), None
    for rows, pixels, transparency in strips:
        lightness[rows] = (measure(pixels) / 50 - 1).clip(-1, 1)
        if transparency is not None:
            alpha = np.empty(lightness.shape, transparency.dtype) if alpha is None else alpha
            alpha[rows] = transparency
    deep = deep_gray or low is not None
    del low, strips  # the low bytes are as large as the photo
    metadata, orientation = {}, 1
    try:
        orientation = image.getexif().get(ORIENTATION, 1)
        metadata = _read_metadata(image, turned or orientation in (5, 6, 7, 8))
    except Exception:  # as with pixels, Pillow's readers raise almost anything
        notes.append("its metadata is damaged and left out")
    alpha = None if alpha is None else _upright(alpha, orientation)
    upright = torch.from_numpy(_upright(lightness, orientation))[None, None]
    return Page(upright, alpha, deep, metadata, notes, image.format)


def _low_bytes(image: Image.Image, source: Path | bytes) -> Image.Image | None:
    """The low bytes of 16-bit colours (RGB, RGBA or LA) in a PNG or TIFF, of which Pillow gives only the high ones.

    It takes these from where the byte order says, so with the other order it gives the low ones. None for 8 bits.
    """
    args = image.tile[0][3] if image.format in ("PNG", "TIFF") and image.tile else ""
    raw_mode = args if isinstance(args, str) else args[0]
    channels, _, order = raw_mode.partition(";16")
    if channels not in ("RGB", "RGBA", "LA") or order not in OTHER_ORDER:
        return None
    raw_mode = "RGBA" if channels == "LA" else f"{channels};16{OTHER_ORDER[order]}"  # RGBA: all four bytes of LA
    low = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=[image.format])
    with low:
        _turn_to(low, image.tell())
        for number, tile in enumerate(low.tile):
            changed = [*tile[:3], raw_mode if isinstance(args, str) else (raw_mode, *tile[3][1:])]
            low.tile[number] = tile._make(changed) if hasattr(tile, "_make") else tuple(changed)
        low.load()
    return Image.merge("LA", (low.getchannel("G"), low.getchannel("A"))) if channels == "LA" else low


def _strips(
    image: Image.Image, low: Image.Image | None, mode: str
) -> Iterator[tuple[slice, np.ndarray, np.ndarray | None]]:
    """(rows, their pixels in Pillow's `mode`, their alpha) from top to bottom, uint16 with `low` bytes, else uint8."""
    key = image.info.get("transparency") if low else None  # a colour of 16 bits; Pillow's own test is one of 8
    has_alpha = image.has_transparency_data and key is None
    wanted = {"L": "LA"}.get(mode, "RGBA") if has_alpha else mode
    for rows in _rows(image):
        box = (0, rows.start, image.width, rows.stop)
        part = image.crop(box)
        pixels = np.asarray(part if part.mode == wanted else part.convert(wanted))
        if low:
            pixels = pixels.astype(np.uint16) << 8 | np.asarray(low.crop(box))
        alpha = pixels[..., -1] if has_alpha else None
        if key is not None:
            alpha = np.where((pixels == key).all(axis=-1), 0, 255).astype(np.uint8)
        elif has_alpha:
            pixels = pixels[..., 0] if mode == "L" else pixels[..., :-1]
        yield rows, pixels[..., 0] if mode == "LAB" else pixels, alpha


def _deep_gray_strips(image: Image.Image) -> Iterator[tuple[slice, np.ndarray, np.ndarray | None]]:
    """The same of gray with more than 8 bits, scaled to uint16 and not clipped."""
    values, tags = np.asarray(image), getattr(image, "tag_v2", {})
    white = 4095 if tags.get(258) == (12,) else white_level(values, image.mode)
    key = image.info.get("transparency")
    for rows in _rows(image):
        part = values[rows]
        alpha = None if key is None else np.where(part == key, 0, 255).astype(np.uint8)
        part = np.round(part * (65535 / white)).astype(np.uint16)
        yield rows, 65535 - part if tags.get(262) == 0 else part, alpha  # Pillow inverts such a TIFF's 8 bits alone


def _rows(image: Image.Image) -> Iterator[slice]:
    """Slices of about STRIP_PIXELS pixels, from top to bottom."""
    step = max(1, STRIP_PIXELS // image.width)
    for top in range(0, image.height, step):
        yield slice(top, min(top + step, image.height))


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """(H, W) turned and mirrored by EXIF's orientation, 1 to 8."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.T
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def _read_metadata(image: Image.Image, turned: bool) -> dict[str, Any]:
    """What `Page.metadata` holds; `turned` says that the file's rows are the page's columns."""
    info, tags, exif = image.info, getattr(image, "tag_v2", {}), image.getexif()
    metadata = {}
    dpi = tuple(float(value) for value in info.get("dpi", ()))
    if len(dpi) == 2 and all(1 < value < 1e6 for value in dpi):  # Pillow makes up 1 where a TIFF has none
        metadata["dpi"] = dpi[::-1] if turned else dpi
    kept = Image.Exif()
    kept.endian = exif.endian
    for tag in KEPT_TAGS:
        if tag in exif:
            kept[tag] = exif[tag]
    for part in (EXIF, GPS):
        if values := dict(exif.get_ifd(part)):
            kept[part] = values
    if EXIF in kept:
        kept[EXIF].pop(0xA005, None)  # the colour space's name once more
        if 0xA001 in kept[EXIF]:
            kept[EXIF][0xA001] = 1  # sRGB
        if turned and {0xA002, 0xA003} <= kept[EXIF].keys():  # width and height
            kept[EXIF][0xA002], kept[EXIF][0xA003] = kept[EXIF][0xA003], kept[EXIF][0xA002]
    if len(kept):
        kept[ORIENTATION] = 1
        if "dpi" in metadata:
            kept[282], kept[283], kept[296] = *metadata["dpi"], 2
        metadata["exif"] = kept.tobytes()  # without the thumbnail, which would still be gray
    xmp = info.get("xmp") or info.get("XML:com.adobe.xmp") or tags.get(XMP)
    xmp = xmp.encode() if isinstance(xmp, str) else xmp
    if isinstance(xmp, bytes):
        metadata["xmp"] = re.sub(rb'(tiff:Orientation(?:=[\'"]|>))[0-9]', rb"\g<1>1", xmp)
    iptc = (info.get("photoshop") or {}).get(0x0404) or tags.get(IPTC)
    if isinstance(iptc, bytes):
        metadata["iptc"] = iptc
    text = dict(getattr(image, "text", {}))
    if isinstance(info.get("comment"), bytes):
        text["Comment"] = decode_text(info["comment"])
    text = {key: value for key, value in text.items() if not key.startswith(("Raw profile type", "XML:com.adobe.xmp"))}
    if text:
        metadata["text"] = text
    return metadata


def decode_text(content: bytes) -> str:
    """UTF-8, else Latin-1."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("latin-1")
