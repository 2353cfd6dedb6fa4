"""Colorized photos written: pixels, depth, transparency, and what a format cannot hold."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from photo_files import (
    IPTC,
    XMP,
    assert_lightness,
    decode_png,
    jpeg_with_everything,
    lstar,
    read,
    saved,
    skip_without,
)  # fmt: skip
from PIL import Image

from pix2pix.errors import UserError
from pix2pix.photofile.metadata import Metadata
from pix2pix.photofile.read import Page
from pix2pix.photofile.write import holds_16_bits, write_pages


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


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("channels", [3, 4])
def test_deep_colors_are_written_exactly(deep_photo, tmp_path, suffix, channels):
    assert holds_16_bits(Path(f"a.{suffix}")) and not holds_16_bits(Path("a.JPG"))
    alpha = deep_photo[..., 2].copy() if channels == 4 else None
    page = Page(torch.zeros(1, 1, 96, 128), alpha, deep=True, metadata=Metadata(dpi=(300.0, 300.0)))
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
    page = Page(shape, deep=True)
    write_pages([page], [deep_photo], tmp_path / "d.jpg")
    assert page.notes == ["written with 8 bits a channel: JPEG holds no more here"]


@pytest.fixture(scope="module")
def full_page(photo):
    """The page of a JPEG with everything, and what its network may have made of it (128, 96, 3)."""
    page = read(jpeg_with_everything(photo))
    return page, np.ascontiguousarray(np.rot90(photo, -1))


def test_what_a_format_cannot_hold_is_left_out(full_page, mask, tmp_path):
    page, rgb = full_page
    page = Page(page.lightness, np.rot90(mask, -1), metadata=replace(page.metadata, text={"Title": "a mill"}))
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
    page.metadata.xmp, page.metadata.iptc = XMP + bytes(70_000), IPTC + bytes(70_000)
    write_pages([page], [photo], tmp_path / "a.jpg")
    with Image.open(tmp_path / "a.jpg") as image:
        assert not image.getexif() and not image.info.keys() & {"xmp", "photoshop"}
    assert page.notes == ["its EXIF and XMP and IPTC left out or cut: longer than a JPEG can hold"]
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
