"""The CIE lightness L* of decoded pixels: of sRGB, or of what an ICC profile says the numbers mean.

Little CMS can write into a profile of our own, whose one channel is L*, at 16 bits. Nothing is clipped to sRGB on the
way, so wide-gamut photos (Display P3, Adobe RGB, ProPhoto RGB) and CMYK keep their lightness. The luminance is adapted
from the D50 of profiles to sRGB's D65 (Bradford), so a photo has one L* whether its profile is sRGB's or it has none.
"""

from __future__ import annotations

import io
import struct
from functools import cache

import numpy as np
import torch
from PIL import Image, ImageCms

from pix2pix.color import RGB_TO_XYZ, srgb_to_linear

SPACES = {"L": ("GRAY", "RGB"), "RGB": ("RGB",), "CMYK": ("CMYK",)}  # the profiles that suit a Pillow mode
NEUTRAL_AXIS = ((0, 0, 0, 255), (0, 0, 0, 0))  # black and white in CMYK
D50 = (0.9642, 1.0, 0.8249)
Y_OF_D50_XYZ = (-0.0282895, 1.0099416, 0.0210077)  # the Y row of Bradford's D50 to D65
# Measured over random colours: exact to 0.02 of L*; Little CMS's own grids, six times as fast, are 0.18 off.
FLAGS = 0x2000 | 0x0100  # black point compensation, no optimisation
TOLERANCE = 0.1  # of L*, for a profile to count as a sum of its channels' curves


class Lightness:
    """`Lightness("RGB", icc)(pixels)` is L*, for pixels in a Pillow mode "L", "RGB", "CMYK" or "LAB" (whose L is it).

    `icc` is an embedded profile, or None for sRGB. `mode` is the Pillow mode the pixels have to be in: "RGB" for CMYK
    without a profile, which Pillow then converts. Raises ValueError, saying why, for a profile that cannot be used.
    """

    def __init__(self, mode: str, icc: bytes | None = None) -> None:
        self.mode, self._transform = mode, None
        if mode == "LAB":
            self._tables = _luminance(np.linspace(0, 100, 65536, dtype=np.float32))[None]
        elif icc is None:
            self.mode = "RGB" if mode == "CMYK" else mode
            self._tables = _srgb_tables(self.mode)
        else:
            self._use_profile(icc)

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 or uint16 (H, W) or (H, W, channels) to float32 (H, W), L* in [0, 100]."""
        if self._transform:
            return self._measure(pixels if pixels.dtype == np.uint8 else (pixels >> 8).astype(np.uint8))
        tables = self._tables if pixels.dtype == np.uint16 else self._tables[:, ::257]
        channels = [pixels] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)
        luminance = sum(table.take(channel) for table, channel in zip(tables, channels, strict=True))
        return _lightness(luminance.clip(0, 1))

    def _use_profile(self, icc: bytes) -> None:
        """Keep a curve for each channel where these add up to the luminance, as those of matrix profiles do.

        This is ten times as fast as asking Little CMS for every pixel, and serves 16 bits, for which Pillow can't ask.
        """
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            space = profile.profile.xcolor_space.strip()
        except Exception as error:  # what Pillow raises differs between its versions
            raise ValueError("is damaged") from error
        if space not in SPACES[self.mode]:
            raise ValueError(f"is for {space} photos")
        self._gray_as_rgb = self.mode == "L" and space == "RGB"
        mode = "L" if space == "GRAY" else space
        try:
            self._transform = ImageCms.buildTransform(
                profile, _lightness_profile(), mode, "I;16", ImageCms.Intent.RELATIVE_COLORIMETRIC, flags=FLAGS
            )
        except Exception as error:
            raise ValueError("is damaged") from error
        count = len(self.mode)
        ends = NEUTRAL_AXIS if self.mode == "CMYK" else ((0,) * count, (255,) * count)
        black, white = self._measure(np.array([ends], dtype=np.uint8).reshape(1, 2, *[count] * (count > 1)))[0]
        if white < black + 10:
            raise ValueError("is damaged (it makes white as dark as black)")
        if self.mode == "CMYK":
            return
        ramps = np.zeros((count, 256, count), dtype=np.uint8)
        ramps[range(count), :, range(count)] = np.arange(256)
        curves = _luminance(self._measure(ramps if count > 1 else ramps[..., 0]))
        offset = _luminance(black)
        curves[1:] -= offset  # black's own luminance is counted once
        if count > 1:
            tried = np.random.default_rng(0).integers(0, 256, (1, 2048, count), dtype=np.uint8)
            added = sum(curve[tried[..., channel]] for channel, curve in enumerate(curves))
            if np.abs(_lightness(added.clip(0, 1)) - self._measure(tried)).max() > TOLERANCE:
                return
        levels = np.arange(65536) / 257
        self._tables = np.stack([np.interp(levels, np.arange(256), curve) for curve in curves]).astype(np.float32)
        self._transform = None

    def _measure(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 (H, W) or (H, W, channels) through the profile to float32 (H, W), L* in [0, 100]."""
        if self._gray_as_rgb:
            pixels = np.repeat(pixels[..., None], 3, axis=-1)
        mode = {(): "L", (3,): "RGB", (4,): "CMYK"}[pixels.shape[2:]]
        image = Image.frombytes(mode, pixels.shape[1::-1], pixels.tobytes())
        result = np.asarray(ImageCms.applyTransform(image, self._transform))
        return result * np.float32(100 / np.iinfo(result.dtype).max)


@cache
def _srgb_tables(mode: str) -> np.ndarray:
    """What each of 65536 levels of a channel, of "RGB" or "L", adds to the luminance."""
    linear = srgb_to_linear(torch.linspace(0, 1, 65536, dtype=torch.float64)).numpy()
    weights = np.array(RGB_TO_XYZ[1]) if mode == "RGB" else np.ones(1)
    return (weights[:, None] * linear).astype(np.float32)


def _lightness(luminance: np.ndarray) -> np.ndarray:
    """Y in [0, 1] to L* in [0, 100], any shape."""
    return np.where(luminance > 216 / 24389, 116 * np.cbrt(luminance) - 16, luminance * np.float32(24389 / 27))


def _luminance(lightness: np.ndarray) -> np.ndarray:
    """L* in [0, 100] to Y in [0, 1], any shape."""
    return np.where(lightness > 8, ((lightness + 16) / 116) ** 3, lightness * np.float32(27 / 24389))


def _lightness_profile() -> ImageCms.ImageCmsProfile:
    """A gray output profile (ICC.1:2001-04) whose values are L*: one 16-bit lookup table from D50 XYZ."""

    def fixed(*values: float) -> bytes:  # s15Fixed16Number
        return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))

    to_y = [value * 65535 / 32768 for value in Y_OF_D50_XYZ]  # 32768 stands for an XYZ of 1
    entries = 4096
    curve = _lightness(np.linspace(0, 1, entries)) * 655.35
    table = b"mft2" + bytes(4) + bytes((3, 1, 2, 0)) + fixed(*to_y, 0, 0, 0, 0, 0, 0) + struct.pack(">HH", 2, entries)
    table += struct.pack(">6H", *(0, 65535) * 3)  # input curves: none
    table += struct.pack(">8H", *(0,) * 4 + (65535,) * 4)  # the grid: the first channel as it is
    table += np.round(curve).astype(">u2").tobytes()
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 3) + b"L*\0" + bytes(78),
        b"cprt": b"text" + bytes(4) + b"none\0",
        b"wtpt": b"XYZ " + bytes(4) + fixed(*D50),
        b"B2A0": table,
    }
    index, content, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, tag in tags.items():
        index += name + struct.pack(">II", start + len(content), len(tag))
        content += tag + bytes(-len(tag) % 4)
    header = struct.pack(">I4xI", start + len(content), 0x02400000) + b"prtrGRAYXYZ " + bytes(12) + b"acsp" + bytes(28)
    return ImageCms.ImageCmsProfile(io.BytesIO((header + fixed(*D50)).ljust(128, b"\0") + index + content))
