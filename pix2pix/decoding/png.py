"""What Pillow does not tell of a PNG: its color description, 16 bits of colors, and text too long for Pillow.

PNG (third edition, 2025), section 11.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from PIL import Image

from pix2pix.decoding.code_points import LARGEST_PROFILE, profile_of_code_points, profile_of_gamma

SIGNATURE = b"\x89PNG\r\n\x1a\n"
LONGEST_TEXT = 1_000_000  # bytes of one text, unpacked; Pillow refuses a photo that has a longer one
TEXTS = (b"tEXt", b"zTXt", b"iTXt")


@dataclass
class PngFacts:
    """What the chunks of a PNG say: bits a channel, the profile, and the places of chunks to keep from Pillow."""

    bits: int = 8
    is_gray: bool = False
    profile: bytes | None = None
    notes: list[str] = field(default_factory=list)
    left_out: list[tuple[int, int]] = field(default_factory=list)


def read_facts(file: BinaryIO) -> PngFacts:
    """Read the chunks of a PNG, but for its pixels. What is damaged is left to Pillow to name."""
    facts, described = PngFacts(), _Description()
    size = file.seek(0, 2)
    start, texts = len(SIGNATURE), 0
    while start + 8 <= size:
        file.seek(start)
        length, kind = struct.unpack(">I4s", file.read(8))
        end = start + 12 + length
        if end > size:
            break
        if kind == b"IHDR":
            facts.bits, color = struct.unpack_from(">8xBB", file.read(min(length, 13)).ljust(13, b"\0"))
            facts.is_gray = color == 0
        elif kind in (b"cICP", b"gAMA", b"cHRM", b"sRGB"):
            described.read(kind, file.read(min(length, 64)))
        elif kind == b"iCCP":
            described.profile, too_large = _read_profile(file.read(min(length, LARGEST_PROFILE)))
            if too_large:
                facts.left_out.append((start, end))
        elif kind in TEXTS and _is_too_long(kind, file, length):
            facts.left_out.append((start, end))
            texts += 1
        start = end
    if texts:
        what = "a text of it is" if texts == 1 else f"{texts} texts of it are"
        facts.notes.append(f"{what} left out, longer than {LONGEST_TEXT // 1_000_000} MB")
    facts.profile, note = described.find_profile()
    facts.notes += [note] * bool(note)
    return facts


def without_chunks(file: BinaryIO, left_out: list[tuple[int, int]]) -> BinaryIO:
    """The file without some of its chunks, in memory; the file itself where there are none."""
    if not left_out:
        return file
    file.seek(0)
    content = file.read()
    for start, end in reversed(left_out):
        content = content[:start] + content[end:]
    return io.BytesIO(content)


def described_by_gamma(info: Mapping[Any, Any]) -> bytes | None:
    """The profile that stands for the gamma and the primaries in the `info` of a PNG that Pillow has read."""
    if "srgb" in info or not info.keys() & {"gamma", "chromaticity"}:
        return None
    return profile_of_gamma(info.get("gamma"), info.get("chromaticity"))[0]


def scale_key(image: Image.Image, bits: int) -> None:
    """Make the transparent gray of a PNG of 1, 2 or 4 bits one of 8, as Pillow makes its pixels."""
    key = image.info.get("transparency")
    if isinstance(key, int) and image.mode == "L":
        image.info["transparency"] = key * {2: 85, 4: 17}.get(bits, 1)
    elif isinstance(key, int) and image.mode == "1":  # Pillow 12 does so itself
        image.info["transparency"] = 255 if key else 0


def low_bytes(file: BinaryIO) -> Image.Image | None:
    """The low bytes of a PNG's 16-bit colors (RGB, RGBA or LA), of which Pillow gives only the high ones.

    Pillow takes the high byte from where the byte order says, so with the other order it gives the low one. None for
    8 bits, and for gray, of which Pillow gives all.
    """
    file.seek(0)
    low = Image.open(file, formats=["PNG"])
    raw_mode = low.tile[0][3] if low.tile else ""
    channels, _, order = raw_mode.partition(";16") if isinstance(raw_mode, str) else ("", "", "")
    if order != "B" or channels not in ("RGB", "RGBA", "LA"):
        return None
    # Of LA, Pillow can give all four bytes as RGBA.
    wanted = "RGBA" if channels == "LA" else f"{channels};16L"
    low.tile = [with_decoder_arguments(tile, wanted) for tile in low.tile]
    low.load()
    return Image.merge("LA", (low.getchannel("G"), low.getchannel("A"))) if channels == "LA" else low


def with_decoder_arguments(tile: Any, arguments: Any) -> Any:  # noqa: ANN401
    """One of the tiles that Pillow is to decode, a named tuple or before Pillow 11 a plain one, decoded otherwise."""
    return tile._replace(args=arguments) if hasattr(tile, "_replace") else (*tile[:3], arguments)


class _Description:
    """The chunks that say what a PNG's colors mean; the first of cICP, iCCP, sRGB, and gAMA with cHRM is right."""

    def __init__(self) -> None:
        self.code_points: tuple[int, int, bool] | None = None
        self.profile: bytes | None = None
        self.is_srgb = False
        self.gamma: float | None = None
        self.chromaticities: tuple[float, ...] | None = None

    def read(self, kind: bytes, content: bytes) -> None:
        if kind == b"cICP" and len(content) >= 4:
            self.code_points = content[0], content[1], content[3] == 1
        elif kind == b"sRGB":
            self.is_srgb = True
        elif kind == b"gAMA" and len(content) >= 4:
            self.gamma = struct.unpack(">I", content[:4])[0] / 100_000
        elif kind == b"cHRM" and len(content) >= 32:
            self.chromaticities = tuple(value / 100_000 for value in struct.unpack(">8I", content[:32]))

    def find_profile(self) -> tuple[bytes | None, str]:
        """(the profile, None for sRGB; a note where the description cannot be honored)."""
        if self.code_points is not None:
            primaries, transfer, full_range = self.code_points
            profile, note = profile_of_code_points(primaries, transfer)
            if note and self.profile is not None:
                return self.profile, ""
            return profile, note or "" if full_range else "its levels are those of video (16 to 235), read as 0 to 255"
        if self.profile is not None or self.is_srgb:
            return self.profile, ""
        if self.gamma is None and self.chromaticities is None:
            return None, ""
        return profile_of_gamma(self.gamma, self.chromaticities)


def _read_profile(content: bytes) -> tuple[bytes, bool]:
    """(the ICC profile in an iCCP chunk, b"" for a damaged one; whether it is too large for Pillow)."""
    _, _, packed = content.partition(b"\0")
    unpacked = _unpack(packed[1:], LARGEST_PROFILE) or b""
    return unpacked, len(unpacked) > LONGEST_TEXT


def _is_too_long(kind: bytes, file: BinaryIO, length: int) -> bool:
    if length > LONGEST_TEXT:
        return True
    if kind == b"tEXt" or length * 1032 <= LONGEST_TEXT:  # as far as zlib packs at most
        return False
    _, _, rest = file.read(length).partition(b"\0")
    if kind == b"zTXt":
        packed = rest[1:]
    elif rest[:1] == b"\1":  # an iTXt that is packed
        packed = rest[2:].split(b"\0", 2)[-1]
    else:
        return False
    unpacked = _unpack(packed, LONGEST_TEXT + 1)
    return unpacked is not None and len(unpacked) > LONGEST_TEXT


def _unpack(packed: bytes, most: int) -> bytes | None:
    """At most so many bytes of what zlib packed; None where it is damaged."""
    try:
        return zlib.decompressobj().decompress(packed, most)
    except zlib.error:
        return None
