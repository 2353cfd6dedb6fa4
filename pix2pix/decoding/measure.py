"""Decoded samples to what is worked with: their lightness L, or sRGB photos, both upright."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pix2pix.decoding.icc import lightness_measure, srgb_converter
from pix2pix.decoding.opening import without_pillow_limit
from pix2pix.decoding.pictures import load_image, picture_at
from pix2pix.decoding.png import described_by_gamma
from pix2pix.decoding.samples import MOST_THREADS, STRIP_PIXELS, Samples, Strip, as_stored, as_upright, row_slices
from pix2pix.decoding.values import to_8_bits
from pix2pix.threads import map_on_cores

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Of a Pillow image that is not decoded yet, these files tell more than Pillow: all bits, what white is, the profile.
BETTER_FROM_FILE = ("TIFF", "PNG", "PPM", "JPEG2000", "AVIF", "HEIF")


def read_lightness(samples: Samples) -> tuple[Tensor, np.ndarray | None]:
    """L (1, 1, H, W) float32, L*/50 - 1 in [-1, 1], and alpha (H, W), uint8 or uint16, or None; both upright.

    A profile that cannot be used is ignored, with a note in `samples`.
    """
    try:
        measure = lightness_measure(samples.kind, samples.profile)
    except ValueError as error:
        measure = lightness_measure(samples.kind, None)
        samples.notes.append(f"its color profile {error}: read as sRGB")
    shape = (samples.height, samples.width)
    upright_shape = shape[::-1] if samples.orientation in (5, 6, 7, 8) else shape
    lightness, alpha = torch.empty(upright_shape), None
    stored = as_stored(lightness.numpy(), samples.orientation)

    def fill(strip: Strip) -> Strip:
        rows, pixels, _ = strip
        stored[rows] = measure(pixels).numpy()
        return strip

    threads = MOST_THREADS if samples.height * samples.width > STRIP_PIXELS else 1
    for rows, _, transparency in map_on_cores(fill, samples.strips, most=threads):
        if transparency is not None:
            alpha = np.empty(shape, transparency.dtype) if alpha is None else alpha
            alpha[rows] = transparency
    if alpha is not None:
        alpha = np.ascontiguousarray(as_upright(alpha, samples.orientation))
    return lightness[None, None], alpha


def read_rgb(samples: Samples) -> Image.Image:
    """Upright sRGB, a Pillow image of mode RGB; alpha is left out. A profile that cannot be used is ignored."""
    try:
        convert = srgb_converter(samples.kind, samples.profile)
    except ValueError:
        convert = srgb_converter(samples.kind, None)
    if samples.image is not None and convert.changes_nothing:
        image = samples.image if samples.image.mode == "RGB" else samples.image.convert("RGB")
    else:
        rgb = np.empty((samples.height, samples.width, 3), dtype=np.uint8)
        for rows, pixels, _ in samples.strips:
            rgb[rows] = convert(to_8_bits(pixels))
        image = Image.fromarray(rgb)
    return image.transpose(TURNS[samples.orientation]) if samples.orientation in TURNS else image


def lightness_of(image: Image.Image) -> Tensor:
    """L (1, 1, H, W) float32, L*/50 - 1, of a Pillow image of any mode, as the command line measures it in a file.

    The image is turned upright by its EXIF orientation, and its color profile is honored. Raises UserError or
    ValueError for values that no photo has and for files that cannot be read.
    """
    with without_pillow_limit():
        file: Any = getattr(image, "fp", None)
        number = image.tell()
        undecoded = bool(getattr(image, "tile", None)) and file is not None and not file.closed
        if undecoded and image.format in BETTER_FROM_FILE and (image.format == "TIFF" or number == 0):
            place = file.tell()
            file.seek(0)
            content = file.read()
            file.seek(place)
            samples = picture_at(io.BytesIO(content), number, "the photo").load()
        else:
            samples = load_image(image, image.info.get("icc_profile") or described_by_gamma(image.info))
        return read_lightness(samples)[0]


def lightness_of_pixels(pixels: np.ndarray) -> Tensor:
    """L (1, 1, H, W) float32, L*/50 - 1, of sRGB or gray pixels, uint8 (H, W, 3) or (H, W)."""
    height, width = pixels.shape[:2]
    strips = ((rows, pixels[rows], None) for rows in row_slices(height, width))
    return read_lightness(Samples("L" if pixels.ndim == 2 else "RGB", width, height, strips))[0]
