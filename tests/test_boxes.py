"""Color descriptions in the boxes of JPEG 2000 and AVIF."""

import io
import struct

import numpy as np
import pytest
from photo_files import (
    ADOBE_RGB,
    DISPLAY_P3,
    PROFILE_TOLERANCE,
    gamma,
    lightness,
    lstar,
    lstar_of_luminance,
    matrix_luminance,
    matrix_profile,
    profile,
    read,
    saved,
    skip_without,
)  # fmt: skip
from PIL import Image, ImageCms, features

from pix2pix.data.photos import read_photo
from pix2pix.decoding.boxes import coded_bits


def with_color_box(content, box):
    """A JP2 whose first color box is another one."""
    place = content.index(b"colr") - 4
    old = struct.unpack(">I", content[place : place + 4])[0]
    header = content.index(b"jp2h") - 4
    length = struct.unpack(">I", content[header : header + 4])[0]
    made = struct.pack(">I4s", 8 + len(box), b"colr") + box
    content = content[:place] + made + content[place + old :]
    return content[:header] + struct.pack(">I", length - old + len(made)) + content[header + 4 :]


@pytest.mark.parametrize("method", [2, 3])
def test_the_profile_of_a_jpeg_2000_is_honored(photo, tmp_path, method):
    skip_without("JPEG2000")
    icc, luminance = matrix_profile(ADOBE_RGB, 2.2)
    content = with_color_box(saved(photo, "JPEG2000"), bytes((method, 0, 0)) + icc)
    page = read(content)
    assert page.notes == []
    expected = lstar_of_luminance(luminance(photo / 255))
    assert np.abs(lightness(page) - expected).max() < PROFILE_TOLERANCE
    assert np.abs(expected - lstar(photo)).max() > 1
    (tmp_path / "a.jp2").write_bytes(content)
    srgb = ImageCms.profileToProfile(
        Image.fromarray(photo), io.BytesIO(icc), ImageCms.createProfile("sRGB"), ImageCms.Intent.RELATIVE_COLORIMETRIC
    )
    assert np.abs(np.asarray(read_photo(tmp_path / "a.jp2")).astype(int) - np.asarray(srgb)).max() <= 1


def test_a_gray_profile_and_color_spaces_by_number(photo):
    skip_without("JPEG2000")
    curve, exponent = gamma(1.8)
    gray = photo[..., 1]
    icc = profile(b"GRAY", b"XYZ ", {b"kTRC": curve})
    page = read(with_color_box(saved(gray, "JPEG2000"), bytes((2, 0, 0)) + icc))
    assert np.abs(lightness(page) - lstar_of_luminance((gray / 255) ** exponent)).max() < PROFILE_TOLERANCE
    (note,) = read(with_color_box(saved(photo, "JPEG2000"), bytes((1, 0, 0)) + struct.pack(">I", 21))).notes
    assert "color space (number 21 of JPEG 2000) is read as sRGB" in note


def test_code_points_of_an_avif_are_honored(photo):
    skip_without("AVIF")
    content = saved(photo, "AVIF", quality=100, subsampling="4:4:4")
    place = content.find(b"colrnclx")
    if place < 0:
        pytest.skip("this Pillow writes no code points")
    plain = read(content)
    assert plain.notes == []
    changed = content[: place + 8] + struct.pack(">HH", 12, 13) + content[place + 12 :]
    with Image.open(io.BytesIO(content)) as image:
        values = np.asarray(image) / 255
    linear = np.where(values > 0.04045, ((values + 0.055) / 1.055) ** 2.4, values / 12.92)
    page = read(changed)
    assert page.notes == []
    assert np.abs(lightness(page) - lstar_of_luminance(matrix_luminance(DISPLAY_P3)(linear))).max() < 0.1
    (note,) = read(content[: place + 8] + struct.pack(">HH", 9, 16) + content[place + 12 :]).notes
    assert "HDR screens (PQ)" in note


def test_more_than_8_bits_are_told(photo):
    size = b"\xff\x4f\xff\x51" + bytes(38)
    for head, bits in (
        (size + b"\x0f", 16), (b"jp2c" + size + b"\x0b", 12), (size + b"\x07", 8), (b"av1C\x81\0\x40\0", 10),
        (b"av1C\x81\0\x60\0", 12), (b"av1C\x81\0\0\0", 8), (b"hvcC" + bytes(17) + b"\xfa\0", 10), (b"words", 8),
    ):  # fmt: skip
        assert coded_bits(io.BytesIO(head + bytes(9))) == bits
    for format in ("AVIF", "JPEG2000"):
        if (format == "AVIF" and not features.check("avif")) or (format != "AVIF" and not features.check("jpg_2000")):
            continue
        assert coded_bits(io.BytesIO(saved(photo, format))) == 8 and read(saved(photo, format)).notes == []
