"""PNG: transparent grays of few bits, described colors, and texts and profiles that are too long for Pillow."""

import io
import struct
import zlib

import numpy as np
import pytest
from photo_files import (
    PROFILE_TOLERANCE,
    SIGNATURE,
    assert_lightness,
    chunk,
    gamma,
    lstar,
    lstar_of_luminance,
    matrix_luminance,
    png,
    profile,
    read,
)  # fmt: skip
from PIL import Image

from pix2pix.data.photos import read_photo
from pix2pix.decoding.measure import lightness_of
from pix2pix.photofile.read import read_pages
from pix2pix.photofile.write import write_pages

P3 = ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06))
BT2020 = ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046))
SRGB = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))


def few_bits(values, bits, *chunks):
    """A gray PNG of (H, W) values of so many bits."""
    each = (values[..., None] >> np.arange(bits - 1, -1, -1)) & 1
    rows = np.packbits(each.astype(np.uint8).reshape(len(values), -1), axis=1)
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], bits, 0, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    parts = [chunk(b"IHDR", header), *chunks, chunk(b"IDAT", data), chunk(b"IEND", b"")]
    return SIGNATURE + b"".join(parts)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_transparent_gray_of_any_depth(bits):
    values = np.random.default_rng(0).integers(0, 2**bits, (9, 13))
    for key in (0, 1, 2**bits - 1):
        page = read(few_bits(values, bits, chunk(b"tRNS", struct.pack(">H", key))))
        assert np.array_equal(page.alpha, np.where(values == key, 0, 255))
        assert_lightness(page, lstar(values / (2**bits - 1)), 2e-3)


def linear_of_srgb(values):
    return np.where(values > 0.04045, ((values + 0.055) / 1.055) ** 2.4, values / 12.92)


def linear_of_bt709(values):
    return np.where(values > 0.081, ((values + 0.099) / 1.099) ** (1 / 0.45), values / 4.5)


def srgb_of_linear(linear):
    linear = linear.clip(0, 1)
    return np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)


def chromaticities(primaries):
    values = (0.3127, 0.329, *primaries[0], *primaries[1], *primaries[2])
    return chunk(b"cHRM", struct.pack(">8I", *(round(100_000 * value) for value in values)))


def gamma_chunk(value):
    return chunk(b"gAMA", struct.pack(">I", round(100_000 * value)))


def code_points(primaries, transfer):
    return chunk(b"cICP", bytes((primaries, transfer, 0, 1)))


@pytest.mark.parametrize(
    ("chunks", "primaries", "linear"),
    [
        ([gamma_chunk(1)], SRGB, lambda values: values),
        ([gamma_chunk(1 / 1.8)], SRGB, lambda values: values**1.8),
        ([gamma_chunk(0.45455)], SRGB, linear_of_srgb),
        ([gamma_chunk(0.45455), chromaticities(P3)], P3, linear_of_srgb),
        ([chromaticities(BT2020)], BT2020, linear_of_srgb),
        ([gamma_chunk(1), chunk(b"sRGB", b"\0")], SRGB, linear_of_srgb),
        ([code_points(12, 13)], P3, linear_of_srgb),
        ([code_points(9, 13)], BT2020, linear_of_srgb),
        ([code_points(9, 1)], BT2020, linear_of_bt709),
        ([code_points(1, 8), gamma_chunk(0.45455)], SRGB, lambda values: values),
        ([code_points(1, 13), gamma_chunk(1)], SRGB, linear_of_srgb),
    ],
)
def test_described_colors_are_honored(photo, deep_photo, tmp_path, chunks, primaries, linear):
    for pixels, color in ((photo, 2), (deep_photo, 2), (photo[..., 1], 0)):
        white = np.iinfo(pixels.dtype).max
        content = png(pixels, color, *chunks)
        light = linear(pixels / white)
        luminance = light if color == 0 else matrix_luminance(primaries)(light)
        page = read(content)
        assert page.notes == []
        assert_lightness(page, lstar_of_luminance(luminance), 2 * PROFILE_TOLERANCE)
        path = tmp_path / "photo.png"
        path.write_bytes(content)
        with Image.open(path) as image:
            measured = (lightness_of(image)[0, 0].numpy() + 1) * 50
        assert np.abs(measured - lstar_of_luminance(luminance)).max() < 2 * PROFILE_TOLERANCE
        if primaries == SRGB:
            trained = np.asarray(read_photo(path)) / 255
            expected = srgb_of_linear(light if color == 2 else np.repeat(light[..., None], 3, axis=2))
            # 16 bits become 8 before they are converted, which shows in the shadows of a linear photo.
            assert np.abs(trained - expected).max() <= (1.6 if white == 255 else 7) / 255


def test_what_cannot_be_honored_is_said(photo):
    for chunks, part in (
        ([code_points(9, 16)], "HDR screens (PQ)"),
        ([code_points(9, 18)], "HDR screens (HLG)"),
        ([code_points(99, 13)], "unknown numbers (99 and 13)"),
        ([gamma_chunk(100)], "gamma of 100"),
        ([chunk(b"cHRM", bytes(32))], "no primaries of colors"),
        ([chunk(b"cICP", bytes((1, 13, 0, 0)))], "levels are those of video"),
    ):
        page = read(png(photo, 2, *chunks))
        (note,) = page.notes
        assert part in note
        assert_lightness(page, lstar(photo))


LONG = b"mill " * 300_000


@pytest.mark.parametrize(
    "text",
    [
        chunk(b"zTXt", b"Long\0\0" + zlib.compress(LONG)),
        chunk(b"tEXt", b"Long\0" + LONG),
        chunk(b"iTXt", b"Long\0\1\0en\0Long\0" + zlib.compress(LONG)),
        chunk(b"iTXt", b"Long\0\0\0en\0Long\0" + LONG),
    ],
)
@pytest.mark.parametrize("behind", [False, True])
def test_a_text_longer_than_pillow_reads_is_left_out(photo, tmp_path, text, behind):
    content = png(photo, 2, chunk(b"tEXt", b"Author\0A. Adams"), *([] if behind else [text]))
    content = content[:-12] + text + content[-12:] if behind else content
    page = read(content)
    assert page.notes == ["a text of it is left out, longer than 1 MB"]
    assert page.metadata.text == {"Author": "A. Adams"}
    assert_lightness(page, lstar(photo))
    path = tmp_path / "photo.png"
    path.write_bytes(content)
    assert np.array_equal(np.asarray(read_photo(path)), photo)
    write_pages([page], [photo], tmp_path / "out.png")
    assert read_pages(tmp_path / "out.png", "out.png")[0].metadata.text == {"Author": "A. Adams"}


def test_a_profile_larger_than_pillow_reads_is_honored(photo):
    curve, exponent = gamma(1.8)
    icc = profile(b"GRAY", b"XYZ ", {b"kTRC": curve, b"more": b"text" + bytes(1_500_000)})
    gray = photo[..., 1]
    page = read(png(gray, 0, chunk(b"iCCP", b"a\0\0" + zlib.compress(icc))))
    assert page.notes == []
    assert_lightness(page, lstar_of_luminance((gray / 255) ** exponent), PROFILE_TOLERANCE)


def test_a_damaged_profile_is_said(photo):
    (note,) = read(png(photo, 2, chunk(b"iCCP", b"a\0\0not packed"))).notes
    assert "color profile is damaged" in note


def test_interlaced_deep_colors(deep_photo):
    """Adam7, by hand: seven pictures in one."""
    height, width = 16, 24
    photo = deep_photo[:height, :width]
    data = b""
    for top, left, down, right in (
        (0, 0, 8, 8),
        (0, 4, 8, 8),
        (4, 0, 8, 4),
        (0, 2, 4, 4),
        (2, 0, 4, 2),
        (0, 1, 2, 2),
        (1, 0, 2, 1),
    ):
        rows = photo[top::down, left::right].astype(">u2")
        data += b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 1)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(data)), chunk(b"IEND", b"")]
    assert_lightness(read(SIGNATURE + b"".join(parts)), lstar(photo))


def test_a_pillow_image_that_is_decoded_keeps_its_gamma(photo):
    content = png(photo, 2, gamma_chunk(1))
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        measured = (lightness_of(image)[0, 0].numpy() + 1) * 50
    assert np.abs(measured - lstar_of_luminance(matrix_luminance(SRGB)(photo / 255))).max() < 2 * PROFILE_TOLERANCE
