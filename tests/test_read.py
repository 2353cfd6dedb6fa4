"""imagefile.py, imagesave.py and profiles.py: real files of every kind, read, written and read back."""

import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from conftest import ROOT
from PIL import ExifTags, Image, ImageCms, JpegImagePlugin, PngImagePlugin, features
from skimage.color import rgb2lab
from skimage.metrics import peak_signal_noise_ratio

from pix2pix.errors import UserError
from pix2pix.photofile.read import Page, read_pages
from pix2pix.photofile.write import holds_16_bits, write_pages

PROFILE_TOLERANCE = 0.03  # of L*
ORIENTATION, EXIF, GPS, THUMBNAIL = 274, 34665, 34853, ExifTags.IFD.IFD1
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
)
IPTC = b"\x1c\x02\x78\x00\x0cThe old mill"  # 2:120, the caption


# Files, and what is expected of them


def skip_without(format):
    """Skip the test where this Pillow was built without one of the formats that it need not have."""
    needed = {"WEBP": "webp", "JPEG2000": "jpg_2000", "AVIF": "avif"}
    if format in needed and not features.check(needed[format]):
        pytest.skip(f"this Pillow has no {format}")


def saved(photo, format, **options):
    """A file's content by Pillow, from an array or an image."""
    file = io.BytesIO()
    (photo if isinstance(photo, Image.Image) else Image.fromarray(photo)).save(file, format, **options)
    return file.getvalue()


def tiff(pixels, **options):
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, metadata=None, **options)
    return file.getvalue()


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(pixels, color_type, *chunks):
    """A PNG by hand: uint8 or uint16 (H, W) or (H, W, channels), no filter."""
    height, width = pixels.shape[:2]
    rows = pixels.astype(pixels.dtype.newbyteorder(">")).reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8 * pixels.dtype.itemsize, color_type, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    parts = [chunk(b"IHDR", header), *chunks, chunk(b"IDAT", data), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def decode_png(content):
    """A PNG by hand, whose every row is the difference from the one above (filter 2)."""
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    start, data = 8, b""
    while start < len(content):
        length, kind = struct.unpack_from(">I4s", content, start)
        body = content[start + 8 : start + 8 + length]
        assert chunk(kind, body) == content[start : start + 12 + length]  # its check sum too
        if kind == b"IHDR":
            width, height, bits, color_type, *rest = struct.unpack(">IIBBBBB", body)
        data += body if kind == b"IDAT" else b""
        start += 12 + length
    assert kind == b"IEND" and bits == 16 and rest == [0, 0, 0]
    rows = np.frombuffer(zlib.decompress(data), dtype=np.uint8).reshape(height, -1)
    assert (rows[:, 0] == 2).all()
    values = np.cumsum(rows[:, 1:], axis=0, dtype=np.uint8).view(">u2")
    return values.reshape(height, width, {2: 3, 6: 4}[color_type]).astype(np.uint16)


def read(content, name="photo"):
    """The only page of a file."""
    (page,) = read_pages(content, name)
    return page


def lightness(page):
    """L* (H, W), in [0, 100]."""
    assert page.lightness.dtype == torch.float32 and page.lightness.shape[:2] == (1, 1)
    assert page.lightness.min() >= -1 and page.lightness.max() <= 1
    return (page.lightness[0, 0].numpy().astype(np.float64) + 1) * 50


def lstar(pixels):
    """scikit-image's L* of sRGB (H, W) or (H, W, 3), uint8, uint16 or in [0, 1]."""
    values = pixels / np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else pixels
    return rgb2lab(values if values.ndim == 3 else np.repeat(values[..., None], 3, axis=-1))[..., 0]


def lstar_of_luminance(luminance):
    return np.where(luminance > 216 / 24389, 116 * np.cbrt(luminance) - 16, luminance * 24389 / 27)


def assert_lightness(page, expected, tolerance=1e-3):
    assert lightness(page).shape == expected.shape
    assert np.abs(lightness(page) - expected).max() < tolerance


@pytest.fixture(scope="module")
def photo(real_photos):
    return real_photos[0]


@pytest.fixture(scope="module")
def deep_photo(real_photos):
    """uint16 (96, 128, 3) whose low bytes matter."""
    noise = np.random.default_rng(0).integers(0, 256, real_photos[0].shape, dtype=np.uint16)
    return real_photos[0].astype(np.uint16) << 8 | noise


@pytest.fixture(scope="module")
def mask():
    """uint8 (96, 128), 0 to 222."""
    return np.add.outer(np.arange(96), np.arange(128)).astype(np.uint8)


def exif_with_everything(orientation=1):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    exif[271], exif[315], exif[33432] = "Kodak", "A. Adams", "nobody"
    exif[EXIF] = {36867: "1931:05:06 07:08:09", 33434: 0.125, 0xA001: 65535, 0xA002: 128, 0xA003: 96}
    exif[GPS] = {1: "N", 2: (48.0, 12.0, 30.0)}
    return exif.tobytes()


def assert_exif(exif, size):
    assert exif[271] == "Kodak" and exif[315] == "A. Adams" and exif[33432] == "nobody"
    assert exif.get(ORIENTATION, 1) == 1
    camera, place = exif.get_ifd(EXIF), exif.get_ifd(GPS)
    assert camera[36867] == "1931:05:06 07:08:09" and float(camera[33434]) == 0.125
    assert camera[0xA001] == 1 and (camera[0xA002], camera[0xA003]) == size
    assert place[1] == "N" and tuple(map(float, place[2])) == (48, 12, 30)


def written_exif(page):
    """A page's EXIF, as it will be written."""
    exif = Image.Exif()
    exif.load(page.metadata["exif"])
    return exif


# Pillow's modes and the file formats


@pytest.mark.parametrize(
    ("mode", "format"),
    [
        ("1", "PNG"), ("1", "TIFF"), ("L", "PNG"), ("L", "JPEG"), ("L", "BMP"), ("L", "PPM"), ("LA", "PNG"),
        ("P", "PNG"), ("P", "GIF"), ("P", "BMP"), ("RGB", "PNG"), ("RGB", "JPEG"), ("RGB", "TIFF"), ("RGB", "WEBP"),
        ("RGB", "BMP"), ("RGB", "PPM"), ("RGBA", "PNG"), ("RGBA", "TIFF"), ("CMYK", "JPEG"), ("CMYK", "TIFF"),
        ("YCbCr", "JPEG"), ("RGB", "JPEG2000"), ("RGB", "AVIF"),
    ],
)  # fmt: skip
def test_every_mode_gives_the_lightness_of_its_colours(photo, mode, format):
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


# Transparency


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP", "AVIF"])
def test_transparency_is_kept(photo, mask, tmp_path, mode, format):
    skip_without(format)
    image = Image.fromarray(photo).convert(mode[:-1])
    image.putalpha(Image.fromarray(mask))
    page = read(saved(image, format, **({"lossless": True, "exact": True} if format == "WEBP" else {"quality": 100})))
    assert page.alpha.dtype == np.uint8 and np.array_equal(page.alpha, mask)
    if format != "AVIF":
        assert_lightness(page, lstar(np.asarray(image.convert("RGB"))))
    write_pages([page], [photo], tmp_path / f"out.{format.lower()}")
    with Image.open(tmp_path / f"out.{format.lower()}") as written:
        difference = np.abs(np.asarray(written)[..., 3].astype(int) - mask)
        assert written.mode == "RGBA" and difference.max() <= (2 if format == "AVIF" else 0)
        if format in ("PNG", "TIFF"):
            assert np.array_equal(np.asarray(written)[..., :3], photo)


def test_transparent_palette_entries_and_colours_become_alpha(photo):
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


# 16 bits


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


def test_gray_beyond_16_bits_is_refused():
    ramp = np.linspace(0, 65535, 64).reshape(8, 8)
    for values in (ramp - 5, ramp * 2, np.where(ramp > 60000, np.nan, ramp), np.where(ramp > 60000, np.inf, ramp)):
        with pytest.raises(UserError, match=r"photo cannot be read: gray values from .* are outside 16 bits"):
            read(tiff(values.astype(np.float32)))


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
def test_deep_colours_keep_their_depth(deep_photo, kind):
    alpha = deep_photo[..., 0]
    page = read(deep_color_files(deep_photo, np.dstack((deep_photo, alpha)))[kind])
    assert page.deep
    assert_lightness(page, lstar(deep_photo))
    if "alpha" in kind:
        assert page.alpha.dtype == np.uint16 and np.array_equal(page.alpha, alpha)
    else:
        assert page.alpha is None


def test_deep_gray_and_colours_with_transparency(deep_photo):
    gray, alpha = deep_photo[..., 0], deep_photo[..., 1]
    page = read(png(np.dstack((gray, alpha)), 4))
    assert page.deep and np.array_equal(page.alpha, alpha)
    assert_lightness(page, lstar(gray))
    page = read(png(gray, 0, chunk(b"tRNS", struct.pack(">H", gray[3, 4]))))
    assert np.array_equal(page.alpha, np.where(gray == gray[3, 4], 0, 255))
    page = read(png(deep_photo, 2, chunk(b"tRNS", struct.pack(">3H", *deep_photo[3, 4]))))
    assert np.argwhere(page.alpha == 0).tolist() == [[3, 4]]
    assert_lightness(page, lstar(deep_photo))


def test_deep_colours_in_planes_are_refused(deep_photo):
    with pytest.raises(UserError, match="photo is a TIFF of 16-bit colours in separate planes"):
        read(tiff(deep_photo.transpose(2, 0, 1).copy(), photometric="rgb", planarconfig="separate"))


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("channels", [3, 4])
def test_deep_colours_are_written_exactly(deep_photo, tmp_path, suffix, channels):
    assert holds_16_bits(Path(f"a.{suffix}")) and not holds_16_bits(Path("a.JPG"))
    alpha = deep_photo[..., 2].copy() if channels == 4 else None
    page = Page(torch.zeros(1, 1, 96, 128), alpha, deep=True, metadata={"dpi": (300.0, 300.0)})
    path = tmp_path / f"photo.{suffix}"
    write_pages([page], [deep_photo], path)
    expected = deep_photo if channels == 3 else np.dstack((deep_photo, alpha))
    pixels = decode_png(path.read_bytes()) if suffix == "png" else tifffile.imread(path)
    assert pixels.dtype == np.uint16 and np.array_equal(pixels, expected)
    with Image.open(path) as image:
        assert np.allclose([float(value) for value in image.info["dpi"]], 300, atol=0.1)
    assert_lightness(read(path), lstar(deep_photo))


def test_depths_are_converted_where_the_format_or_the_alpha_needs_it(photo, deep_photo, mask, tmp_path):
    shape = torch.zeros(1, 1, 96, 128)
    write_pages([Page(shape, mask, deep=True)], [deep_photo], tmp_path / "a.png")
    assert np.array_equal(read(tmp_path / "a.png").alpha, mask.astype(np.uint16) * 257)
    write_pages([Page(shape, mask.astype(np.uint16) * 257 + 128)], [photo], tmp_path / "b.png")
    with Image.open(tmp_path / "b.png") as image:
        assert np.array_equal(np.asarray(image)[..., 3], mask)
    write_pages([Page(shape)], [deep_photo], tmp_path / "c.ppm")
    with Image.open(tmp_path / "c.ppm") as image:
        assert np.abs(np.asarray(image) - deep_photo / 257).max() <= 0.5


# Orientation


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
        assert page.metadata["dpi"] == pytest.approx((150, 300) if orientation >= 5 else (300, 150), abs=0.1)
    deep = read(tiff(deep_photo, photometric="rgb", extratags=[(ORIENTATION, "H", 1, orientation, True)]))
    assert_lightness(deep, upright(lstar(deep_photo).astype(np.float32)))
    assert_exif(written_exif(read(saved(photo, "JPEG", exif=exif))), upright(mask).shape[::-1])


# Colour profiles


def fixed(*values):
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def profile(space, connection, tags, kind=b"mntr"):
    """An ICC profile (version 2.4) with the tags it needs beside `tags`."""
    tags = tags | {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 2) + b"a\0" + bytes(78),
        b"cprt": b"text" + bytes(4) + b"none\0",
        b"wtpt": xyz(0.9642, 1, 0.8249),
    }
    index, content, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, tag in tags.items():
        index += name + struct.pack(">II", start + len(content), len(tag))
        content += tag + bytes(-len(tag) % 4)
    header = struct.pack(">I4xI", start + len(content), 0x02400000) + kind + space + connection
    header += bytes(12) + b"acsp" + bytes(28) + fixed(0.9642, 1, 0.8249)
    return header.ljust(128, b"\0") + index + content


def xyz(*values):
    return b"XYZ " + bytes(4) + fixed(*values)


def gamma(value):
    """A curve and the exponent it stands for."""
    exponent = round(value * 256)
    return b"curv" + bytes(4) + struct.pack(">IH", 1, exponent), exponent / 256


def matrix_profile(primaries, exponent):
    """An RGB profile and its luminance, adapted to D65, as a function of RGB in [0, 1].

    `primaries` are the x, y of red, green and blue under a D65 white; they are adapted to the profile's D50.
    """
    columns = np.array([(x / y, 1, (1 - x - y) / y) for x, y in primaries]).T
    columns = columns * np.linalg.solve(columns, (0.95047, 1, 1.08883))  # of XYZ under D65; white is R = G = B = 1
    cone = np.array(((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296)))  # Bradford's
    ratio = (cone @ (0.9642, 1, 0.8249)) / (cone @ (0.95047, 1, 1.08883))
    adapted = np.linalg.inv(cone) @ np.diag(ratio) @ cone @ columns
    curve, exact = gamma(exponent)
    tags = {name + b"XYZ": xyz(*adapted[:, channel]) for channel, name in enumerate((b"r", b"g", b"b"))}
    tags |= {name + b"TRC": curve for name in (b"r", b"g", b"b")}
    return profile(b"RGB ", b"XYZ ", tags), lambda rgb: rgb**exact @ columns[1]


DISPLAY_P3 = ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06))
ADOBE_RGB = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))


@pytest.mark.parametrize("primaries", [DISPLAY_P3, ADOBE_RGB])
def test_wide_gamut_profiles_are_honoured_and_nothing_is_clipped(photo, deep_photo, primaries):
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
        assert page.notes == [] and "icc" not in "".join(page.metadata)
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


def test_gray_profiles_are_honoured_at_both_depths(photo, deep_photo, mask):
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


def table_profile(space, corners):
    """A profile whose table, with two points a channel, gives the Lab of `corners` (2, 2, ..., 3)."""
    lab = np.asarray(corners, dtype=np.float64)
    channels = lab.ndim - 1
    encoded = np.round(np.stack((lab[..., 0] * 652.8, *((lab[..., n] + 128) * 256 for n in (1, 2))), axis=-1))
    table = b"mft2" + bytes(4) + bytes((channels, 3, 2, 0)) + fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    table += struct.pack(">HH", 2, 2) + struct.pack(">2H", 0, 65535) * channels
    table += encoded.astype(">u2").tobytes() + struct.pack(">2H", 0, 65535) * 3
    return profile(space, b"Lab ", {b"A2B0": table}, kind=b"prtr" if channels == 4 else b"scnr")


def test_cmyk_profiles_are_honoured(photo):
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
        assert "colour profile" in note and reason in note and "sRGB" in note
        assert_lightness(page, lstar(np.asarray(image.convert("RGB"))))


# Pages and pictures


def test_pages_of_a_tiff_stay_pages(real_photos, deep_photo, mask, tmp_path):
    """Of different sizes, kinds and depths, each with its own resolution and text; a small copy is left out."""
    path, gray = tmp_path / "scan.tif", real_photos[3][:50, :, 0]
    with tifffile.TiffWriter(path) as file:
        first = {"resolution": (300, 300), "resolutionunit": "inch", "description": "page 1", "software": False}
        file.write(real_photos[0], photometric="rgb", metadata=None, **first)
        file.write(real_photos[0][::4, ::4].copy(), photometric="rgb", subfiletype=1, metadata=None)
        second = {"resolution": (100, 100), "resolutionunit": "centimeter", "description": "page 2"}
        file.write(gray, metadata=None, iccprofile=profile(b"GRAY", b"XYZ ", {b"kTRC": gamma(1.8)[0]}), **second)
        file.write(np.dstack((deep_photo, deep_photo[..., 0])), photometric="rgb", extrasamples=["unassalpha"])
    pages = read_pages(path, "scan.tif")
    assert [page.deep for page in pages] == [False, False, True]
    assert_lightness(pages[0], lstar(real_photos[0]))
    assert_lightness(pages[1], lstar_of_luminance((gray / 255) ** gamma(1.8)[1]), PROFILE_TOLERANCE)
    assert_lightness(pages[2], lstar(deep_photo))
    rgbs = [real_photos[5], real_photos[6][:50].copy(), deep_photo]
    write_pages(pages, iter(rgbs), tmp_path / "out.tiff")
    with tifffile.TiffFile(tmp_path / "out.tiff") as file:
        pixels = [page.asarray() for page in file.pages]
        assert [file.pages[n].tags["ImageDescription"].value for n in (0, 1)] == ["page 1", "page 2"]
    assert np.array_equal(pixels[0], rgbs[0]) and np.array_equal(pixels[1], rgbs[1])
    assert np.array_equal(pixels[2], np.dstack((deep_photo, deep_photo[..., 0])))
    with Image.open(tmp_path / "out.tiff") as image:
        assert image.n_frames == 3 and tuple(map(float, image.info["dpi"])) == (300, 300)
        image.seek(1)
        assert tuple(map(float, image.info["dpi"])) == (254, 254) and "icc_profile" not in image.info
    with pytest.raises(UserError, match=r"3 pages need a TIFF; \.jpg holds one"):
        write_pages(pages, rgbs, tmp_path / "out.jpg")


def test_a_page_takes_nothing_from_the_others(photo, deep_photo):
    """Not their profile, resolution or palette, of which Pillow keeps the last."""
    gray, palette, icc = photo[..., 0].copy(), Image.fromarray(photo).quantize(16), matrix_profile(ADOBE_RGB, 1.8)[0]
    content, colors = io.BytesIO(), np.zeros((3, 256), dtype=np.uint16)
    colors[:, :16] = np.array(palette.getpalette()[:48]).reshape(16, 3).T * 257
    with tifffile.TiffWriter(content) as file:
        options = {"iccprofile": icc, "resolution": (300, 300), "resolutionunit": "inch"}
        file.write(photo, photometric="rgb", metadata=None, **options)
        file.write(gray, photometric="minisblack", metadata=None)
        file.write(np.asarray(palette), photometric="palette", colormap=colors, metadata=None)
        file.write(deep_photo, photometric="rgb", metadata=None)
        file.write(deep_photo[..., 0].copy(), photometric="minisblack", metadata=None)
    pages = read_pages(content.getvalue(), "photo")
    expected = gray, np.asarray(palette.convert("RGB")), deep_photo, deep_photo[..., 0]
    for page, pixels in zip(pages[1:], expected, strict=True):
        assert_lightness(page, lstar(pixels))
        assert "dpi" not in page.metadata and not page.notes


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "AVIF"])
def test_of_an_animation_the_first_picture_is_read_and_the_rest_is_said(real_photos, format):
    skip_without(format)
    frames = [Image.fromarray(photo) for photo in real_photos[:3]]
    content = saved(frames[0], format, save_all=True, append_images=frames[1:], duration=100)
    with Image.open(io.BytesIO(content)) as image:
        assert image.n_frames == 3
        expected = lstar(np.asarray(image.convert("RGB")))
    page = read(content)
    assert page.notes == ["only the first of its 3 pictures is coloured"]
    assert_lightness(page, expected)
    assert np.abs(expected - lstar(real_photos[0])).mean() < 2


def test_previews_in_a_jpeg_are_no_pictures_of_their_own(real_photos):
    frames = [Image.fromarray(photo) for photo in real_photos[:2]]
    content = saved(frames[0], "MPO", save_all=True, append_images=frames[1:])
    page = read(content)
    assert page.notes == [] and np.abs(lightness(page) - lstar(real_photos[0])).mean() < 2


# What cannot be read


def refused(content, name="holiday.jpg", **options):
    with pytest.raises(UserError) as error:
        read_pages(content, name, **options)
    text = str(error.value)
    assert name in text and "\n" not in text
    return text


@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}),
        ("WEBP", {}), ("GIF", {}), ("BMP", {}), ("PPM", {}), ("JPEG2000", {}), ("AVIF", {}),
    ],
)  # fmt: skip
def test_files_cut_short_are_refused(photo, format, options):
    skip_without(format)
    content = saved(photo, format, **options)
    read(content)
    for kept in (0.95, 0.5, 0.1):
        assert "read" in refused(content[: int(kept * len(content))])


def test_damaged_content_is_refused(photo, deep_photo):
    content = bytearray(saved(photo, "PNG"))
    content[len(content) // 2] ^= 255
    assert "cannot be read" in refused(bytes(content))
    content = png(deep_photo, 2)
    assert "cannot be read" in refused(content[: len(content) // 2])


def test_what_is_no_photo_is_refused(photo, tmp_path):
    assert refused(b"") == "holiday.jpg is empty"
    assert "not a photo" in refused(b"this is no photo")
    assert "not a photo" in refused(saved(photo, "EPS"))
    assert "not a photo" in refused(saved(photo, "PDF"))
    assert refused(tmp_path / "gone.jpg") == "there is no photo holiday.jpg"
    assert "is a folder" in refused(tmp_path)


def test_photos_beyond_the_limit_are_refused_and_pillows_own_limit_is_left_alone(photo, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert read(saved(photo, "PNG")).lightness.shape == (1, 1, 96, 128)  # 12 times what Pillow would open
    assert Image.MAX_IMAGE_PIXELS == 1000
    text = refused(saved(photo, "PNG"), max_pixels=12_287)
    assert "128x96" in text and "--max-pixels" in text
    assert len(read_pages(saved(photo, "PNG"), "photo", max_pixels=12_288)) == 1
    huge = bytearray(saved(photo, "BMP"))
    struct.pack_into("<ii", huge, 18, 100_000, 50_000)  # as its header says
    text = refused(bytes(huge))
    assert "100000x50000" in text and "5000.0 million" in text and "500 million" in text
    pages = saved(photo, "TIFF", save_all=True, append_images=[Image.fromarray(photo)] * 2)
    assert "0.0 million pixels" in refused(pages, max_pixels=30_000)  # the three pages together
    assert Image.MAX_IMAGE_PIXELS == 1000


LITTLE_MEMORY = """
import os, resource, sys
from pathlib import Path
from pix2pix.photofile.read import read_pages
used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
resource.setrlimit(resource.RLIMIT_AS, (used + 100_000_000, resource.RLIM_INFINITY))
try:
    read_pages(sys.stdin.buffer.read(), "photo")  # 64 MB decoded, 256 MB of lightness
except MemoryError:
    sys.exit(17)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
def test_too_little_memory_is_no_fault_of_the_photo():
    content = saved(np.zeros((8000, 8000), dtype=np.uint8), "PNG")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    child = subprocess.run([sys.executable, "-c", LITTLE_MEMORY], input=content, env=environment, check=False)
    assert child.returncode == 17


@pytest.mark.parametrize("fraction", [0.3, 0.6, 0.9])
def test_damaged_exif_does_not_stop_a_photo(photo, fraction, tmp_path):
    exif = exif_with_everything()
    damaged = exif[:14] + bytes(np.random.default_rng(0).integers(0, 256, len(exif) - 14, dtype=np.uint8))
    for content in (damaged, exif[: int(fraction * len(exif))]):
        page = read(saved(photo, "PNG", exif=content))
        assert_lightness(page, lstar(photo))
        for name in ("a.jpg", "a.png", "a.tif"):
            write_pages([page], [photo], tmp_path / name)
            assert np.abs(lightness(read(tmp_path / name)) - lstar(photo)).mean() < 1


def test_heic_is_read_or_says_what_it_needs(photo, tmp_path):
    head = struct.pack(">I", 24) + b"ftypheic" + bytes(4) + b"mif1heic"
    try:
        import pillow_heif
    except ImportError:
        assert 'pip install -e ".[heic]"' in refused(head, "IMG_1.HEIC")
        with pytest.raises(UserError, match=r"photos cannot be written as \.heic"):
            write_pages([Page(torch.zeros(1, 1, 96, 128))], [photo], tmp_path / "a.heic")
        return
    assert "not a photo that can be read" in refused(head, "IMG_1.HEIC")
    pillow_heif.register_heif_opener()
    content = saved(photo, "HEIF", quality=100, chroma=444, exif=exif_with_everything(6), xmp=XMP)
    page = read(content)
    with Image.open(io.BytesIO(content)) as image:
        assert_lightness(page, lstar(np.asarray(image.convert("RGB"))))
    write_pages([page], [photo], tmp_path / "a.heic")
    with Image.open(tmp_path / "a.heic") as image:
        assert image.getexif()[271] == "Kodak" and image.getexif().get(ORIENTATION, 1) == 1
        assert peak_signal_noise_ratio(photo, np.asarray(image)) > 35


# What is written


def jpeg_with_everything(photo):
    """A JPEG turned by 90 degrees, with EXIF, its thumbnail, XMP, IPTC, a comment, a resolution and a profile."""
    thumbnail = saved(photo[::4, ::4], "JPEG")
    exif = exif_with_everything(6)
    body = bytearray(exif[6:])
    order = "<" if body[:2] == b"II" else ">"
    start, end = struct.unpack_from(f"{order}I", body, 4)[0], len(body) + len(body) % 2
    count = struct.unpack_from(f"{order}H", body, start)[0]
    struct.pack_into(f"{order}I", body, start + 2 + 12 * count, end)  # where the next directory is
    body += bytes(end - len(body)) + struct.pack(f"{order}H", 3)
    for tag, kind, value in ((259, 3, 6), (513, 4, end + 2 + 36 + 4), (514, 4, len(thumbnail))):
        body += struct.pack(f"{order}HHI", tag, kind, 1) + struct.pack(
            f"{order}{'HH' if kind == 3 else 'I'}", *((value, 0) if kind == 3 else (value,))
        )
    body += bytes(4) + thumbnail
    resource = b"8BIM" + struct.pack(">HHI", 0x0404, 0, len(IPTC)) + IPTC + bytes(len(IPTC) % 2)
    extra = b""
    for marker, segment in ((0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP), (0xED, b"Photoshop 3.0\0" + resource)):
        extra += struct.pack(">BBH", 0xFF, marker, len(segment) + 2) + segment
    icc, _ = matrix_profile(ADOBE_RGB, 2.2)
    options = {"dpi": (240, 240), "comment": "a mill, é".encode(), "icc_profile": icc, "extra": extra, "quality": 95}
    content = saved(photo, "JPEG", exif=b"Exif\0\0" + bytes(body), **options)
    with Image.open(io.BytesIO(content)) as image:
        assert image.getexif().get_ifd(THUMBNAIL)[514] == len(thumbnail)
    return content


@pytest.fixture(scope="module")
def full_page(photo):
    """The page of a JPEG with everything, and what its network may have made of it (128, 96, 3)."""
    page = read(jpeg_with_everything(photo))
    return page, np.ascontiguousarray(np.rot90(photo, -1))


def xmp_of(image):
    content = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    return content.encode() if isinstance(content, str) else content


UPRIGHT_XMP = XMP.replace(b'Orientation="6"', b'Orientation="1"')


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp", "avif"])
def test_metadata_is_kept(full_page, tmp_path, suffix):
    skip_without(suffix.upper())
    page, rgb = full_page
    path = tmp_path / f"out.{suffix}"
    write_pages([page], [rgb], path)
    with Image.open(path) as image:
        image.load()
        assert image.size == (96, 128) and image.mode == "RGB" and "icc_profile" not in image.info
        assert_exif(image.getexif(), (96, 128))
        if suffix in ("png", "tif"):
            assert np.array_equal(np.asarray(image), rgb)
        else:
            assert peak_signal_noise_ratio(rgb, np.asarray(image)) > 35
        assert not image.getexif().get_ifd(THUMBNAIL)  # it would still be gray
        assert xmp_of(image) == UPRIGHT_XMP
        if suffix in ("jpg", "png", "tif"):
            assert np.allclose([float(value) for value in image.info["dpi"]], 240, atol=0.1)
        if suffix == "jpg":
            assert image.info["comment"] == "a mill, é".encode() and image.info["photoshop"][0x0404] == IPTC
            assert JpegImagePlugin.get_sampling(image) == 0  # 4:4:4
        if suffix == "png":
            assert image.text["Comment"] == "a mill, é"
    if suffix == "tif":
        with tifffile.TiffFile(path) as file:
            tags = file.pages[0].tags
            assert tags[33723].value == IPTC and tags["Make"].value == "Kodak"
            assert tags["ExifTag"].value["DateTimeOriginal"] == "1931:05:06 07:08:09"
    again = read(path)
    assert again.notes == []
    if suffix in ("jpg", "tif"):
        assert again.metadata.keys() >= page.metadata.keys() - {"text"}
    assert again.metadata["xmp"] == UPRIGHT_XMP


def test_metadata_of_a_png_is_kept_at_both_depths(photo, deep_photo, tmp_path):
    chunks = PngImagePlugin.PngInfo()
    chunks.add_text("Author", "A. Adams")
    chunks.add_text("Long", "mill " * 500, zip=True)
    chunks.add_itxt("Titre", "Le moulin, été", "fr", "Titel")
    chunks.add_itxt("XML:com.adobe.xmp", XMP.decode())
    page = read(saved(photo, "PNG", pnginfo=chunks, dpi=(300, 300), exif=exif_with_everything()))
    for rgb, name in ((photo, "a.png"), (deep_photo, "b.png")):
        write_pages([page], [rgb], tmp_path / name)
        with Image.open(tmp_path / name) as image:
            image.load()
            assert image.text["Author"] == "A. Adams" and image.text["Long"] == "mill " * 500
            assert image.text["Titre"] == "Le moulin, été" and image.text["Titre"].lang == "fr"
            assert xmp_of(image) == UPRIGHT_XMP
            assert_exif(image.getexif(), (128, 96))
            assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
            assert set(image.text) == {"Author", "Long", "Titre", "XML:com.adobe.xmp"}


def test_metadata_of_a_tiff_is_kept_without_its_structure(photo, deep_photo, tmp_path):
    content = saved(photo, "TIFF", exif=exif_with_everything(), dpi=(600, 600))
    page = read(content)
    assert_exif(written_exif(page), (128, 96))
    assert not set(written_exif(page)) & {256, 257, 258, 259, 262, 273, 277, 278, 279, 317}
    for rgb, name in ((photo, "a.jpg"), (deep_photo, "b.tif")):
        write_pages([page], [rgb], tmp_path / name)
        with Image.open(tmp_path / name) as image:
            assert_exif(image.getexif(), (128, 96))
            assert tuple(map(float, image.info["dpi"])) == (600, 600)


def test_what_a_format_cannot_hold_is_left_out(full_page, mask, tmp_path):
    page, rgb = full_page
    page = Page(page.lightness, np.rot90(mask, -1), metadata=page.metadata | {"text": {"Title": "a mill"}})
    for name in ("a.jpg", "a.bmp", "a.ppm", "a.gif"):
        write_pages([page], [rgb], tmp_path / name)
        with Image.open(tmp_path / name) as image:
            assert image.size == (96, 128) and "A" not in image.mode and "transparency" not in image.info
            assert np.abs(np.asarray(image.convert("RGB")).astype(int) - rgb).mean() < 6
    assert page.notes == [f"its transparency is left out: {name} holds none" for name in ("JPEG", "BMP", "PPM", "GIF")]
    with Image.open(tmp_path / "a.bmp") as image:
        assert image.info["dpi"] == pytest.approx((240, 240), abs=0.1)


def test_metadata_too_long_for_a_jpeg_is_left_out(photo, tmp_path):
    exif = Image.Exif()
    exif[270] = "mill " * 20_000
    page = read(saved(photo, "PNG", exif=exif))
    page.metadata |= {"xmp": XMP + bytes(70_000), "iptc": IPTC + bytes(70_000)}
    write_pages([page], [photo], tmp_path / "a.jpg")
    with Image.open(tmp_path / "a.jpg") as image:
        assert not image.getexif() and not image.info.keys() & {"xmp", "photoshop"}
    write_pages([page], [photo], tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert len(image.getexif()[270]) == 100_000


def test_large_photos_are_written_row_by_row(tmp_path, deep_photo):
    large = np.tile(deep_photo, (12, 10, 1))  # 1,152 x 1,280: two strips
    write_pages([Page(torch.zeros(1, 1, *large.shape[:2]), deep=True)], [large], tmp_path / "a.png")
    assert np.array_equal(decode_png((tmp_path / "a.png").read_bytes()), large)


@pytest.mark.parametrize("suffix", [".txt", "", ".eps", ".pdf"])
def test_other_suffixes_are_refused(photo, tmp_path, suffix):
    with pytest.raises(UserError, match="photos cannot be written as"):
        write_pages([Page(torch.zeros(1, 1, 96, 128))], [photo], tmp_path / f"photo{suffix}")
    assert not list(tmp_path.iterdir())
