"""Photo files read: their pages, what is said of them, and what cannot be read."""

import io
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from conftest import ROOT
from photo_files import (
    ADOBE_RGB,
    ORIENTATION,
    PROFILE_TOLERANCE,
    XMP,
    assert_lightness,
    exif_with_everything,
    gamma,
    lightness,
    lstar,
    lstar_of_luminance,
    matrix_profile,
    png,
    profile,
    read,
    saved,
    skip_without,
)  # fmt: skip
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

from pix2pix.errors import UserError
from pix2pix.photofile.read import Page, read_pages
from pix2pix.photofile.write import write_pages


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
        assert page.metadata.dpi is None and not page.notes


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "AVIF"])
def test_of_an_animation_the_first_picture_is_read_and_the_rest_is_said(real_photos, format):
    skip_without(format)
    frames = [Image.fromarray(photo) for photo in real_photos[:3]]
    content = saved(frames[0], format, save_all=True, append_images=frames[1:], duration=100)
    with Image.open(io.BytesIO(content)) as image:
        assert image.n_frames == 3
        expected = lstar(np.asarray(image.convert("RGB")))
    page = read(content)
    assert page.notes == ["only the first of its 3 pictures is colorized"]
    assert_lightness(page, expected)
    assert np.abs(expected - lstar(real_photos[0])).mean() < 2


def test_previews_in_a_jpeg_are_no_pictures_of_their_own(real_photos):
    frames = [Image.fromarray(photo) for photo in real_photos[:2]]
    content = saved(frames[0], "MPO", save_all=True, append_images=frames[1:])
    page = read(content)
    assert page.notes == [] and np.abs(lightness(page) - lstar(real_photos[0])).mean() < 2


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
