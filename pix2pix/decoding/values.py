"""Numbers of any depth to the 8 or 16 bits that everything after them works with: what is white, and what is wrong.

Unsigned whole numbers of up to 31 bits are as bright as their bits say. Those of 32 bits, signed ones and floats are
stored in several ranges, of which the values themselves tell: 0 to 1 (floats), to 255, to 65535, or as far as they go.
"""

from __future__ import annotations

import numpy as np

# The highest value of a photo in the range 0 to 1, 255 or 65535. Resizing overshoots white, by up to a fifth; a photo
# of 0 to 255 that nowhere reaches 8 would be black to the eye.
HIGHEST = {1: 8.0, 255: 320.0, 65535: 82000.0}
LOWEST = -0.5  # of white, for an undershoot of black; less means a range around zero


def white_level(kind: str, bits: int, low: float, high: float) -> float:
    """The value that is white, for numbers of numpy's kind "u", "i" or "f" that lie between `low` and `high`.

    Raises ValueError for values that no photo has.
    """
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError("some of its values are not numbers (NaN or infinite)")
    white = _white(kind, bits, high)
    if low < LOWEST * white:
        raise ValueError(f"its values go from {low:g} to {high:g}, which is no range of a photo")
    return white


def _white(kind: str, bits: int, high: float) -> float:
    if kind == "u" and bits < 32:
        return 2**bits - 1
    if kind == "f":
        for white, highest in HIGHEST.items():
            if high <= highest:
                return white
        raise ValueError(f"its values go up to {high:g}; known are those up to 1, 255 and 65535")
    full = 2 ** (bits - (kind == "i")) - 1
    return next((white for white in (255, 65535) if high <= white < full), full)


def scaled(values: np.ndarray, white: float) -> np.ndarray:
    """Values of any type to uint8 where white is at most 255 and they are small whole numbers, else to uint16.

    What lies outside black and white is clipped.
    """
    if values.dtype == np.uint8:
        if white == 255:
            return values
        return np.round(np.arange(256) * (255 / white)).clip(0, 255).astype(np.uint8)[values]
    if values.dtype == np.uint16:
        if white == 65535:
            return values
        return np.round(np.arange(65536) * (65535 / white)).clip(0, 65535).astype(np.uint16)[values]
    values = values.astype(np.float32) if values.dtype == np.float16 else values
    return np.round(values * (65535 / white)).clip(0, 65535).astype(np.uint16)


def to_8_bits(pixels: np.ndarray) -> np.ndarray:
    """uint8 or uint16 pixels to uint8, rounded."""
    return pixels if pixels.dtype == np.uint8 else ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
