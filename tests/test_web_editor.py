"""A photo that is edited on the page: what is read of it, points put on it and taken back, its preview."""

import numpy as np
import pytest
import tifffile
from PIL import Image
from skimage import data
from skimage.color import lab2rgb, rgb2lab
from skimage.transform import resize
from tiny_weights import save_tiny_weights

from pix2pix.errors import UserError
from pix2pix.hints import Point
from pix2pix.inference import Colorizer
from pix2pix.web.editor import PALETTE, PREVIEW, open_photo, preview, unfit_note

GRAY = data.camera()[::4, ::4]  # (128, 128)
LIMIT = 10_000_000


@pytest.fixture(scope="module")
def colorizer(tmp_path_factory):
    return Colorizer(save_tiny_weights(tmp_path_factory.mktemp("weights") / "generator.pt"), device="cpu")


@pytest.fixture
def photo(tmp_path):
    Image.fromarray(np.tile(GRAY, (1, 2))).save(tmp_path / "scan.png")
    return open_photo(tmp_path / "scan.png", LIMIT)


def lightness_of(photo):
    return (photo.lightness[0, 0].float().numpy() + 1) * 50


def lab_at(pixels, row, column):
    return rgb2lab(pixels[row : row + 1, column : column + 1])[0, 0]


def test_a_small_photo_is_kept_as_it_is(photo):
    assert (photo.width, photo.height) == (256, 128)
    expected = rgb2lab(np.tile(GRAY, (1, 2))[..., None].repeat(3, axis=2))[..., 0]
    np.testing.assert_allclose(lightness_of(photo), expected, atol=0.1)


def test_of_a_large_photo_a_small_copy_is_kept(tmp_path):
    Image.fromarray(GRAY).resize((1600, 800)).save(tmp_path / "large.png")
    photo = open_photo(tmp_path / "large.png", LIMIT)
    assert (photo.width, photo.height) == (1600, 800)
    assert photo.lightness.shape == (1, 1, PREVIEW // 2, PREVIEW)
    with Image.open(tmp_path / "large.png") as image:
        full = rgb2lab(np.asarray(image.convert("RGB")))[..., 0]
    expected = resize(full, (PREVIEW // 2, PREVIEW), anti_aliasing=True)
    assert np.abs(lightness_of(photo) - expected).mean() < 0.5


def test_a_photo_turned_by_exif_is_upright(tmp_path):
    exif = Image.Exif()
    exif[274] = 6  # to be turned clockwise
    Image.fromarray(GRAY[:, :96]).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    photo = open_photo(tmp_path / "turned.jpg", LIMIT)
    assert (photo.width, photo.height) == (128, 96)
    upright = rgb2lab(np.rot90(GRAY[:, :96], -1)[..., None].repeat(3, axis=2))[..., 0]
    assert np.abs(lightness_of(photo) - upright).mean() < 1


def test_transparency_is_kept_for_the_preview(tmp_path):
    alpha = np.zeros_like(GRAY)
    alpha[:, 64:] = 255
    Image.fromarray(np.dstack((GRAY, alpha))).save(tmp_path / "clear.png")
    np.testing.assert_array_equal(open_photo(tmp_path / "clear.png", LIMIT).alpha, alpha)


def test_of_a_tiff_with_16_bits_and_several_pages_the_first_is_edited(tmp_path):
    deep = GRAY.astype(np.uint16) * 257
    with tifffile.TiffWriter(tmp_path / "pages.tif") as file:
        for page in (deep, 65535 - deep[:, ::2]):
            file.write(page, photometric="minisblack", metadata=None)
    photo = open_photo(tmp_path / "pages.tif", LIMIT)
    assert (photo.width, photo.height) == (128, 128)
    np.testing.assert_allclose(lightness_of(photo), rgb2lab(GRAY[..., None].repeat(3, axis=2))[..., 0], atol=0.1)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("broken.jpg", b"no photo"),
        ("empty.png", b""),
        ("camera.cr2", b"II*\0\x10\0\0\0CR\2\0" + bytes(64)),
        ("film.mp4", b"\0\0\0\x18ftypisom" + bytes(64)),
    ],
)
def test_what_is_no_photo_is_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=f"^{name}") as refused:
        open_photo(tmp_path / name, LIMIT)
    assert "\n" not in str(refused.value)


def test_a_photo_above_the_limit_is_named(tmp_path):
    Image.fromarray(GRAY).save(tmp_path / "large.png")
    with pytest.raises(UserError, match=r"^large\.png has .* million pixels"):
        open_photo(tmp_path / "large.png", 1000)


@pytest.mark.parametrize(
    ("x", "y", "pixel"), [(0, 0, (0, 0)), (1, 1, (255, 127)), (0.5, 0.5, (128, 64)), (100.9 / 256, 0.999, (100, 127))]
)
def test_a_point_lies_on_the_pixel_that_was_clicked(photo, x, y, pixel):
    photo.place(x, y, "red")
    assert photo.points == [Point(*pixel, "red")]


@pytest.mark.parametrize("place", [(-0.01, 0.5), (0.5, 1.01), (float("nan"), 0.5)])
def test_a_point_outside_is_refused(photo, place):
    with pytest.raises(UserError, match=r"outside scan\.png"):
        photo.place(*place, "red")
    assert photo.points == [] and photo.before == []


def test_a_color_that_is_none_is_refused(photo):
    with pytest.raises(UserError, match="'reddish' is no color"):
        photo.place(0.5, 0.5, "reddish")
    assert photo.points == []


def test_every_change_can_be_taken_back(photo):
    red, blue = Point(25, 12, "red"), Point(128, 64, "blue")
    photo.place(0.1, 0.1, "red")
    photo.place(0.5, 0.5, "blue")
    photo.remove(0)
    assert photo.points == [blue]
    photo.clear()
    assert photo.points == []
    photo.load([red])
    assert photo.points == [red]
    steps = []
    for _ in range(6):  # one more than there were
        photo.undo()
        steps.append(photo.points)
    assert steps == [[], [blue], [red, blue], [red], [], []]


def test_what_changes_nothing_is_no_step(photo):
    photo.clear()
    photo.remove(0)
    photo.remove(-1)
    assert photo.before == []


def test_loaded_points_outside_the_photo_are_refused(photo):
    photo.place(0.1, 0.1, "red")
    with pytest.raises(UserError, match=r"300,5,blue lies outside scan\.png, which has 256x128"):
        photo.load([Point(300, 5, "blue")])
    assert [point.color for point in photo.points] == ["red"]
    photo.load([Point(300, 5, "blue", page=2)])  # that page is not edited, and may be larger


def test_the_preview_has_the_points_colors_and_the_photos_lightness(photo, colorizer):
    plain = preview(colorizer, photo)
    photo.place(0.25, 0.1, PALETTE["skin"])
    photo.place(0.75, 0.1, PALETTE["no color"])
    small = preview(colorizer, photo)
    np.testing.assert_allclose(rgb2lab(small.color)[..., 0], lightness_of(photo), atol=0.5)
    np.testing.assert_allclose(
        rgb2lab(small.gray), np.dstack((lightness_of(photo), *np.zeros((2, 128, 256)))), atol=0.5
    )
    for column, color in ((64, "skin"), (192, "no color")):
        lightness = lightness_of(photo)[12, column]
        asked = rgb2lab(np.array(Image.new("RGB", (1, 1), PALETTE[color])))[0, 0, 1:]
        fits = rgb2lab(lab2rgb([[[lightness, *asked]]]))[0, 0, 1:]
        assert np.linalg.norm(fits - asked) < 3, "the test's color should fit the lightness there"
        assert np.linalg.norm(lab_at(small.color, 12, column)[1:] - asked) < 5
        assert np.linalg.norm(lab_at(plain.color, 12, column)[1:] - asked) > 8
    assert small.shown == ["#{:02x}{:02x}{:02x}".format(*small.color[12, column]) for column in (64, 192)]


def test_points_lie_at_the_same_place_of_the_small_copy(tmp_path, colorizer):
    Image.fromarray(GRAY).resize((1280, 1280)).save(tmp_path / "large.png")
    photo = open_photo(tmp_path / "large.png", LIMIT)
    photo.load([Point(1001, 251, "#a04030", radius=40), Point(5000, 251, "blue", page=2)])
    small = preview(colorizer, photo)
    hue = np.degrees(np.arctan2(*lab_at(small.color, 200, 800)[[2, 1]]))
    expected = np.degrees(np.arctan2(*rgb2lab(np.array([[[0xA0, 0x40, 0x30]]], np.uint8))[0, 0, [2, 1]]))
    assert abs(hue - expected) < 8
    assert len(small.shown) == 2  # a color for each, of whichever page


def test_a_color_too_strong_for_its_place_is_told_with_what_comes_out(tmp_path):
    Image.new("L", (64, 64), 240).save(tmp_path / "light.png")
    photo = open_photo(tmp_path / "light.png", LIMIT)
    assert unfit_note(photo) is None
    photo.place(0.5, 0.5, "#e8f0e8")
    assert unfit_note(photo) is None
    photo.place(0.5, 0.5, "#0000ff")
    note = unfit_note(photo)
    assert note.startswith("#0000ff is too strong for a place as light as this one; the nearest that fits is #")
    lightness, a, b = rgb2lab(np.array(Image.new("RGB", (1, 1), note[-7:])))[0, 0]
    _, blue_a, blue_b = rgb2lab(np.array([[[0, 0, 255]]], np.uint8))[0, 0]
    assert abs(lightness - rgb2lab(np.full((1, 1, 3), 240, np.uint8))[0, 0, 0]) < 1
    assert np.hypot(a, b) < 0.5 * np.hypot(blue_a, blue_b)
