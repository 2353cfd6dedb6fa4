"""TIFFs of every depth, byte order and layout: the pixels of an array that was written, also as training photos."""

import io
import struct

import numpy as np
import pytest
import tifffile
from photo_files import assert_lightness, lightness, lstar, read, saved, tiff
from PIL import Image, UnidentifiedImageError

from pix2pix.data.photos import read_photo
from pix2pix.decoding.measure import lightness_of
from pix2pix.errors import UserError
from pix2pix.photofile.read import read_pages

GRAY = np.tile(np.arange(128, dtype=np.uint8), (96, 1))
ALPHA = np.add.outer(np.arange(96), np.arange(128)).astype(np.uint16) * 290
UNASSOCIATED, ASSOCIATED, UNSPECIFIED = "unassalpha", "assocalpha", "unspecified"


def trained(content, tmp_path):
    """The pixels (H, W, 3) that training sees."""
    path = tmp_path / "trained.tif"
    path.write_bytes(content)
    return np.asarray(read_photo(path)).astype(int)


def assert_in_library(content, tmp_path, expected, tolerance):
    """What the library measures in a Pillow image of the file, not decoded yet, where Pillow can open it."""
    path = tmp_path / "opened.tif"
    path.write_bytes(content)
    try:
        image = Image.open(path)
    except UnidentifiedImageError:
        return
    with image:
        measured = (lightness_of(image)[0, 0].numpy().astype(np.float64) + 1) * 50
    assert np.abs(measured - expected).max() < tolerance


def packed(values, bits):
    """(H, W) whole numbers as rows of so many bits each, the highest first."""
    each = (values[..., None].astype(np.uint64) >> np.arange(bits - 1, -1, -1, dtype=np.uint64)) & 1
    return np.packbits(each.astype(np.uint8).reshape(len(values), -1), axis=1)


def with_bits(rows, width, bits, **options):
    """A gray TIFF of 8-bit rows, changed to say that they are `width` pixels of so many bits."""
    content = tiff(rows, **options)
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        tags = {name: file.pages[0].tags[name].valueoffset for name in ("ImageWidth", "BitsPerSample")}
        order = file.byteorder
    changed = bytearray(content)
    type = file.pages[0].tags["ImageWidth"].dtype
    struct.pack_into(order + ("H" if type == 3 else "I"), changed, tags["ImageWidth"], width)
    struct.pack_into(order + "H", changed, tags["BitsPerSample"], bits)
    return bytes(changed)


def turned(pixels, orientation):
    """What EXIF's orientation makes of a picture, by numpy's own words."""
    ways = {
        1: lambda x: x, 2: np.fliplr, 3: lambda x: np.rot90(x, 2), 4: np.flipud, 5: lambda x: np.rot90(np.fliplr(x)),
        6: lambda x: np.rot90(x, -1), 7: lambda x: np.rot90(np.fliplr(x), -1), 8: np.rot90,
    }  # fmt: skip
    return ways[orientation](pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_from_a_path_and_on_later_pages(tmp_path, deep_photo, orientation):
    path, tag = tmp_path / "f.tif", [(274, 3, 1, orientation, True)]
    deep = deep_photo[:40, :60]
    with tifffile.TiffWriter(path) as file:
        file.write(GRAY, photometric="minisblack", metadata=None, extratags=tag)
        file.write(GRAY[:, ::2].copy(), photometric="minisblack", metadata=None, extratags=tag)
        file.write(deep, photometric="rgb", metadata=None, extratags=tag)
    pages = read_pages(path, "f.tif")
    expected = [turned(pixels, orientation) for pixels in (GRAY, GRAY[:, ::2], deep)]
    for page, pixels in zip(pages, expected, strict=True):
        assert_lightness(page, lstar(pixels))
    assert np.array_equal(np.asarray(read_photo(path))[..., 1], expected[0])
    with Image.open(path) as image:
        for number, pixels in enumerate(expected):
            image.seek(number)
            assert np.abs((lightness_of(image)[0, 0].numpy() + 1) * 50 - lstar(pixels)).max() < 1e-3


LAYOUTS = [
    {"byteorder": order, **storage, **packing}
    for order in "<>"
    for storage in ({"rowsperstrip": 7}, {"rowsperstrip": 96}, {"tile": (32, 16)})
    for packing in ({}, {"compression": "zlib"}, {"compression": "zlib", "predictor": True}, {"bigtiff": True})
]


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_deep_colors_in_every_layout(tmp_path, deep_photo, planar):
    photo = deep_photo[:45, :77]
    stored = photo if planar == "contig" else photo.transpose(2, 0, 1).copy()
    for layout in LAYOUTS:
        content = tiff(stored, photometric="rgb", planarconfig=planar, **layout)
        page = read(content)
        assert page.deep
        assert_lightness(page, lstar(photo))
        assert np.abs(trained(content, tmp_path) - photo / 257).max() <= 0.5
    assert_in_library(content, tmp_path, lstar(photo), 1e-3)


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", "tiff_adobe_deflate"])
@pytest.mark.parametrize("kind", ["gray", "deep gray", "color"])
def test_what_pillow_packs(deep_photo, compression, kind):
    photo = {"gray": GRAY, "deep gray": deep_photo[..., 0].copy(), "color": (deep_photo >> 8).astype(np.uint8)}[kind]
    predictors = [1] if compression == "packbits" else [1, 2]
    for predictor in predictors:
        content = saved(photo, "TIFF", compression=compression, tiffinfo={317: predictor})
        assert_lightness(read(content), lstar(photo))


def test_floats_with_their_predictor():
    values = np.linspace(0, 1, 96 * 128, dtype=np.float32).reshape(96, 128)
    content = saved(values, "TIFF", compression="tiff_adobe_deflate", tiffinfo={317: 3})
    assert_lightness(read(content), lstar(values))


@pytest.mark.parametrize("bits", [1, 2, 4, 6, 10, 12, 14, 15])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_white_is_what_the_bits_say(tmp_path, bits, photometric):
    white = 2**bits - 1
    values = np.random.default_rng(0).integers(0, white + 1, (24, 32))
    values[0, 0] = white // 3  # and no white at all
    values = np.minimum(values, max(white * 2 // 3, 1))
    stored = white - values if photometric == "miniswhite" else values
    for options in ({}, {"compression": "zlib"}, {"rowsperstrip": 5}, {"byteorder": ">"}):
        content = with_bits(packed(stored, bits), 32, bits, photometric=photometric, **options)
        expected = lstar(values / white)
        tolerance = 0.25 if bits == 6 else 2e-3  # 6 bits become 8
        assert_lightness(read(content), expected, tolerance)
        assert_in_library(content, tmp_path, expected, tolerance)
        assert np.abs(trained(content, tmp_path)[..., 0] - values / white * 255).max() <= 0.51


def test_white_is_zero_at_every_depth(tmp_path, deep_photo):
    gray = deep_photo[..., 1].copy()
    for values, white in (
        (gray, 65535),
        (gray.astype(np.float32) / 65535, 1),
        (gray.astype(np.uint32) << 16, 2**32 - 1),
    ):
        content = tiff(white - values, photometric="miniswhite")
        assert_lightness(read(content), lstar(gray), 2e-3)
        assert_in_library(content, tmp_path, lstar(gray), 2e-3)
        assert np.abs(trained(content, tmp_path)[..., 0] - gray / 257).max() <= 1


def test_32_bits_in_their_several_ranges(tmp_path, deep_photo):
    gray = deep_photo[..., 0].copy()
    gray[0, 0] = 65535
    ranges = {
        "all of uint32": gray.astype(np.uint32) * 65537,
        "16 bits in uint32": gray.astype(np.uint32),
        "16 bits in int32": gray.astype(np.int32),
        "all of int32": (gray / 65535 * (2**31 - 1)).astype(np.int32),
        "all of int16": (gray // 2).astype(np.int16),
    }
    for name, values in ranges.items():
        for order in "<>":
            content = tiff(values, byteorder=order)
            assert_lightness(read(content), lstar(gray), 0.02 if name == "all of int16" else 2e-3)
            assert np.abs(trained(content, tmp_path)[..., 0] - gray / 257).max() <= 1


@pytest.mark.parametrize("white", [1, 255, 65535])
def test_floats_a_hair_outside_are_clipped(tmp_path, white):
    values = GRAY.astype(np.float64) / 255
    values[0, :2] = 1.004, -0.003
    values[1, :2] = 1.19, -0.1
    expected = lstar(values.clip(0, 1))
    for type in (np.float16, np.float32, np.float64) if white < 65535 else (np.float32,):
        content = tiff((values * white).astype(type))
        tolerance = 0.1 if type == np.float16 else 2e-3
        assert_lightness(read(content), expected, tolerance)
        assert_in_library(content, tmp_path, expected, tolerance)
    colors = tiff(np.repeat((values * white).astype(np.float32)[..., None], 3, axis=2), photometric="rgb")
    assert_lightness(read(colors), expected, 2e-3)
    assert np.abs(trained(colors, tmp_path) - (values.clip(0, 1) * 255)[..., None]).max() <= 1


def test_values_that_no_photo_has_are_refused():
    ramp = np.linspace(0, 65535, 64, dtype=np.float32).reshape(8, 8)
    for values, reason in (
        (ramp * 2, "its values go up to 131070; known are those up to 1, 255 and 65535"),
        (ramp - 60000, "its values go from -60000 to 5535, which is no range of a photo"),
        (ramp / 32768 - 1, "its values go from -1 to 0.999969, which is no range of a photo"),
        (np.where(ramp > 60000, np.nan, ramp), r"some of its values are not numbers \(NaN or infinite\)"),
        (np.where(ramp > 60000, np.inf, ramp), r"some of its values are not numbers \(NaN or infinite\)"),
        ((ramp - 60000).astype(np.int32), "its values go from -60000 to 5535"),
    ):
        with pytest.raises(UserError, match=f"^photo cannot be read: {reason}"):
            read(tiff(values))


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("extra", [UNASSOCIATED, ASSOCIATED, UNSPECIFIED])
def test_alpha_keeps_its_depth(tmp_path, deep_photo, depth, channels, extra):
    white = 2**depth - 1
    color = (deep_photo if depth == 16 else deep_photo >> 8).astype(np.int64)[..., :channels]
    alpha = (ALPHA if depth == 16 else ALPHA >> 8).astype(np.int64)[..., None]
    alpha = np.maximum(alpha, white // 4)  # under a fainter one, color is lost when it is multiplied
    stored = (color * alpha + white // 2) // white if extra == ASSOCIATED else color
    pixels = np.concatenate((stored, alpha), axis=2).astype(np.uint16 if depth == 16 else np.uint8)
    photometric = "rgb" if channels == 3 else "minisblack"
    for order, planar in (("<", "contig"), (">", "contig"), ("<", "separate")):
        made = pixels if planar == "contig" else pixels.transpose(2, 0, 1).copy()
        options = {"byteorder": order, "planarconfig": planar}
        content = tiff(made, photometric=photometric, extrasamples=[extra], **options)
        page = read(content)
        assert page.deep == (depth == 16)
        expected = lstar(color.squeeze() / white)
        off = 2.0 if depth == 8 and extra == ASSOCIATED else 0.02
        assert np.abs(lightness(page) - expected).max() < off
        assert np.abs(trained(content, tmp_path) - color / white * 255).max() <= (3 if off == 2.0 else 1)
        if extra == UNSPECIFIED:
            (note,) = page.notes
            assert page.alpha is None and "left out" in note
        else:
            assert page.notes == [] and np.array_equal(page.alpha, alpha[..., 0])


def test_cmyk_of_both_depths(tmp_path, deep_photo):
    inks = np.dstack((deep_photo, deep_photo[::-1, :, 0]))
    light = 1 - inks / 65535
    rgb = light[..., :3] * light[..., 3:]
    for pixels, off in ((inks, 0.01), ((inks >> 8).astype(np.uint8), 1.5)):
        content = tiff(pixels, photometric="separated")
        assert_lightness(read(content), lstar(rgb), off)
        assert np.abs(trained(content, tmp_path) - rgb * 255).max() <= 2.5


def test_ycbcr_and_palettes_stay_with_pillow(photo, tmp_path):
    converted = Image.fromarray(photo).convert("YCbCr")
    ycbcr, expected = np.asarray(converted), np.asarray(converted.convert("RGB")).astype(int)
    for options in ({}, {"compression": "zlib"}, {"byteorder": ">"}):
        content = tiff(ycbcr, photometric="ycbcr", **options)
        assert np.abs(trained(content, tmp_path) - expected).max() <= 2
        assert np.abs(lightness(read(content)) - lstar(expected.astype(np.uint8))).max() < 1
    palette = saved(Image.fromarray(photo).quantize(32), "TIFF")
    with Image.open(io.BytesIO(palette)) as image:
        assert np.array_equal(trained(palette, tmp_path), np.asarray(image.convert("RGB")))
    fax = saved(Image.fromarray(photo).convert("1"), "TIFF", compression="group4")
    with Image.open(io.BytesIO(fax)) as image:
        assert np.array_equal(trained(fax, tmp_path)[..., 0], np.asarray(image.convert("L")))


def test_pages_that_pillow_reads_behind_one_that_it_does_not(photo, deep_photo):
    content = io.BytesIO()
    gray_alpha = np.dstack((deep_photo[..., 0], ALPHA))
    with tifffile.TiffWriter(content) as file:
        file.write(gray_alpha, photometric="minisblack", extrasamples=[UNASSOCIATED], metadata=None)
        file.write(np.asarray(Image.fromarray(photo).convert("YCbCr")), photometric="ycbcr", metadata=None)
    first, second = read_pages(content.getvalue(), "photo")
    assert_lightness(first, lstar(deep_photo[..., 0]))
    assert np.array_equal(first.alpha, ALPHA)
    assert np.abs(lightness(second) - lstar(photo)).max() < 2


def test_what_is_damaged_is_said(deep_photo):
    whole = tiff(deep_photo, photometric="rgb", compression="zlib", rowsperstrip=8)
    for content in (whole[:3000], whole[: len(whole) // 2], tiff(deep_photo, photometric="rgb")[:9000]):
        with pytest.raises(UserError, match=r"^photo cannot be read: "):
            read(content)
