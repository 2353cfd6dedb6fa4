"""ICC profiles: what pixels mean, as lightness and as sRGB."""

import io
import zlib

import numpy as np
import pytest
from photo_files import (
    ADOBE_RGB,
    DISPLAY_P3,
    PROFILE_TOLERANCE,
    assert_lightness,
    chunk,
    gamma,
    lightness,
    lstar,
    lstar_of_luminance,
    matrix_profile,
    png,
    profile,
    read,
    saved,
    table_profile,
    tiff,
)
from PIL import Image, ImageCms


@pytest.mark.parametrize("primaries", [DISPLAY_P3, ADOBE_RGB])
def test_wide_gamut_profiles_are_honored_and_nothing_is_clipped(photo, deep_photo, primaries):
    icc, luminance = matrix_profile(primaries, 2.2)
    vivid = photo.copy()
    vivid[:8], vivid[8:16], vivid[16:24] = (0, 255, 0), (255, 0, 0), (0, 0, 255)
    for pixels, content in (
        (vivid, saved(vivid, "PNG", icc_profile=icc)),
        (vivid, saved(vivid, "TIFF", icc_profile=icc)),
        (deep_photo, tiff(deep_photo, photometric="rgb", iccprofile=icc)),
    ):
        page = read(content)
        expected = lstar_of_luminance(luminance(pixels / np.iinfo(pixels.dtype).max))
        assert_lightness(page, expected, PROFILE_TOLERANCE)
        assert page.notes == []
    assert np.abs(expected - lstar(deep_photo)).max() > 1  # the profile matters
    image = Image.fromarray(vivid)
    srgb = ImageCms.profileToProfile(image, io.BytesIO(icc), ImageCms.createProfile("sRGB"))  # clips
    green = lightness(read(saved(vivid, "PNG", icc_profile=icc)))[0, 0]
    assert abs(lstar(np.asarray(srgb))[0, 0] - green) > 0.4


def test_srgb_profiles_change_nothing(photo):
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert_lightness(read(saved(photo, "PNG", icc_profile=icc)), lstar(photo), PROFILE_TOLERANCE)
    gray = photo[..., 0]
    assert_lightness(read(saved(gray, "JPEG", quality=100, icc_profile=icc)), lstar(gray), 1.5)
    assert_lightness(read(saved(gray, "PNG", icc_profile=icc)), lstar(gray), PROFILE_TOLERANCE)
    palette = Image.fromarray(photo).quantize(32)
    page = read(saved(palette, "PNG", icc_profile=icc))
    assert_lightness(page, lstar(np.asarray(palette.convert("RGB"))), PROFILE_TOLERANCE)


def test_gray_profiles_are_honored_at_both_depths(photo, deep_photo, mask):
    curve, exponent = gamma(1.8)
    icc = profile(b"GRAY", b"XYZ ", {b"kTRC": curve})
    gray, deep = photo[..., 1], deep_photo[..., 1]
    expected = lstar_of_luminance((gray / 255) ** exponent)
    assert np.abs(expected - lstar(gray)).max() > 5  # the profile matters
    assert_lightness(read(saved(gray, "TIFF", icc_profile=icc)), expected, PROFILE_TOLERANCE)
    page = read(saved(Image.merge("LA", [Image.fromarray(gray), Image.fromarray(mask)]), "PNG", icc_profile=icc))
    assert_lightness(page, expected, PROFILE_TOLERANCE)
    assert np.array_equal(page.alpha, mask)
    page = read(tiff(deep, iccprofile=icc))
    assert page.deep
    assert_lightness(page, lstar_of_luminance((deep / 65535) ** exponent), PROFILE_TOLERANCE)


def test_cmyk_profiles_are_honored(photo):
    """A press whose inks take away 20, 30, 5 and 45 of L: nothing like Pillow's own conversion."""
    inks = np.stack(np.meshgrid(*[(0.0, 1.0)] * 4, indexing="ij"), axis=-1)
    corners = np.zeros((2, 2, 2, 2, 3))
    corners[..., 0] = 100 - inks @ (20, 30, 5, 45)
    icc = table_profile(b"CMYK", corners)
    image = Image.fromarray(photo).convert("RGB").convert("CMYK")
    cmyk = np.asarray(image).copy()
    cmyk[..., 3] = np.arange(128)
    expected = 100 - cmyk / 255 @ (20, 30, 5, 45)
    image = Image.frombytes("CMYK", (128, 96), cmyk.tobytes())
    page = read(saved(image, "TIFF", icc_profile=icc))
    assert_lightness(page, expected, 2 * PROFILE_TOLERANCE)
    assert page.notes == [] and np.abs(expected - lstar(np.asarray(image.convert("RGB")))).max() > 10
    with Image.open(io.BytesIO(content := saved(image, "JPEG", quality=100, icc_profile=icc))) as decoded:
        expected = 100 - np.asarray(decoded) / 255 @ (20, 30, 5, 45)
    assert_lightness(read(content), expected, 2 * PROFILE_TOLERANCE)


def test_rgb_profiles_with_a_table_are_asked_for_every_pixel(photo, deep_photo):
    """L is the least of R, G and B here, which no sum of curves can be."""
    corners = np.zeros((2, 2, 2, 3))
    corners[1, 1, 1, 0] = 100
    icc = table_profile(b"RGB ", corners)
    expected = photo.min(-1) / 2.55  # by tetrahedral interpolation
    assert_lightness(read(saved(photo, "PNG", icc_profile=icc)), expected, 2 * PROFILE_TOLERANCE)
    page = read(png(deep_photo, 2, chunk(b"iCCP", b"a\0\0" + zlib.compress(icc))))  # its high bytes are asked for
    assert_lightness(page, (deep_photo >> 8).min(-1) / 2.55, 2 * PROFILE_TOLERANCE)


def test_profiles_that_cannot_be_used_are_said(photo):
    curve, _ = gamma(1.8)
    gray = profile(b"GRAY", b"XYZ ", {b"kTRC": curve})
    rgb, _ = matrix_profile(ADOBE_RGB, 2.2)
    black = table_profile(b"RGB ", np.zeros((2, 2, 2, 3)))
    cmyk = Image.fromarray(photo).convert("CMYK")
    for image, icc, reason in (
        (Image.fromarray(photo), b"no profile at all", "is damaged"),
        (Image.fromarray(photo), rgb[:200], "is damaged"),
        (Image.fromarray(photo), rgb.replace(b"gTRC", b"gone"), "is damaged"),
        (Image.fromarray(photo), black, "makes white as dark as black"),
        (Image.fromarray(photo), gray, "is for GRAY photos"),
        (cmyk, rgb, "is for RGB photos"),
        (cmyk, b"no profile at all", "is damaged"),
    ):
        page = read(saved(image, "TIFF", icc_profile=icc))
        (note,) = page.notes
        assert "color profile" in note and reason in note and "sRGB" in note
        assert_lightness(page, lstar(np.asarray(image.convert("RGB"))))
