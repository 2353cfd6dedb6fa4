"""What of a photo's metadata is kept in its colorized copy. Text stays byte for byte as it was."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from pix2pix.decoding.pictures import Picture
from pix2pix.decoding.tags import EXIF, GPS, IPTC, XMP, Directory, read_exif, write_exif
from pix2pix.photofile.xmp import FORGOTTEN, without_stale_entries

# What EXIF keeps beside its Exif and GPS parts and the resolution: names, dates, rights and rating. The rest of a
# TIFF's tags describe how its pixels are stored.
KEPT_TAGS = (269, 270, 271, 272, 285, 305, 306, 315, 316, 18246, 18249, 33432, *range(40091, 40096))
COLOR_SPACE, WIDTH, HEIGHT, INTEROPERABILITY = 0xA001, 0xA002, 0xA003, 0xA005
X_RESOLUTION, Y_RESOLUTION, UNIT, INCH, CENTIMETER = 282, 283, 296, 2, 3
SHORT, RATIONAL = 3, 5
EXIF_AS_TEXT = ("Raw profile type exif", "Raw profile type APP1")  # as ImageMagick writes it into a PNG


@dataclass
class Metadata:
    """What a colorized photo takes from its source.

    `exif` begins with b"Exif" and has no orientation, since the photo is upright; `dpi` is (horizontal, vertical);
    `text` is a PNG's; `comment` a JPEG's or GIF's.
    """

    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    dpi: tuple[float, float] | None = None
    text: dict[str, str] = field(default_factory=dict)
    comment: bytes | None = None


def read_metadata(picture: Picture, orientation: int) -> tuple[Metadata, list[str]]:
    """The metadata of a picture that has been loaded, and notes; `orientation` is the one that was undone."""
    info = picture.image.info if picture.image else {}
    turned = orientation in (5, 6, 7, 8)
    found, notes = Metadata(dpi=_resolution(picture, info)), []
    if found.dpi and turned:
        found.dpi = found.dpi[::-1]
    try:
        main, inner = _directories(picture, info)
        found.exif = _kept_exif(main, inner, found.dpi, turned)
    except Exception:  # what is damaged can be so in any way
        notes.append("its metadata is damaged and left out")
        main = Directory()
    xmp = info.get("xmp") or info.get("XML:com.adobe.xmp") or (main[XMP].data if XMP in main else None)
    xmp = xmp.encode() if isinstance(xmp, str) else xmp
    if isinstance(xmp, bytes) and xmp:
        found.xmp, announced = without_stale_entries(xmp)
        notes += [FORGOTTEN] * announced
    iptc = (info.get("photoshop") or {}).get(0x0404) or (main[IPTC].data if IPTC in main else None)
    found.iptc = iptc if isinstance(iptc, bytes) else None
    comment = info.get("comment")
    found.comment = comment if isinstance(comment, bytes) else None
    with contextlib.suppress(Exception):  # text behind the pixels may be damaged too
        text = dict(getattr(picture.image, "text", {}))
        skipped = ("Raw profile type", "XML:com.adobe.xmp")
        found.text = {key: value for key, value in text.items() if not key.startswith(skipped)}
    return found, notes


def _directories(picture: Picture, info: Mapping[Any, Any]) -> tuple[Directory, dict[int, Directory]]:
    """EXIF's main directory and its inner ones; empty ones where there is none. Raises for damage."""
    if picture.directory is not None:
        return picture.directory, picture.inner
    content = info.get("exif")
    for name in () if content else EXIF_AS_TEXT:
        if isinstance(info.get(name), str):
            content = bytes.fromhex("".join(info[name].split("\n")[3:]))
    return read_exif(content) if content else (Directory(), {})


def _kept_exif(
    main: Directory, inner: dict[int, Directory], dpi: tuple[float, float] | None, turned: bool
) -> bytes | None:
    """EXIF without the thumbnail, which would still be gray, and without what is no longer true."""
    kept = Directory(main.order)
    kept.update({tag: main[tag] for tag in KEPT_TAGS if tag in main})
    parts = {}
    for tag in (EXIF, GPS):
        if inner.get(tag):
            parts[tag] = Directory(main.order)
            parts[tag].update(inner[tag])
    if camera := parts.get(EXIF):
        camera.pop(INTEROPERABILITY, None)  # the color space's name once more
        if COLOR_SPACE in camera:
            camera.set(COLOR_SPACE, SHORT, 1)  # sRGB
        if turned and {WIDTH, HEIGHT} <= camera.keys():
            camera[WIDTH], camera[HEIGHT] = camera[HEIGHT], camera[WIDTH]
    if not kept and not parts:
        return None
    if dpi:
        for tag, value in zip((X_RESOLUTION, Y_RESOLUTION), dpi, strict=True):
            fraction = Fraction(value).limit_denominator(1000)
            kept.set(tag, RATIONAL, fraction.numerator, fraction.denominator)
        kept.set(UNIT, SHORT, INCH)
    return write_exif(kept, parts)


def _resolution(picture: Picture, info: Mapping[Any, Any]) -> tuple[float, float] | None:
    """Pixels an inch, as stored."""
    if picture.directory is None:
        dpi = tuple(float(value) for value in info.get("dpi", ()))
    else:
        unit = picture.directory.integer(UNIT, INCH)
        factor = {INCH: 1, CENTIMETER: 2.54}.get(unit, 0)
        dpi = tuple(
            factor * value for tag in (X_RESOLUTION, Y_RESOLUTION) for value in picture.directory.numbers(tag)[:1]
        )
    if len(dpi) == 2 and all(1 < value < 1e6 for value in dpi):
        return dpi[0], dpi[1]
    return None
