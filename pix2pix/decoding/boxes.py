"""The color description in the boxes of JPEG 2000, AVIF and HEIF, which Pillow leaves out.

ISO/IEC 15444-1 annex I (JP2's "colr" box) and ISO/IEC 14496-12 section 12.1.5 (the same box, with code points).
"""

from __future__ import annotations

import struct
from typing import BinaryIO

from pix2pix.decoding.code_points import LARGEST_PROFILE, profile_of_code_points

SEARCHED = 1 << 20  # bytes at the beginning of an AVIF or HEIF, where its description is
ENUMERATED, RESTRICTED, ANY = 1, 2, 3  # how JP2 gives its color space
SRGB, GRAY, SYCC = 16, 17, 18


def jpeg2000_profile(file: BinaryIO) -> tuple[bytes | None, str]:
    """(the ICC profile of a JP2 file or None; a note about a color space that cannot be honored)."""
    file.seek(0)
    end = file.seek(0, 2)
    for kind, start, stop in _boxes(file, 0, end):
        if kind != b"jp2h":
            continue
        for inner, first, last in _boxes(file, start, stop):
            if inner == b"colr":
                file.seek(first)
                return _color_of(file.read(min(last - first, LARGEST_PROFILE)))
    return None, ""


def _color_of(box: bytes) -> tuple[bytes | None, str]:
    if len(box) > 3 and box[0] in (RESTRICTED, ANY):
        return box[3:], ""
    if len(box) >= 7 and box[0] == ENUMERATED:
        (space,) = struct.unpack_from(">I", box, 3)
        if space not in (SRGB, GRAY, SYCC):
            return None, f"its color space (number {space} of JPEG 2000) is read as sRGB"
    return None, ""


def _boxes(file: BinaryIO, start: int, stop: int) -> list[tuple[bytes, int, int]]:
    """(kind, where its content begins, where it ends) of the boxes between two places of a file."""
    found = []
    while start + 8 <= stop:
        file.seek(start)
        length, kind = struct.unpack(">I4s", file.read(8))
        begin = start + 8
        if length == 1:
            (length,) = struct.unpack(">Q", file.read(8).ljust(8, b"\0"))
            begin += 8
        end = stop if length == 0 else start + length
        if end < begin:
            break
        found.append((kind, begin, min(end, stop)))
        start = end
    return found


def described_colors(file: BinaryIO) -> tuple[bytes | None, str]:
    """The same for an AVIF or HEIF without a profile, whose "colr" box has code points."""
    file.seek(0)
    head = file.read(SEARCHED)
    place = head.find(b"colrnclx")
    if place < 0 or place + 12 > len(head):
        return None, ""
    primaries, transfer = struct.unpack_from(">HH", head, place + 8)
    return profile_of_code_points(primaries, transfer, video=True)


def coded_bits(file: BinaryIO) -> int:
    """The bits a channel of a JPEG 2000, AVIF or HEIF, of which Pillow gives 8 in color; 8 where nothing says it."""
    file.seek(0)
    head = file.read(SEARCHED)
    for mark, offset, bits_of in (
        (b"\xff\x4f\xff\x51", 42, lambda byte: (byte & 127) + 1),  # JPEG 2000's SIZ marker: Ssiz
        (b"av1C", 6, lambda byte: {0: 8, 2: 10, 3: 12}.get(byte >> 5 & 3, 8)),  # AV1's configuration
        (b"hvcC", 21, lambda byte: (byte & 7) + 8),  # HEVC's configuration
    ):
        place = head.find(mark)
        if 0 <= place < len(head) - offset:
            return bits_of(head[place + offset])
    return 8
