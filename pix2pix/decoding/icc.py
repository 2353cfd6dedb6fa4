"""What decoded pixels mean: their CIE lightness L*, and their sRGB colors, by an ICC profile or as sRGB.

Little CMS can write into a profile of our own, whose one channel is L*, at 16 bits. Nothing is clipped to sRGB on the
way, so wide-gamut photos (Display P3, Adobe RGB, ProPhoto RGB) and CMYK keep their lightness. The luminance is adapted
from the D50 of profiles to sRGB's D65 (Bradford), so a photo has one L* whether its profile is sRGB's or it has none.
"""

from __future__ import annotations

import io
from functools import cache, lru_cache

import numpy as np
import torch
from PIL import Image, ImageCms
from torch import Tensor

from pix2pix.color import RGB_TO_XYZ, srgb_to_linear
from pix2pix.decoding.made_profiles import lightness_profile

SPACES = {"L": ("GRAY", "RGB"), "RGB": ("RGB",), "CMYK": ("CMYK",)}  # the profiles that suit a kind of pixels
NEUTRAL_AXIS = ((0, 0, 0, 255), (0, 0, 0, 0))  # black and white in CMYK
# Measured over random colors: exact to 0.02 of L*; Little CMS's own grids, six times as fast, are 0.18 off.
FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION | ImageCms.Flags.NOOPTIMIZE | ImageCms.Flags.NOCACHE
TOLERANCE = 0.1  # of L*, for a profile to count as a sum of its channels' curves
KNEE = 216 / 24389  # of the luminance: L* is a straight line below it
Transform = ImageCms.ImageCmsTransform
Profile = ImageCms.ImageCmsProfile | ImageCms.core.CmsProfile


class Lightness:
    """`lightness_measure("RGB", icc)(pixels)` is L*, for pixels "L", "RGB", "CMYK" or "LAB" (whose L is it).

    `icc` is an embedded profile, or None for sRGB. Raises ValueError, saying why, for a profile that cannot be used.
    """

    def __init__(self, kind: str, icc: bytes | None = None) -> None:
        self.kind = kind
        self._transform: Transform | None = None
        if kind == "LAB":
            self._use_tables(_luminance(np.linspace(0, 100, 65536))[None])
        elif icc is None:
            self._use_tables(_srgb_tables("L" if kind == "L" else "RGB"))
        else:
            self._use_profile(icc)

    def __call__(self, pixels: np.ndarray) -> Tensor:
        """uint8 or uint16 (H, W) or (H, W, channels) to float32 (H, W), L*/50 - 1 in [-1, 1]."""
        if self._transform is not None:
            pixels = pixels if pixels.dtype == np.uint8 else (pixels >> 8).astype(np.uint8)
            return torch.from_numpy(self._measure(pixels, self._transform).clip(0, 100)).div_(50).sub_(1)
        if self.kind == "CMYK":
            pixels = cmyk_to_rgb(pixels)
        elif self.kind == "LAB":
            pixels = pixels[..., 0]
        if pixels.ndim == 3 and (pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 1] == pixels[..., 2]).all():
            pixels = pixels[..., 0]  # as most black-and-white photos are stored
        if pixels.ndim == 2:
            return torch.from_numpy(self._of_gray[pixels.dtype.itemsize].take(pixels))
        channels = np.moveaxis(pixels, -1, 0)
        tables = self._tables[pixels.dtype.itemsize]
        luminance = sum(table.take(channel) for table, channel in zip(tables, channels, strict=True))
        return _scaled_lightness(torch.from_numpy(luminance))

    def _use_tables(self, tables: np.ndarray) -> None:
        """`tables` (channels, 65536): what each level of a channel adds to the luminance. Kept for 8 and 16 bits."""
        deep = tables.astype(np.float32)
        self._tables = {1: np.ascontiguousarray(deep[:, ::257]), 2: deep}
        gray = {size: torch.from_numpy(table.sum(axis=0)) for size, table in self._tables.items()}
        self._of_gray = {size: _scaled_lightness(luminance).numpy() for size, luminance in gray.items()}

    def _use_profile(self, icc: bytes) -> None:
        """Keep a curve for each channel where these add up to the luminance, as those of matrix profiles do.

        This is ten times as fast as asking Little CMS for every pixel, and serves 16 bits, for which Pillow can't ask.
        """
        profile, space = _open_profile(self.kind, icc)
        self._gray_as_rgb = self.kind == "L" and space == "RGB"
        target = ImageCms.ImageCmsProfile(io.BytesIO(lightness_profile()))
        mode = "L" if space == "GRAY" else space
        transform = _transform(profile, target, mode, "I;16", FLAGS)
        count = len(self.kind)
        ends = NEUTRAL_AXIS if self.kind == "CMYK" else ((0,) * count, (255,) * count)
        neutral = np.array([ends], dtype=np.uint8).reshape(1, 2, *[count] * (count > 1))
        black, white = self._measure(neutral, transform)[0]
        if white < black + 10:
            raise ValueError("is damaged (it makes white as dark as black)")
        if self.kind == "CMYK":
            self._transform = transform
            return
        ramps = np.zeros((count, 256, count), dtype=np.uint8)
        ramps[range(count), :, range(count)] = np.arange(256)
        curves = _luminance(self._measure(ramps if count > 1 else ramps[..., 0], transform))
        curves[1:] -= _luminance(black)  # black's own luminance is counted once
        if count > 1:
            tried = np.random.default_rng(0).integers(0, 256, (1, 2048, count), dtype=np.uint8)
            added = sum(curve[tried[..., channel]] for channel, curve in enumerate(curves))
            found = 50 * (_scaled_lightness(torch.from_numpy(added)).numpy() + 1)
            if np.abs(found - self._measure(tried, transform)).max() > TOLERANCE:
                self._transform = transform
                return
        levels = np.arange(65536) / 257
        self._use_tables(np.stack([np.interp(levels, np.arange(256), curve) for curve in curves]))

    def _measure(self, pixels: np.ndarray, transform: Transform) -> np.ndarray:
        """uint8 (H, W) or (H, W, channels) through the profile to float32 (H, W), L* in [0, 100]."""
        if self._gray_as_rgb:
            pixels = np.repeat(pixels[..., None], 3, axis=-1)
        result = np.asarray(ImageCms.applyTransform(_as_image(pixels), transform))
        return result * np.float32(100 / np.iinfo(result.dtype).max)


class SRGB:
    """`srgb_converter("RGB", icc)(pixels)` is sRGB, for pixels "L", "RGB", "CMYK" or "LAB"; other colors are clipped.

    Relative colorimetric with black point compensation, by Little CMS. Raises ValueError, saying why, for a profile
    that cannot be used.
    """

    def __init__(self, kind: str, icc: bytes | None = None) -> None:
        self.kind, self._gray_as_rgb = kind, False
        self._transform: Transform | None = None
        if kind == "LAB":
            lab, srgb = (ImageCms.createProfile(name) for name in ("LAB", "sRGB"))
            self._transform = _transform(lab, srgb, "LAB", "RGB", ImageCms.Flags.NOCACHE)
        if icc is None or kind == "LAB":
            return
        profile, space = _open_profile(kind, icc)
        self._gray_as_rgb = kind == "L" and space == "RGB"
        flags = ImageCms.Flags.BLACKPOINTCOMPENSATION | ImageCms.Flags.NOCACHE
        mode = "L" if space == "GRAY" else space
        self._transform = _transform(profile, ImageCms.createProfile("sRGB"), mode, "RGB", flags)
        if kind != "CMYK":
            tried = np.random.default_rng(0).integers(0, 256, (16, 64, len(kind)), dtype=np.uint8)
            tried = tried if kind == "RGB" else tried[..., 0]
            plain = np.broadcast_to(tried.reshape(16, 64, -1), (16, 64, 3)).astype(int)
            if np.abs(self(tried) - plain).max() <= 1:
                self._transform = None  # it is sRGB's own

    @property
    def changes_nothing(self) -> bool:
        """Whether RGB stays as it is, and gray is the same in every channel."""
        return self._transform is None and self.kind != "CMYK"

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 (H, W) or (H, W, channels) to uint8 (H, W, 3)."""
        if self._transform is None:
            pixels = cmyk_to_rgb(pixels) if self.kind == "CMYK" else pixels
            return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=-1)
        if self._gray_as_rgb:
            pixels = np.repeat(pixels[..., None], 3, axis=-1)
        return np.asarray(ImageCms.applyTransform(_as_image(pixels, self.kind == "LAB"), self._transform))


# Photos of one camera share a profile, and finding its curves takes longer than reading a small photo.
lightness_measure = lru_cache(maxsize=16)(Lightness)
srgb_converter = lru_cache(maxsize=16)(SRGB)


def cmyk_to_rgb(pixels: np.ndarray) -> np.ndarray:
    """CMYK without a profile, uint8 or uint16 (H, W, 4), to RGB of the same depth: each ink takes its share."""
    white = int(np.iinfo(pixels.dtype).max)
    light = white - pixels.astype(np.uint32)
    return ((light[..., :3] * light[..., 3:] + white // 2) // white).astype(pixels.dtype)


def _open_profile(kind: str, icc: bytes) -> tuple[ImageCms.ImageCmsProfile, str]:
    """A profile and its color space. Raises ValueError for one that is damaged or does not suit the pixels."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        space = profile.profile.xcolor_space.strip()
    except Exception as error:  # what Pillow raises differs between its versions
        raise ValueError("is damaged") from error
    if space not in SPACES.get(kind, ()):
        raise ValueError(f"is for {space} photos")
    return profile, space


def _transform(source: Profile, target: Profile, mode: str, target_mode: str, flags: ImageCms.Flags) -> Transform:
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    try:
        return ImageCms.buildTransform(source, target, mode, target_mode, intent, flags=flags)
    except Exception as error:
        raise ValueError("is damaged") from error


def _as_image(pixels: np.ndarray, is_lab: bool = False) -> Image.Image:
    mode = "LAB" if is_lab else {(): "L", (3,): "RGB", (4,): "CMYK"}[pixels.shape[2:]]
    return Image.frombytes(mode, pixels.shape[1::-1], pixels.tobytes())


@cache
def _srgb_tables(mode: str) -> np.ndarray:
    """What each of 65536 levels of a channel, of "RGB" or "L", adds to the luminance."""
    linear = srgb_to_linear(torch.linspace(0, 1, 65536, dtype=torch.float64)).numpy()
    weights = np.array(RGB_TO_XYZ[1]) if mode == "RGB" else np.ones(1)
    return weights[:, None] * linear


def _scaled_lightness(luminance: Tensor) -> Tensor:
    """Y, in [0, 1] but for rounding, to L*/50 - 1 in [-1, 1], float32 and of any shape."""
    luminance = luminance.float().clamp(0, 1)
    curved = luminance.clamp(min=KNEE)
    line = luminance.sub_(curved).mul_(24389 / 27 / 50)  # 0 from the knee on
    return line.add_(torch.log2(curved).mul_(1 / 3).exp2_().mul_(116 / 50)).sub_(16 / 50 + 1).clamp_(-1, 1)


def _luminance(lightness: np.ndarray) -> np.ndarray:
    """L* in [0, 100] to Y in [0, 1], any shape."""
    return np.where(lightness > 8, ((lightness + 16) / 116) ** 3, lightness * (27 / 24389))
