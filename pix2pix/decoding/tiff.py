"""TIFF's gray, RGB and CMYK pixels of any depth, byte order and layout, with their full precision.

Pillow gives 8 bits of deep colors, misreads some layouts and refuses others (16-bit gray with alpha). What it reads
well stays with it: palettes, YCbCr, Lab, and the compressions of JPEG and of faxes. TIFF 6.0; Adobe Photoshop TIFF
technical notes 3 (floating point and its predictor).
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from PIL import Image

from pix2pix.decoding.samples import STRIP_PIXELS, Strip
from pix2pix.decoding.tags import Directory, write_directory
from pix2pix.decoding.values import scaled, white_level

PLAIN, DEFLATE, BY_LIBTIFF = (1,), (8, 32946), (5, 32773, 34925, 50000)  # LZW, PackBits, LZMA, Zstandard
CHANNELS = {0: 1, 1: 1, 2: 3, 5: 4}  # of what PhotometricInterpretation says: gray, gray, RGB, CMYK
WHITE_IS_ZERO = 0
NUMPY_KINDS = {1: "u", 2: "i", 3: "f", 4: "u"}  # of TIFF's SampleFormat
ASSOCIATED, UNASSOCIATED = 1, 2
REVERSED_BITS = np.packbits(np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)[:, ::-1], axis=1)[:, 0]


@dataclass(frozen=True)
class Layout:
    """How a page's numbers lie in the file: in strips or tiles, each `tile_height` x `tile_width`."""

    width: int
    height: int
    channels: int  # of color
    samples: int  # of a pixel, with alpha and others
    bits: int
    kind: str  # numpy's: "u", "i" or "f"
    order: str
    compression: int
    predictor: int
    separate: bool  # a plane for each sample
    reversed_bits: bool
    tile_width: int
    tile_height: int
    offsets: tuple[int, ...]
    lengths: tuple[int, ...]


def layout_of(tags: Directory) -> Layout | None:
    """The layout of a page that this module reads; None for any other. Raises ValueError for a damaged one."""
    photometric = tags.integer(262, 1)
    bits, formats = set(tags.integers(258, 1)), set(tags.integers(339, 1))
    compression = tags.integer(259, 1)
    if photometric not in CHANNELS or compression not in PLAIN + DEFLATE + BY_LIBTIFF:
        return None
    width, height, samples = tags.integer(256, 0), tags.integer(257, 0), tags.integer(277, 1)
    if min(width, height) < 1 or len(bits) != 1 or len(formats) != 1:
        raise ValueError("its size or its depth is damaged")
    depth, kind = bits.pop(), NUMPY_KINDS.get(formats.pop(), "")
    if depth not in {"u": range(1, 65), "i": (8, 16, 32, 64), "f": (16, 32, 64)}.get(kind, ()):
        raise ValueError(f"pixels of this kind are unknown ({depth} bits, format {tags.integer(339, 1)})")
    if samples < CHANNELS[photometric]:
        raise ValueError(f"it has {samples} of {CHANNELS[photometric]} channels")
    tiled = 324 in tags
    layout = Layout(
        width=width,
        height=height,
        channels=CHANNELS[photometric],
        samples=samples,
        bits=depth,
        kind=kind,
        order=tags.order,
        compression=compression,
        predictor=tags.integer(317, 1) if compression not in (1, 32773) else 1,
        separate=tags.integer(284, 1) == 2 and samples > 1,
        reversed_bits=tags.integer(266, 1) == 2,
        tile_width=tags.integer(322, 0) if tiled else width,
        tile_height=tags.integer(323, 0) if tiled else min(tags.integer(278, height), height),
        offsets=tags.integers(324 if tiled else 273),
        lengths=tags.integers(325 if tiled else 279),
    )
    if min(layout.tile_width, layout.tile_height) < 1:
        raise ValueError("its strips or tiles are damaged")
    return layout


def alpha_of(tags: Directory, layout: Layout) -> tuple[int | None, bool, list[str]]:
    """(the sample that is alpha or None, whether the colors are multiplied by it, what the user should know)."""
    extras = tags.integers(338) or (UNASSOCIATED,) * (layout.samples - layout.channels == 1)
    for number, kind in enumerate(extras[: layout.samples - layout.channels]):
        if kind in (ASSOCIATED, UNASSOCIATED):
            return layout.channels + number, kind == ASSOCIATED, []
    if layout.samples == layout.channels:
        return None, False, []
    return None, False, ["a channel of which its file does not say what it is, perhaps transparency, is left out"]


def read_strips(file: BinaryIO, tags: Directory, layout: Layout) -> Iterator[Strip]:
    """The page's rows from top to bottom: pixels uint8 or uint16 (h, W) or (h, W, channels), and alpha or None.

    Raises ValueError or OSError for what is damaged or cut short, and for values that no photo has.
    """
    alpha_sample, associated, _ = alpha_of(tags, layout)
    low = high = 0.0
    if layout.kind != "u" or layout.bits >= 32:  # the range decides, so all values are looked at first
        for rows in _read_rows(file, layout):
            colors = rows[..., : layout.channels]
            low, high = float(np.minimum(colors.min(), low)), float(np.maximum(colors.max(), high))
    white = white_level(layout.kind, layout.bits, low, high)
    top = 0
    for rows in _read_rows(file, layout):
        pixels, alpha = scaled(rows[..., : layout.channels], white), None
        if alpha_sample is not None:
            alpha = scaled(rows[..., alpha_sample], white)
            pixels = _divided(pixels, alpha) if associated else pixels
        if tags.integer(262, 1) == WHITE_IS_ZERO:
            pixels = np.iinfo(pixels.dtype).max - pixels
        yield slice(top, top + len(rows)), pixels[..., 0] if layout.channels == 1 else pixels, alpha
        top += len(rows)


def _divided(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Colors that are multiplied by their alpha, divided by it; where nothing is opaque they stay."""
    most = int(np.iinfo(pixels.dtype).max)
    below = np.where(alpha == 0, most, alpha).astype(np.uint64)[..., None]
    return ((pixels.astype(np.uint64) * most + below // 2) // below).clip(0, most).astype(pixels.dtype)


def _read_rows(file: BinaryIO, layout: Layout) -> Iterator[np.ndarray]:
    """Rows (h, W, samples) of numbers as they are stored, from top to bottom, a strip's worth at a time."""
    across = -(-layout.width // layout.tile_width)
    down = -(-layout.height // layout.tile_height)
    planes = layout.samples if layout.separate else 1
    if min(len(layout.offsets), len(layout.lengths)) < across * down * planes:
        raise ValueError("it lacks some of its strips or tiles")
    step = max(1, STRIP_PIXELS // layout.width)
    for row in range(down):
        height = min(layout.tile_height, layout.height - row * layout.tile_height)
        tiles = [
            [_Tile(file, layout, (plane * down + row) * across + column, height) for plane in range(planes)]
            for column in range(across)
        ]
        for top in range(0, height, step):
            rows = slice(top, min(top + step, height))
            parts = [np.concatenate([tile.read(rows) for tile in column], axis=2) for column in tiles]
            yield np.concatenate(parts, axis=1)[:, : layout.width]


class _Tile:
    """One strip or tile of a page (and of one plane, where these are separate)."""

    def __init__(self, file: BinaryIO, layout: Layout, number: int, height: int) -> None:
        self.file, self.layout = file, layout
        self.samples = 1 if layout.separate else layout.samples
        self.row_bytes = -(-layout.tile_width * self.samples * layout.bits // 8)
        self.offset, length = layout.offsets[number], layout.lengths[number]
        self.content: np.ndarray | None = None
        if layout.compression not in PLAIN:
            rows = layout.tile_height if 0 < layout.tile_width < layout.width else height
            self.content = np.frombuffer(self._unpack(self._read(self.offset, length), rows), dtype=np.uint8)

    def read(self, rows: slice) -> np.ndarray:
        """Some of its rows as numbers (h, tile width, samples)."""
        start, stop = rows.start * self.row_bytes, rows.stop * self.row_bytes
        if self.content is None:
            content = np.frombuffer(self._read(self.offset + start, stop - start), dtype=np.uint8)
        else:
            content = self.content[start:stop]
        if len(content) < stop - start:
            raise ValueError("the file is cut short")
        return self._to_numbers(content.reshape(-1, self.row_bytes))

    def _read(self, offset: int, length: int) -> bytes:
        self.file.seek(offset)
        content = self.file.read(length)
        return REVERSED_BITS[np.frombuffer(content, dtype=np.uint8)].tobytes() if self.layout.reversed_bits else content

    def _unpack(self, content: bytes, rows: int) -> bytes:
        if self.layout.compression in DEFLATE:
            return zlib.decompressobj().decompress(content, rows * self.row_bytes)
        return _unpack_by_libtiff(content, self.layout.compression, rows, self.row_bytes)

    def _to_numbers(self, rows: np.ndarray) -> np.ndarray:
        """uint8 (h, bytes of a row) to numbers (h, tile width, samples)."""
        layout, shape = self.layout, (len(rows), self.layout.tile_width, self.samples)
        if layout.bits not in (8, 16, 32, 64):
            count = layout.tile_width * self.samples
            bits = np.unpackbits(rows, axis=1)[:, : count * layout.bits].reshape(*shape, layout.bits)
            weights = 2.0 ** np.arange(layout.bits - 1, -1, -1)
            values = bits @ weights.astype(np.float32 if layout.bits <= 24 else np.float64)
            return values.astype(np.uint8 if layout.bits < 8 else np.uint16 if layout.bits <= 16 else np.uint64)
        type = np.dtype(f"{layout.order}{layout.kind}{layout.bits // 8}")
        if layout.predictor == 3:
            return _undo_float_predictor(rows, type, shape)
        values = rows.view(type).reshape(shape)
        if layout.predictor == 2:
            return np.cumsum(values, axis=1, dtype=type.newbyteorder("="))  # wraps around, as it should
        return values.astype(type.newbyteorder("="), copy=False)


def _undo_float_predictor(rows: np.ndarray, type: np.dtype, shape: tuple[int, int, int]) -> np.ndarray:
    """Floats whose bytes are stored plane by plane, the highest first, as differences along the row."""
    height, _, samples = shape
    summed = np.cumsum(rows.reshape(height, -1, samples), axis=1, dtype=np.uint8)
    planes = summed.reshape(height, type.itemsize, -1)
    values = np.ascontiguousarray(planes.transpose(0, 2, 1)).view(type.newbyteorder(">"))
    return values.reshape(shape).astype(type.newbyteorder("="))


def _unpack_by_libtiff(content: bytes, compression: int, rows: int, row_bytes: int) -> bytes:
    """Packed bytes unpacked by Pillow's libtiff, as the pixels of an 8-bit gray TIFF made for them."""
    tags = Directory("<")
    for tag, value in ((256, row_bytes), (257, rows), (258, 8), (259, compression), (262, 1), (277, 1), (278, rows)):
        tags.set(tag, 4, value)
    tags.set(279, 4, len(content))
    tags.set(273, 4, 0)
    start = 8 + len(write_directory(tags, 8))
    tags.set(273, 4, start)
    made = b"II*\0\x08\0\0\0" + write_directory(tags, 8) + content
    with Image.open(io.BytesIO(made), formats=["TIFF"]) as image:
        return image.tobytes()
