"""Which files are photos: by name, by how they begin, and camera raw files, which are none."""

import io
import struct

import numpy as np
import pytest
import tifffile
from photo_files import saved, skip_without
from PIL import Image

from pix2pix.data.photos import read_photo
from pix2pix.decoding.opening import HEAD, PHOTO_SUFFIXES, begins_as_photo, is_photo_head
from pix2pix.errors import UserError
from pix2pix.photofile.read import format_of, read_pages

PREVIEW = np.full((24, 32, 3), 90, dtype=np.uint8)
SENSOR = np.random.default_rng(0).integers(0, 4096, (96, 128), dtype=np.uint16)
MESSAGE = "is a camera's raw file; develop it first"


def raw_tiff(photometric, *, in_page=False, dng=False, small=True):
    """A TIFF as cameras write it: a small preview, and the sensor's values in a page of their own or inside it."""
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        tags = [(50706, 1, 4, bytes((1, 4, 0, 0)), True)] if dng else []
        options = {"metadata": None, "extratags": tags, "subfiletype": int(small)}
        writer.write(PREVIEW, photometric="rgb", subifds=1 if in_page else 0, **options)
        values = np.dstack((SENSOR,) * 3) if photometric == 34892 else SENSOR
        writer.write(values, photometric=photometric, metadata=None)
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        raw_tiff(32803), raw_tiff(32803, in_page=True), raw_tiff(32803, in_page=True, small=False),
        raw_tiff(34892, in_page=True), raw_tiff("minisblack", in_page=True), raw_tiff("minisblack", dng=True),
    ],
)  # fmt: skip
def test_raw_files_that_are_tiffs_are_refused(tmp_path, content):
    path = tmp_path / "photo.tif"
    path.write_bytes(content)
    for read in (lambda: read_pages(path, "photo.tif"), lambda: read_photo(path)):
        with pytest.raises(UserError, match=rf"photo\.tif {MESSAGE}"):
            read()


@pytest.mark.parametrize("suffix", [".dng", ".NEF", ".cr2", ".arw", ".pef", ".srw"])
def test_raw_files_are_told_by_their_names_too(suffix):
    file = io.BytesIO()
    tifffile.imwrite(file, PREVIEW, photometric="rgb", metadata=None)
    assert len(read_pages(file.getvalue(), "a.tif")) == 1
    with pytest.raises(UserError, match=MESSAGE):
        read_pages(file.getvalue(), f"a{suffix}")


@pytest.mark.parametrize(
    "head",
    [
        b"II*\0\x10\0\0\0CR\2\0",
        b"IIRO\x08\0\0\0",
        b"IIU\0\x18\0\0\0",
        b"FUJIFILMCCD-RAW 0201",
        b"FOVb\0\0\3\0",
        b"\0MRM\0\0\0\0",
        struct.pack(">I", 24) + b"ftypcrx \0\0\0\1crx isom",
    ],
)
def test_raw_files_that_are_no_tiffs(head):
    with pytest.raises(UserError, match=MESSAGE):
        read_pages(head + bytes(500), "a.bin")


def test_a_tiff_with_a_small_copy_is_none(tmp_path):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(SENSOR, photometric="minisblack", metadata=None, subifds=1)
        writer.write(SENSOR[::4, ::4].copy(), photometric="minisblack", subfiletype=1, metadata=None)
    assert [page.lightness.shape[2:] for page in read_pages(path, "a.tif")] == [(96, 128)]
    with tifffile.TiffWriter(path) as writer:
        writer.write(SENSOR, photometric="minisblack", metadata=None, subfiletype=1)
    assert len(read_pages(path, "a.tif")) == 1  # it says that it is small, and there is nothing else


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF", "JPEG2000", "AVIF"])
def test_photos_are_known_by_how_they_begin(photo, tmp_path, format):
    skip_without(format)
    content = saved(photo, format)
    assert is_photo_head(content[:HEAD]) and format_of(content, "a") == format
    (tmp_path / "a").write_bytes(content)
    assert begins_as_photo(str(tmp_path / "a"))


def test_what_is_no_photo_is_known_too(tmp_path):
    for content in (b"", b"words", b"BM words", b"RIFF\0\0\0\0WAVE", b"%PDF-1.7", b"\0\0\0\x18ftypmp42"):
        (tmp_path / "a").write_bytes(content)
        assert not begins_as_photo(str(tmp_path / "a"))
    assert not begins_as_photo(str(tmp_path)) and not begins_as_photo(str(tmp_path / "gone"))


def test_every_suffix_is_one_that_pillow_knows():
    Image.init()
    known = Image.registered_extensions()
    optional = {".heic", ".heif", ".avif", ".jp2", ".j2k", ".jpx", ".jpf", ".webp"}
    assert all(suffix in known for suffix in set(PHOTO_SUFFIXES) - optional)
    assert {".jpg", ".jfif", ".jp2", ".avif", ".heic", ".tif", ".pgm"} <= set(PHOTO_SUFFIXES)
