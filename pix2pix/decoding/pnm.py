"""PGM and PPM with a white of their own (the header's "maxval"), of which Pillow keeps 8 bits in color and is slow.

netpbm's formats P2, P3, P5 and P6: a maxval above 255 means two bytes a value, the higher one first.
"""

from __future__ import annotations

import re
from typing import BinaryIO, NamedTuple

import numpy as np

HEADER = re.compile(rb"P([2356])" + rb"(?:\s|#[^\r\n]*)+(\d{1,9})" * 3 + rb"\s")
LONGEST_HEADER = 1 << 16


class Header(NamedTuple):
    """What a PGM or PPM begins with; `start` is where its values are."""

    width: int
    height: int
    channels: int
    white: int
    plain: bool
    start: int


def read_header(file: BinaryIO) -> Header | None:
    """The header of a PGM or PPM whose white is not 255; None for one of 8 bits and for anything else."""
    file.seek(0)
    found = HEADER.match(file.read(LONGEST_HEADER))
    if not found:
        return None
    kind, width, height, white = map(int, found.groups())
    if white == 255 or not 0 < white < 65536:
        return None
    return Header(width, height, 1 if kind in (2, 5) else 3, white, kind < 4, found.end())


def read_values(file: BinaryIO, header: Header) -> np.ndarray:
    """The values (H, W) or (H, W, 3), uint8 or uint16, at most `header.white`. Raises ValueError when cut short."""
    count = header.height * header.width * header.channels
    file.seek(header.start)
    if header.plain:
        words = re.sub(rb"#[^\r\n]*", b"", file.read()).split()[:count]
        values = np.array(words, dtype=np.int64)
    else:
        size = 1 if header.white < 256 else 2
        values = np.frombuffer(file.read(count * size), dtype=np.uint8 if size == 1 else ">u2")
    if len(values) < count:
        raise ValueError("the file is cut short")
    values = values.clip(0, header.white).astype(np.uint8 if header.white < 256 else np.uint16)
    return values.reshape(header.height, header.width, *[3] * (header.channels == 3))
