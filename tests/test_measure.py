"""One way to measure L, and to read sRGB: the command's reader, the library, and training agree."""

import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from photo_files import (
    ADOBE_RGB,
    DISPLAY_P3,
    SIGNATURE,
    assert_lightness,
    chunk,
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
    tiff,
    xyz_columns,
)  # fmt: skip
from PIL import Image, ImageCms

from pix2pix.color import RGB_TO_XYZ
from pix2pix.data.photos import read_photo
from pix2pix.decoding.measure import lightness_of, lightness_of_pixels

PRO_PHOTO = ((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001))


def measured(image):
    return (lightness_of(image)[0, 0].numpy().astype(np.float64) + 1) * 50


@pytest.mark.parametrize("format", ["PNG", "JPEG", "TIFF", "WEBP", "AVIF", "JPEG2000", "BMP", "GIF", "PPM"])
def test_the_library_measures_as_the_command_does(photo, format):
    skip_without(format)
    icc, _ = matrix_profile(ADOBE_RGB, 2.2)
    options = {"icc_profile": icc} if format in ("PNG", "JPEG", "TIFF", "WEBP", "AVIF") else {}
    content = saved(photo, format, **options)
    for decode_first in (False, True):
        with Image.open(io.BytesIO(content)) as image:
            if decode_first:
                image.load()
            assert np.array_equal(measured(image), lightness(read(content)))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "RGBX", "PA"])
def test_images_of_every_mode(photo, mode):
    image = Image.fromarray(photo)
    if mode == "LAB":
        profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        image = ImageCms.applyTransform(image, ImageCms.buildTransform(*profiles, "RGB", "LAB"))
    elif mode == "PA":
        image = image.convert("P").convert("PA")
    else:
        image = image.convert(mode)
    expected = lstar(np.asarray(image.convert("RGB") if mode != "LAB" else Image.fromarray(photo)))
    assert np.abs(measured(image) - expected).max() < (1 if mode == "LAB" else 1e-3)


def test_deep_images_made_in_memory(deep_photo):
    gray = deep_photo[..., 0].copy()
    gray[0, 0] = 65535
    for values in (gray, gray.astype(np.int32), (gray / 65535).astype(np.float32), (gray / 257).astype(np.float32)):
        assert np.abs(measured(Image.fromarray(values)) - lstar(gray)).max() < 2e-3
    assert np.abs(measured(Image.fromarray((gray >> 8).astype(np.int32))) - lstar((gray >> 8) / 255)).max() < 2e-3


def test_16_bits_of_colors_that_pillow_does_not_give(deep_photo, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(png(deep_photo, 2))
    with Image.open(path) as image:
        assert np.abs(measured(image) - lstar(deep_photo)).max() < 1e-3
        image.load()
        assert np.abs(np.asarray(image).astype(int) - (deep_photo >> 8)).max() == 0  # the image can be used after


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_upright(photo, orientation):
    content = saved(photo, "JPEG", exif=exif_with_everything(orientation), quality=100)
    with Image.open(io.BytesIO(content)) as image:
        assert np.array_equal(measured(image), lightness(read(content)))


def test_arrays_are_measured_alike(photo):
    for pixels in (photo, photo[..., 0]):
        found = lightness_of_pixels(pixels)[0, 0].numpy()
        assert np.array_equal(found, lightness_of(Image.fromarray(pixels))[0, 0].numpy())
        assert np.abs((found + 1) * 50 - lstar(pixels)).max() < 1e-3


def to_srgb(pixels, primaries, exponent):
    """sRGB, clipped, of pixels of such a profile."""
    linear = (pixels / np.iinfo(pixels.dtype).max) ** exponent @ (np.linalg.inv(RGB_TO_XYZ) @ xyz_columns(primaries)).T
    linear = linear.clip(0, 1)
    return 255 * np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)


@pytest.mark.parametrize("primaries", [DISPLAY_P3, ADOBE_RGB, PRO_PHOTO])
def test_training_photos_become_srgb(photo, deep_photo, tmp_path, primaries):
    icc, _ = matrix_profile(primaries, 2.2)
    exponent = gamma(2.2)[1]
    for pixels, name, content in (
        (photo, "a.png", saved(photo, "PNG", icc_profile=icc)),
        (photo, "b.tif", saved(photo, "TIFF", icc_profile=icc)),
        (deep_photo, "c.tif", tiff(deep_photo, photometric="rgb", iccprofile=icc)),
    ):
        (tmp_path / name).write_bytes(content)
        read_again = np.asarray(read_photo(tmp_path / name)).astype(float)
        difference = np.abs(read_again - to_srgb(pixels, primaries, exponent))
        assert difference.max() < 4 and difference.mean() < 0.5
    assert np.abs(read_again - deep_photo / 257).mean() > 2  # the profile matters


def test_the_same_photo_scores_the_same_in_every_profile(photo, tmp_path):
    """A photo converted to a wide profile, as phones write it, is read as what it was."""
    icc, _ = matrix_profile(DISPLAY_P3, 2.2)
    wide = ImageCms.profileToProfile(
        Image.fromarray(photo), ImageCms.createProfile("sRGB"), ImageCms.ImageCmsProfile(io.BytesIO(icc))
    )
    wide.save(tmp_path / "a.png", icc_profile=icc)
    assert np.abs(np.asarray(read_photo(tmp_path / "a.png")).astype(int) - photo).max() <= 3
    assert_lightness(read(tmp_path / "a.png"), lstar(photo), 0.8)


def test_profiles_of_srgb_and_damaged_ones_change_no_training_photo(photo, tmp_path):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for icc in (srgb, b"no profile at all", profile(b"GRAY", b"XYZ ", {b"kTRC": gamma(1.8)[0]})):
        (tmp_path / "a.png").write_bytes(saved(photo, "PNG", icc_profile=icc))
        assert np.array_equal(np.asarray(read_photo(tmp_path / "a.png")), photo)


def test_gray_profiles_in_training(photo, tmp_path):
    curve, exponent = gamma(1.8)
    gray = photo[..., 1]
    (tmp_path / "a.png").write_bytes(saved(gray, "PNG", icc_profile=profile(b"GRAY", b"XYZ ", {b"kTRC": curve})))
    read_again = np.asarray(read_photo(tmp_path / "a.png"))
    assert (read_again == read_again[..., :1]).all()
    assert np.abs(lstar(read_again) - lstar_of_luminance((gray / 255) ** exponent)).max() < 1


def test_threads_share_the_readers(photo, deep_photo):
    icc, _ = matrix_profile(DISPLAY_P3, 2.2)
    contents = [
        saved(photo, "PNG", icc_profile=icc), saved(photo, "JPEG"), png(deep_photo, 2),
        tiff(deep_photo, photometric="rgb"),
        SIGNATURE + png(photo, 2, chunk(b"gAMA", (100_000).to_bytes(4, "big")))[8:],
    ]  # fmt: skip
    alone = [lightness(read(content)) for content in contents]
    limit = Image.MAX_IMAGE_PIXELS
    with ThreadPoolExecutor(4) as pool:
        for number, found in enumerate(pool.map(lambda content: lightness(read(content)), contents * 8)):
            assert np.array_equal(found, alone[number % len(contents)])
    assert limit == Image.MAX_IMAGE_PIXELS
