"""What of a photo survives colorizing beside its pixels."""

import numpy as np
import pytest
import tifffile
import torch
from photo_files import (
    IPTC,
    THUMBNAIL,
    UPRIGHT_XMP,
    XMP,
    assert_exif,
    exif_with_everything,
    jpeg_with_everything,
    read,
    saved,
    skip_without,
    written_exif,
    xmp_of,
)  # fmt: skip
from PIL import Image, JpegImagePlugin, PngImagePlugin
from skimage.metrics import peak_signal_noise_ratio

from pix2pix.decoding.tags import EXIF as EXIF_IFD
from pix2pix.decoding.tags import Directory, Tag, read_exif, write_exif
from pix2pix.photofile.metadata import Metadata
from pix2pix.photofile.read import Page
from pix2pix.photofile.write import write_pages
from pix2pix.photofile.write_tiff import write_tiff


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


TEXTS = {270: "Une été à Orléans".encode(), 315: "André Kertész".encode("latin-1"), 33432: "© 1931 Zoë".encode()}


def exif_with_text(order):
    main, camera = Directory(order), Directory(order)
    for tag, text in TEXTS.items():
        main[tag] = Tag(2, len(text) + 1, text + b"\0")
    main[40093] = Tag(1, 12, "Zoë".encode("utf-16-le") + bytes(6))  # Windows' author
    camera[0x9286] = Tag(7, 12, b"UNICODE\0Z\0\xeb\0")
    camera[0xA430] = Tag(2, 6, b"Zo\xc3\xab\0\0")  # the camera's owner
    return write_exif(main, {EXIF_IFD: camera})


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("source", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_text_that_is_not_ascii_keeps_its_bytes(photo, tmp_path, source, order):
    skip_without(source)
    exif = exif_with_text(order)
    if source == "TIFF":
        (path := tmp_path / "in.tif").write_bytes(b"")
        main, inner = read_exif(exif)
        main.set(0x0112, 3, 1)
        write_tiff([Page(torch.zeros(1, 1, 96, 128), metadata=Metadata(exif=write_exif(main, inner)))], [photo], path)
        content = path.read_bytes()
    else:
        content = saved(photo, source, exif=exif)
    page = read(content)
    assert page.notes == []
    for name in ("out.jpg", "out.png", "out.webp", "out.tif", "out.avif"):
        skip_without(name[4:].upper())
        write_pages([page], [photo], tmp_path / name)
        written = (tmp_path / name).read_bytes()
        assert all(text in written for text in TEXTS.values())
        main, inner = read_exif(read(written).metadata.exif)
        assert {tag: main[tag].data.rstrip(b"\0") for tag in TEXTS} == TEXTS
        assert main[40093].data == "Zoë".encode("utf-16-le") + bytes(6)
        assert inner[EXIF_IFD][0x9286].data == b"UNICODE\0Z\0\xeb\0"
        assert inner[EXIF_IFD][0xA430].data == b"Zo\xc3\xab\0\0"


def test_a_jpegs_comment_keeps_its_bytes(photo, tmp_path):
    for comment in ("un été".encode(), "un été".encode("latin-1")):
        page = read(saved(photo, "JPEG", comment=comment))
        write_pages([page], [photo], tmp_path / "a.jpg")
        with Image.open(tmp_path / "a.jpg") as image:
            assert image.info["comment"] == comment
        write_pages([page], [photo], tmp_path / "a.png")
        with Image.open(tmp_path / "a.png") as image:
            assert image.text["Comment"] == "un été"


def test_exif_that_imagemagick_writes_as_text(photo):
    content = exif_with_text("<")
    chunks = PngImagePlugin.PngInfo()
    words = content.hex()
    lines = "\n".join(words[start : start + 72] for start in range(0, len(words), 72))
    chunks.add_text("Raw profile type exif", f"\nexif\n{len(content):8d}\n{lines}\n")
    page = read(saved(photo, "PNG", pnginfo=chunks))
    assert read_exif(page.metadata.exif)[0][315].data == TEXTS[315] + b"\0" and page.metadata.text == {}
