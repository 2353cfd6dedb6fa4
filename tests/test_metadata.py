"""What of a photo survives colorizing beside its pixels."""

import numpy as np
import pytest
import tifffile
from photo_files import *
from PIL import Image, JpegImagePlugin, PngImagePlugin
from skimage.metrics import peak_signal_noise_ratio

from pix2pix.photofile.write import write_pages


@pytest.fixture(scope="module")
def full_page(photo):
    """The page of a JPEG with everything, and what its network may have made of it (128, 96, 3)."""
    page = read(jpeg_with_everything(photo))
    return page, np.ascontiguousarray(np.rot90(photo, -1))


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
        kept = ("exif", "iptc", "dpi")
        assert all(getattr(again.metadata, name) for name in kept)
    assert again.metadata.xmp == UPRIGHT_XMP


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
