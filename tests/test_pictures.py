"""Pictures of every mode, depth and layout, read from real files."""

import io
import struct

import numpy as np
import pytest
import tifffile
import torch
from photo_files import (
    ORIENTATION,
    assert_exif,
    assert_lightness,
    chunk,
    exif_with_everything,
    lightness,
    lstar,
    png,
    read,
    saved,
    skip_without,
    tiff,
    written_exif,
)
from PIL import Image
from skimage.color import rgb2lab


@pytest.mark.parametrize(
    ("mode", "format"),
    [
        ("1", "PNG"), ("1", "TIFF"), ("L", "PNG"), ("L", "JPEG"), ("L", "BMP"), ("L", "PPM"), ("LA", "PNG"),
        ("P", "PNG"), ("P", "GIF"), ("P", "BMP"), ("RGB", "PNG"), ("RGB", "JPEG"), ("RGB", "TIFF"), ("RGB", "WEBP"),
        ("RGB", "BMP"), ("RGB", "PPM"), ("RGBA", "PNG"), ("RGBA", "TIFF"), ("CMYK", "JPEG"), ("CMYK", "TIFF"),
        ("YCbCr", "JPEG"), ("RGB", "JPEG2000"), ("RGB", "AVIF"),
    ],
)  # fmt: skip
def test_every_mode_gives_the_lightness_of_its_colors(photo, mode, format):
    skip_without(format)
    content = saved(Image.fromarray(photo).convert(mode), format)
    with Image.open(io.BytesIO(content)) as image:
        expected = lstar(np.asarray(image.convert("RGB")))
    page = read(content)
    assert_lightness(page, expected)
    assert expected.std() > 10 and not page.deep and page.notes == []
    assert (page.alpha is not None) == (mode in ("LA", "RGBA"))


def test_a_path_gives_what_its_content_gives(photo, tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(saved(photo, "PNG"))
    assert torch.equal(read(path).lightness, read(path.read_bytes()).lightness)


def test_lab_gives_its_own_lightness(photo):
    lab = np.round(rgb2lab(photo) * (2.55, 1, 1)).astype(np.int16)
    pixels = np.dstack((lab[..., 0].astype(np.uint8), lab[..., 1:].astype(np.int8).view(np.uint8)))
    content = tiff(pixels, photometric="cielab")
    with Image.open(io.BytesIO(content)) as image:
        assert image.mode == "LAB"
    assert_lightness(read(content), lstar(photo), 0.2)  # half a step of L's 8 bits


def test_strips_join_without_a_seam(real_photos):
    large = np.tile(np.concatenate(real_photos[:2], axis=1), (12, 5, 1))  # 1,152 x 1,280: two strips
    assert_lightness(read(saved(large, "PPM")), lstar(large))


def test_transparent_palette_entries_and_colors_become_alpha(photo):
    palette = Image.fromarray(photo).quantize(16)
    index = np.asarray(palette)
    one, several = saved(palette, "PNG", transparency=3), saved(palette, "PNG", transparency=bytes(range(0, 160, 10)))
    assert np.array_equal(read(one).alpha, np.where(index == 3, 0, 255))
    assert np.array_equal(read(several).alpha, index * 10)
    assert_lightness(read(several), lstar(np.asarray(palette.convert("RGB"))))
    assert np.array_equal(read(saved(palette, "GIF", transparency=3)).alpha, np.where(index == 3, 0, 255))
    gray, color = photo[..., 1], tuple(map(int, photo[5, 7]))
    page = read(saved(gray, "PNG", transparency=int(gray[5, 7])))
    assert np.array_equal(page.alpha, np.where(gray == gray[5, 7], 0, 255))
    assert_lightness(page, lstar(gray))
    page = read(saved(photo, "PNG", transparency=color))
    assert np.array_equal(page.alpha, np.where((photo == color).all(-1), 0, 255)) and (page.alpha == 0).any()
    assert_lightness(page, lstar(photo))


def gray_files(values):
    """Name and content of files that hold the uint16 gray `values`."""
    twelve = (values >> 4).reshape(-1, 2)
    packed = np.stack((twelve[:, 0] >> 4, (twelve[:, 0] & 15) << 4 | twelve[:, 1] >> 8, twelve[:, 1] & 255), axis=-1)
    raw = tiff(packed.astype(np.uint8).reshape(len(values), -1))
    with tifffile.TiffFile(io.BytesIO(raw)) as file:  # 8-bit rows made 12-bit ones, two thirds as wide
        tags = {name: file.pages[0].tags[name].valueoffset for name in ("ImageWidth", "BitsPerSample")}
    twelve_bits = bytearray(raw)
    struct.pack_into("<H", twelve_bits, tags["ImageWidth"], values.shape[1])
    struct.pack_into("<H", twelve_bits, tags["BitsPerSample"], 12)
    return {
        "PNG": png(values, 0),
        "TIFF, II": tiff(values),
        "TIFF, MM": tiff(values, byteorder=">"),
        "TIFF, MM, deflated": tiff(values, byteorder=">", compression="zlib"),
        "TIFF, LZW": saved(values, "TIFF", compression="tiff_lzw"),
        "TIFF, white is zero": tiff(65535 - values, photometric="miniswhite"),
        "TIFF, 32 bits": tiff(values.astype(np.int32)),
        "TIFF, floating, to 1": tiff((values / 65535).astype(np.float32)),
        "TIFF, floating, to 255": tiff((values / 257).astype(np.float32)),
        "TIFF, floating, to 65535": tiff(values.astype(np.float32)),
        "PGM": b"P5 128 96 65535\n" + values.astype(">u2").tobytes(),
        "TIFF, 12 bits": bytes(twelve_bits),
    }


@pytest.mark.parametrize("kind", gray_files(np.zeros((2, 4), dtype=np.uint16)))
def test_deep_gray_keeps_its_depth(deep_photo, kind):
    gray = deep_photo[..., 1].copy()
    gray[0, :2] = 0, 65535
    page = read(gray_files(gray)[kind])
    assert page.deep and page.alpha is None and page.notes == []
    assert_lightness(page, lstar(gray), 0.03 if "12 bits" in kind else 1e-3)
    if "12 bits" not in kind:
        assert len(np.unique(lightness(page))) > 0.9 * len(np.unique(gray))  # 8 bits have 256


def test_eight_bits_in_32_are_scaled(photo):
    gray = np.asarray(Image.fromarray(photo).convert("L"))
    assert_lightness(read(tiff(gray.astype(np.int32))), lstar(gray))


def deep_color_files(rgb, rgba):
    return {
        "PNG": png(rgb, 2),
        "PNG, alpha": png(rgba, 6),
        "TIFF, II": tiff(rgb, photometric="rgb"),
        "TIFF, MM": tiff(rgb, photometric="rgb", byteorder=">"),
        "TIFF, deflated": tiff(rgb, photometric="rgb", compression="zlib"),
        "TIFF, MM, deflated": tiff(rgb, photometric="rgb", byteorder=">", compression="zlib"),
        "TIFF, tiles": tiff(rgb, photometric="rgb", tile=(32, 32)),
        "TIFF, alpha": tiff(rgba, photometric="rgb", extrasamples=["unassalpha"]),
    }


@pytest.mark.parametrize("kind", deep_color_files(*(np.zeros((32, 32, n), dtype=np.uint16) for n in (3, 4))))
def test_deep_colors_keep_their_depth(deep_photo, kind):
    alpha = deep_photo[..., 0]
    page = read(deep_color_files(deep_photo, np.dstack((deep_photo, alpha)))[kind])
    assert page.deep
    assert_lightness(page, lstar(deep_photo))
    if "alpha" in kind:
        assert page.alpha.dtype == np.uint16 and np.array_equal(page.alpha, alpha)
    else:
        assert page.alpha is None


def test_deep_gray_and_colors_with_transparency(deep_photo):
    gray, alpha = deep_photo[..., 0], deep_photo[..., 1]
    page = read(png(np.dstack((gray, alpha)), 4))
    assert page.deep and np.array_equal(page.alpha, alpha)
    assert_lightness(page, lstar(gray))
    page = read(png(gray, 0, chunk(b"tRNS", struct.pack(">H", gray[3, 4]))))
    assert np.array_equal(page.alpha, np.where(gray == gray[3, 4], 0, 255))
    page = read(png(deep_photo, 2, chunk(b"tRNS", struct.pack(">3H", *deep_photo[3, 4]))))
    assert np.argwhere(page.alpha == 0).tolist() == [[3, 4]]
    assert_lightness(page, lstar(deep_photo))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_are_turned_upright(photo, deep_photo, mask, orientation):
    shown = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}  # the Image.Transpose that brings each upright

    def upright(values):
        image = Image.fromarray(values)
        return np.asarray(image.transpose(shown[orientation]) if orientation in shown else image)

    exif, rgba = exif_with_everything(orientation), np.dstack((photo, mask))
    for format in ("PNG", "TIFF"):
        page = read(saved(rgba, format, exif=exif, dpi=(300, 150)))
        assert_lightness(page, lstar(upright(photo)))
        assert np.array_equal(page.alpha, upright(mask))
        assert page.metadata.dpi == pytest.approx((150, 300) if orientation >= 5 else (300, 150), abs=0.1)
    deep = read(tiff(deep_photo, photometric="rgb", extratags=[(ORIENTATION, "H", 1, orientation, True)]))
    assert_lightness(deep, upright(lstar(deep_photo).astype(np.float32)))
    assert_exif(written_exif(read(saved(photo, "JPEG", exif=exif))), upright(mask).shape[::-1])
