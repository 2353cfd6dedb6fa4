"""photofile/colorize.py: one photo file into another, with the right pixels, or a line that says why not."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from skimage.color import rgb2lab
from stub_colorizer import StubColorizer

from pix2pix.errors import UserError
from pix2pix.hints import Point
from pix2pix.photofile.colorize import colorize_file, target_of


@pytest.fixture
def gray_photo(tmp_path, real_photos):
    Image.fromarray(real_photos[0]).convert("L").save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def colorize(source, target, **options):
    return colorize_file(
        StubColorizer(strength=options.pop("strength", 1.0)), source, target, name="the one", **options
    )


def lab_of(path):
    with Image.open(path) as image:
        return rgb2lab(np.asarray(image.convert("RGB")))


def test_the_photos_own_lightness_stays(gray_photo, tmp_path):
    assert colorize(gray_photo, tmp_path / "out" / "color.png", strength=0.5) == []
    lab, expected = lab_of(tmp_path / "out" / "color.png"), lab_of(gray_photo)
    middle = (expected[..., 0] > 20) & (expected[..., 0] < 90)
    assert np.abs(lab[..., 0] - expected[..., 0]).max() < 0.5
    assert np.abs(lab[middle][:, 1:] - (11, 16.5)).mean() < 0.5  # half of ab 0.2, 0.3 times 110


def test_a_files_content_gives_the_same_file(gray_photo, tmp_path):
    colorize(gray_photo, tmp_path / "a.png")
    colorize(gray_photo.read_bytes(), tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("size", [(1, 30_000), (30_000, 1)])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_photos_one_pixel_wide_or_high(tmp_path, size, suffix):
    gray = np.random.default_rng(0).integers(60, 190, 300).repeat(100).astype(np.uint8)
    Image.fromarray(gray.reshape(size[::-1])).save(tmp_path / f"line{suffix}")
    colorize(tmp_path / f"line{suffix}", tmp_path / f"color{suffix}")
    with Image.open(tmp_path / f"color{suffix}") as image:
        assert image.size == size
    lab, expected = lab_of(tmp_path / f"color{suffix}"), lab_of(tmp_path / f"line{suffix}")
    assert np.hypot(lab[..., 1], lab[..., 2]).mean() > 5
    assert np.abs(lab[..., 0] - expected[..., 0]).mean() < (1.5 if suffix == ".jpg" else 0.5)


def test_sixteen_bits_stay_sixteen(tmp_path):
    ramp = np.linspace(10000, 50000, 96 * 96).reshape(96, 96).astype(np.uint16)
    for suffix in (".png", ".tif"):
        Image.fromarray(ramp).save(tmp_path / f"deep{suffix}")
        colorize(tmp_path / f"deep{suffix}", tmp_path / f"color{suffix}", strength=0)
    written = tifffile.imread(tmp_path / "color.tif")
    assert written.dtype == np.uint16 and written.shape == (96, 96, 3)
    assert np.abs(written[..., 1].astype(int) - ramp).max() < 70  # gray stays the gray it was, to a thousandth
    with Image.open(tmp_path / "color.png") as image:
        assert (tmp_path / "color.png").read_bytes()[24] == 16  # PNG's bit depth
        assert np.abs(np.asarray(image)[..., 1] - (ramp >> 8).astype(int)).max() <= 1


def test_pages_stay_pages(real_photos, tmp_path):
    first, *others = (Image.fromarray(photo).convert("L") for photo in real_photos[:3])
    first.save(tmp_path / "pages.tif", save_all=True, append_images=others)
    colorize(tmp_path / "pages.tif", tmp_path / "color.tif")
    for written, photo in zip(tifffile.TiffFile(tmp_path / "color.tif").pages, (first, *others), strict=True):
        lab, expected = rgb2lab(written.asarray()), rgb2lab(np.asarray(photo.convert("RGB")))
        assert np.abs(lab[..., 0] - expected[..., 0]).max() < 0.5 and np.hypot(lab[..., 1], lab[..., 2]).mean() > 5


def test_gray_and_color_side_by_side_have_no_transparency(gray_photo, tmp_path):
    with Image.open(gray_photo) as image:
        image.putalpha(100)
        image.save(tmp_path / "alpha.png")
    colorize(tmp_path / "alpha.png", tmp_path / "color.png")
    colorize(tmp_path / "alpha.png", tmp_path / "pair.png", compare=True)
    with Image.open(tmp_path / "color.png") as color, Image.open(tmp_path / "pair.png") as pair:
        assert color.mode == "RGBA" and pair.mode == "RGB" and pair.size == (256, 96)
        assert np.array_equal(np.asarray(color)[..., :3], np.asarray(pair)[:, 128:])
        assert np.ptp(np.asarray(pair)[:, :128].astype(int), axis=-1).max() <= 1


def test_points_are_checked_before_anything_is_written(gray_photo, tmp_path):
    colorize(gray_photo, tmp_path / "c.png", points=[Point(64, 48, "blue")], strength=0)
    lab = lab_of(tmp_path / "c.png")
    assert lab[48, 64, 2] < -30 and np.hypot(*lab[:40, :, 1:].reshape(-1, 2).T).max() < 0.1
    for point, said in ((Point(128, 0, "red"), "128,0,red lies outside the one, which has 128x96 pixels"),
                        (Point(1, 1, "red", page=2), "page 2 of the one, which has 1")):  # fmt: skip
        with pytest.raises(UserError, match=said):
            colorize(gray_photo, tmp_path / "new" / "c.png", points=[point])
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("size", "target", "compare", "said"),
    [
        ((65_501, 1), "c.jpg", False, "65501x1 pixels in color, and .jpg holds at most 65500 a side; write it as PNG"),
        ((1, 65_501), "c.JPEG", False, r"as with -o c\.png"),
        ((40_000, 1), "c.jpg", True, "80000x1 pixels"),
        ((16_384, 1), "c.webp", False, ".webp holds at most 16383 a side"),
    ],
)
def test_a_photo_larger_than_its_file_can_hold(tmp_path, size, target, compare, said):
    Image.new("L", size, 120).save(tmp_path / "long.png")
    with pytest.raises(UserError, match=said):
        colorize(tmp_path / "long.png", tmp_path / target, compare=compare)
    assert [path.name for path in tmp_path.iterdir()] == ["long.png"]


def test_the_longest_jpeg_is_written(tmp_path):
    Image.new("L", (65_500, 1), 120).save(tmp_path / "long.png")
    colorize(tmp_path / "long.png", tmp_path / "c.jpg")
    with Image.open(tmp_path / "c.jpg") as image:
        assert image.size == (65_500, 1)


def test_a_jpeg_called_heic_has_a_way_out(real_photos, tmp_path, monkeypatch):
    Image.fromarray(real_photos[0]).save(tmp_path / "photo.heic", "JPEG")

    def refuse(target):
        raise UserError(f"photos cannot be written as {target.suffix}")

    with monkeypatch.context() as patch:
        patch.setattr("pix2pix.photofile.colorize.holds_16_bits", refuse)  # as where HEIC cannot be written
        with pytest.raises(UserError, match=r"\.heic; the one is a JPEG in spite of its name: .* -o photo-color\.jpg"):
            colorize(tmp_path / "photo.heic", tmp_path / "photo-color.heic")
    colorize(tmp_path / "photo.heic", tmp_path / "photo-color.jpg")
    assert lab_of(tmp_path / "photo-color.jpg").shape == (96, 128, 3)


def test_too_little_memory_is_said_and_leaves_nothing(gray_photo, tmp_path, monkeypatch):
    monkeypatch.setattr("pix2pix.photofile.read.free_memory", lambda: 12 * 128 * 96 - 1)
    with pytest.raises(UserError, match=r"the one needs more memory than there is; .* smaller copy"):
        colorize(gray_photo, tmp_path / "c.png")
    assert list(tmp_path.iterdir()) == [gray_photo]


@pytest.mark.parametrize("place", ["read_pages", "write_pages"])
@pytest.mark.parametrize(
    "error",
    [MemoryError(), RuntimeError("not enough memory"), OSError("out of memory error"), torch.OutOfMemoryError("CUDA")],
)
def test_memory_that_runs_out_is_no_fault_of_the_files(gray_photo, tmp_path, monkeypatch, place, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(f"pix2pix.photofile.colorize.{place}", fail)
    with pytest.raises(UserError, match="the one needs more memory"):
        colorize(gray_photo, tmp_path / "c.png")
    assert list(tmp_path.iterdir()) == [gray_photo]


def test_memory_of_the_network(gray_photo, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(StubColorizer, "colorize_lightness", fail)
    with pytest.raises(UserError, match=r"the one needs more memory .* --device cpu"):
        colorize(gray_photo, tmp_path / "c.png")
    assert list(tmp_path.iterdir()) == [gray_photo]


def test_what_is_no_photo_is_said_by_its_name(tmp_path):
    (tmp_path / "words.png").write_text("words")
    with pytest.raises(UserError, match=r"^the one is not a photo that can be read"):
        colorize(tmp_path / "words.png", tmp_path / "c.png")
    with pytest.raises(UserError, match=r"^there is no photo the one"):
        colorize(tmp_path / "gone.png", tmp_path / "c.png")


def test_targets():
    photo = Path("a/b.jpg")
    assert target_of(photo, Path("b.jpg"), None) == Path("a/b-colorized.jpg")
    assert target_of(photo, Path("b.jpg"), None, "-compared") == Path("a/b-compared.jpg")
    assert target_of(photo, Path("a/b.jpg"), Path("out")) == Path("out/a/b.jpg")
    for name in ("b.gif", "b", "b.scan"):  # a GIF has too few colors
        assert target_of(Path("a", name), Path(name), Path("out")) == Path(f"out/{name}.png")
    assert target_of(Path("a/b.gif"), Path("b.gif"), None) == Path("a/b-colorized.gif.png")
