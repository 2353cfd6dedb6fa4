"""The pictures of a photo file, each ready to be decoded: the one way from a file to pixels for all who read photos."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from pix2pix.decoding import boxes, png, pnm, tags, tiff
from pix2pix.decoding.opening import RAW_SUFFIXES, kind_of, open_with_pillow, refuse_raw
from pix2pix.decoding.samples import Samples, Strip, row_slices
from pix2pix.decoding.tags import ICC, ORIENTATION, SUB_IFDS, Directory
from pix2pix.decoding.values import scaled, white_level

KINDS = {"1": "L", "L": "L", "LA": "L", "La": "L", "I": "L", "F": "L", "CMYK": "CMYK", "LAB": "LAB"}  # others are RGB
WELL_CONVERTED = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "YCbCr")  # to RGB by Pillow
YCBCR, DNG_VERSION, COLOR_FILTER_ARRAY, LINEAR_RAW = 6, 50706, 32803, 34892
BOXED = ("JPEG2000", "AVIF", "HEIF")
SMALL_COPY_OR_MASK, SMALL_COPY = 0b101, 0b001  # bits of TIFF's NewSubfileType


@dataclass
class Picture:
    """One picture of a file; `load()` decodes it, once.

    `width` and `height` are as stored, before it is turned upright. `format` is Pillow's name of the file's kind.
    `image` is Pillow's, with what it knows beside the pixels; of a TIFF `directory` holds a page's tags and `inner` its
    EXIF and GPS. `notes` tell the user what of the file is left out.
    """

    width: int
    height: int
    format: str
    load: Callable[[], Samples]
    image: Image.Image | None = None
    directory: Directory | None = None
    inner: dict[int, Directory] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def pictures_of(file: BinaryIO, name: str) -> Iterator[Picture]:
    """The pictures to colorize: all pages of a TIFF without its small copies and masks, else the first picture.

    `file` must stay open until they are loaded. Raises UserError, naming the file by `name`, for what is no photo or
    of a kind that cannot be read; for damage whatever Pillow raises, and ValueError.
    """
    kind = kind_of(file, name)
    if kind == "TIFF":
        yield from _tiff_pages(file, name)
    elif kind == "PPM" and (header := pnm.read_header(file)):
        yield Picture(header.width, header.height, "PPM", partial(_load_pnm, file, header))
    elif kind == "PNG":
        facts = png.read_facts(file)
        file = png.without_chunks(file, facts.left_out)
        image = open_with_pillow(file, name)
        if facts.is_gray:
            png.scale_key(image, facts.bits)
        yield _picture(image, partial(_load_png, image, file, facts.profile), facts.notes)
    else:
        image = open_with_pillow(file, name)
        profile, notes = image.info.get("icc_profile") or None, []
        if profile is None and image.format in BOXED:
            described = boxes.jpeg2000_profile if image.format == "JPEG2000" else boxes.described_colors
            profile, note = described(file)
            notes += [note] * bool(note)
        bits = boxes.coded_bits(file) if image.format in BOXED else 8
        if bits > 8 and not image.mode.startswith("I"):
            notes.append(f"its {bits} bits a channel are read as 8")
        yield _picture(image, partial(load_image, image, profile), notes)


def _picture(image: Image.Image, load: Callable[[], Samples], notes: list[str]) -> Picture:
    notes = list(notes)
    count = getattr(image, "n_frames", 1)
    if image.format != "MPO" and count > 1:  # an MPO's others are previews
        notes.append(f"only the first of its {count} pictures is colorized")
    return Picture(image.width, image.height, image.format or "", load, image, notes=notes)


def load_image(image: Image.Image, profile: bytes | None, low: Image.Image | None = None) -> Samples:
    """Decode a Pillow image, with the low bytes of its 16-bit colors where it has them."""
    image.load()
    kind = "L" if low and low.mode == "LA" else KINDS.get(image.mode.partition(";")[0], "RGB")
    deep_gray = image.mode[0] in "IF"
    try:
        orientation = image.getexif().get(ORIENTATION, 1)
    except Exception:  # as with pixels, Pillow's readers raise almost anything
        orientation = 1
    strips = _deep_gray_strips(image) if deep_gray else _strips(image, low, kind)
    deep = deep_gray or low is not None
    held = image if not deep and image.mode in WELL_CONVERTED else None
    return Samples(kind, image.width, image.height, strips, profile, orientation, deep, held)


def _strips(image: Image.Image, low: Image.Image | None, kind: str) -> Iterator[Strip]:
    """The image's rows as pixels of `kind`, uint16 with `low` bytes, else uint8."""
    key = image.info.get("transparency") if low else None  # a color of 16 bits; Pillow's own test is one of 8
    has_alpha = image.has_transparency_data and key is None
    wanted = {"L": "LA"}.get(kind, "RGBA") if has_alpha else kind
    for rows in row_slices(image.height, image.width):
        box = (0, rows.start, image.width, rows.stop)
        part = image.crop(box)
        pixels = np.asarray(part if part.mode == wanted else part.convert(wanted))
        if low:
            pixels = pixels.astype(np.uint16) << 8 | np.asarray(low.crop(box))
        alpha = pixels[..., -1] if has_alpha else None
        if key is not None:
            alpha = np.where((pixels == key).all(axis=-1), 0, 255).astype(np.uint8)
        elif has_alpha:
            pixels = pixels[..., 0] if kind == "L" else pixels[..., :-1]
        yield rows, pixels, alpha


def _deep_gray_strips(image: Image.Image) -> Iterator[Strip]:
    """The same of gray of Pillow's modes I, I;16 and F, scaled to uint16."""
    values, directory = np.asarray(image), getattr(image, "tag_v2", {})
    bits = 16 if image.mode.startswith("I;16") else 32
    if image.mode.startswith("I;16") and directory.get(258):
        bits = directory[258][0]
    kind = {"F": "f", "I": "i"}.get(image.mode, "u")
    white = white_level(kind, bits, float(values.min()), float(values.max()))
    key = image.info.get("transparency")
    for rows in row_slices(image.height, image.width):
        part = values[rows]
        alpha = None if key is None else np.where(part == key, 0, 255).astype(np.uint8)
        pixels = scaled(part, white)
        inverted = directory.get(262) == tiff.WHITE_IS_ZERO  # of a TIFF, Pillow inverts 8 bits alone
        yield rows, 65535 - pixels if inverted else pixels, alpha


def _load_png(image: Image.Image, file: BinaryIO, profile: bytes | None) -> Samples:
    image.load()  # before the same file is opened once more
    return load_image(image, profile, png.low_bytes(file))


def _load_pnm(file: BinaryIO, header: pnm.Header) -> Samples:
    values = pnm.read_values(file, header)
    rows = row_slices(header.height, header.width)
    strips = ((part, scaled(values[part], header.white), None) for part in rows)
    kind = "L" if header.channels == 1 else "RGB"
    return Samples(kind, header.width, header.height, strips, deep=header.white > 255)


def _tiff_pages(file: BinaryIO, name: str) -> Iterator[Picture]:
    directories = tags.read_directories(file)
    if not directories:
        raise ValueError("it has no page")
    _refuse_raw(file, name, directories)
    for page in [page for page in directories if not page.integer(254, 0) & SMALL_COPY_OR_MASK] or directories[:1]:
        yield _tiff_page(file, page, name)


def picture_at(file: BinaryIO, number: int, name: str) -> Picture:
    """The picture of a file that Pillow gives a number: a TIFF's page, of all that it has, else the first.

    Raises what `pictures_of` raises.
    """
    if kind_of(file, name) != "TIFF":
        return next(pictures_of(file, name))
    return _tiff_page(file, tags.read_directories(file)[number], name)


def _tiff_page(file: BinaryIO, page: Directory, name: str) -> Picture:
    inner = {tag: found[0] for tag in (tags.EXIF, tags.GPS) if (found := tags.read_inner(file, page, tag))}
    layout = tiff.layout_of(page)
    notes = tiff.alpha_of(page, layout)[2] if layout else []
    load = partial(_load_tiff, file, page, layout) if layout else partial(_load_tiff_by_pillow, file, page, name)
    return Picture(page.integer(256, 0), page.integer(257, 0), "TIFF", load, None, page, inner, notes)


def _load_tiff(file: BinaryIO, page: Directory, layout: tiff.Layout) -> Samples:
    kind = {1: "L", 3: "RGB", 4: "CMYK"}[layout.channels]
    strips = tiff.read_strips(file, page, layout)
    orientation = page.integer(ORIENTATION, 1)
    return Samples(kind, layout.width, layout.height, strips, _profile_of(page), orientation, layout.bits > 8)


def _load_tiff_by_pillow(file: BinaryIO, page: Directory, name: str) -> Samples:
    """A page of a kind that Pillow reads well: palettes, YCbCr, Lab, JPEG, faxes. Pillow turns it upright."""
    file.seek(0)
    image: Any = open_with_pillow(io.BytesIO(tags.with_first_directory(file.read(), page)), name)
    if page.integer(262, 1) == YCBCR and page.integer(259, 1) == 1:  # Pillow itself would read four bytes a pixel
        arguments = ("RGBX", "raw", False, page.place)
        image.tile = [("libtiff", (0, 0, page.integer(256, 0), page.integer(257, 0)), 0, arguments)]
        image.use_load_libtiff = True
    return load_image(image, _profile_of(page))


def _profile_of(page: Directory) -> bytes | None:
    return page[ICC].data if ICC in page else None


def _refuse_raw(file: BinaryIO, name: str, directories: list[Directory]) -> None:
    """Raises UserError for a camera's raw file: DNG, NEF, ARW and others are TIFFs whose first page is a preview."""
    inner = [other for page in directories for other in tags.read_inner(file, page, SUB_IFDS)]
    is_raw = any(page.integer(262, 1) in (COLOR_FILTER_ARRAY, LINEAR_RAW) for page in (*directories, *inner))
    only_previews = all(page.integer(254, 0) & SMALL_COPY for page in directories) and bool(inner)
    if is_raw or only_previews or DNG_VERSION in directories[0] or name.lower().endswith(RAW_SUFFIXES):
        refuse_raw(name)
