"""PNG and PPM with 16 bits a channel, which Pillow cannot write in color."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pix2pix.decoding.samples import row_slices

UP = 2  # PNG's filter that takes the row above away


def to_16_bits(pixels: np.ndarray) -> np.ndarray:
    """uint8 or uint16 pixels to uint16."""
    return pixels if pixels.dtype == np.uint16 else pixels.astype(np.uint16) * 257


def write_deep_ppm(pixels: np.ndarray, target: Path) -> None:
    """uint16 (H, W, 3) as netpbm's P6."""
    height, width = pixels.shape[:2]
    with target.open("wb") as file:
        file.write(f"P6\n{width} {height}\n65535\n".encode())
        for rows in row_slices(height, width):
            file.write(pixels[rows].astype(">u2").tobytes())


def write_deep_png(pixels: np.ndarray, target: Path, options: dict[str, Any]) -> None:
    """uint16 (H, W, 3 or 4) as a PNG: one of a single pixel by Pillow, its IHDR and IDAT exchanged."""
    height, width, channels = pixels.shape
    frame = io.BytesIO()
    Image.new("RGB", (1, 1)).save(frame, "PNG", **options)
    content = frame.getvalue()
    with target.open("wb") as file:

        def write(kind: bytes, content: bytes) -> None:
            file.write(struct.pack(">I", len(content)) + kind + content)
            file.write(struct.pack(">I", zlib.crc32(kind + content)))

        file.write(content[:8])
        start = 8
        while start < len(content):
            length, kind = struct.unpack_from(">I4s", content, start)
            part = content[start + 8 : start + 8 + length]
            start += 12 + length
            if kind == b"IHDR":
                part = struct.pack(">IIBBBBB", width, height, 16, 2 if channels == 3 else 6, 0, 0, 0)
            if kind != b"IDAT":
                write(kind, part)
                continue
            packer, above = zlib.compressobj(6), np.zeros(width * channels * 2, dtype=np.uint8)
            for slice_ in row_slices(height, width):
                rows = pixels[slice_].astype(">u2").reshape(-1, width * channels).view(np.uint8)
                filtered = np.full((len(rows), rows.shape[1] + 1), UP, dtype=np.uint8)
                filtered[:, 1:] = rows - np.vstack((above[None], rows[:-1]))
                above = rows[-1]
                write(b"IDAT", packer.compress(filtered.tobytes()))
            write(b"IDAT", packer.flush())
