"""What a visitor of the page can do there, without a browser: drop photos, edit one, download."""

import base64
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from skimage import data
from tiny_weights import save_tiny_weights

from pix2pix.errors import UserError
from pix2pix.hints import Point
from pix2pix.inference import Colorizer
from pix2pix.photofile.points import read_points
from pix2pix.web.visit import Visit, view, write_all, write_full_size, write_photo_points

GRAY = data.camera()[::4, ::4]  # (128, 128)
LIMIT = 10_000_000


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save_tiny_weights(tmp_path_factory.mktemp("weights") / "generator.pt")


@pytest.fixture(scope="module")
def colorizer(weights):
    return Colorizer(weights, device="cpu")


@pytest.fixture
def visit(tmp_path):
    """A visitor with one photo, scan.jpg, whose folder is tmp_path."""
    Image.fromarray(GRAY).save(tmp_path / "scan.jpg")
    visit = Visit()
    assert visit.drop([str(tmp_path / "scan.jpg")], LIMIT) == []
    return visit


def dropped(tmp_path, *names):
    """Paths of photos, each in a folder of its own as uploads are."""
    paths = []
    for number, name in enumerate(names):
        path = tmp_path / str(number) / name
        path.parent.mkdir()
        Image.fromarray(GRAY).save(path)
        paths.append(str(path))
    return paths


def test_photos_come_and_go_and_the_newest_is_shown(tmp_path):
    a, b, other_a = dropped(tmp_path, "a.png", "b.png", "a.png")
    visit = Visit()
    assert visit.photo is None
    visit.drop([a], LIMIT)
    first = visit.photo
    first.place(0.5, 0.5, "red")
    visit.drop([a, b, other_a], LIMIT)
    assert visit.names() == [("a.png", a), ("b.png", b), ("a.png (3)", other_a)]
    assert visit.photos[a] is first, "its points should stay"
    assert visit.chosen == b
    visit.drop([a, other_a], LIMIT)
    assert visit.chosen == a and visit.photo.points
    visit.drop([], LIMIT)
    assert visit.photo is None and visit.names() == []


def test_a_damaged_photo_is_said_and_the_others_stay(tmp_path):
    good, bad = dropped(tmp_path, "good.png", "bad.png")
    Path(bad).write_bytes(Path(bad).read_bytes()[:300])
    visit = Visit()
    (said,) = visit.drop([bad, good], LIMIT)
    assert said.startswith("bad.png cannot be read") and "\n" not in said
    assert visit.names() == [("good.png", good)] and visit.chosen == good


def test_notes_of_a_photo_are_said_once(tmp_path):
    frames = [Image.fromarray(GRAY), Image.fromarray(255 - GRAY)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    visit = Visit()
    (said,) = visit.drop([str(tmp_path / "moving.gif")], LIMIT)
    assert said.startswith("moving.gif: only the first of its 2 pictures")
    assert visit.drop([str(tmp_path / "moving.gif")], LIMIT) == []


def test_the_editors_changes(visit):
    visit.edit({"do": "place", "x": 0.25, "y": 0.5, "color": "#d35400"})
    visit.edit({"do": "place", "x": 0.75, "y": 0.5, "color": "gray"})
    assert visit.photo.points == [Point(32, 64, "#d35400"), Point(96, 64, "gray")]
    visit.edit({"do": "remove", "number": 0})
    assert visit.photo.points == [Point(96, 64, "gray")]
    visit.edit({"do": "clear"})
    assert visit.photo.points == []
    visit.edit({"do": "undo"})
    assert visit.photo.points == [Point(96, 64, "gray")]
    text = json.dumps({"points": [{"x": 1, "y": 2, "color": "red", "radius": 3}]})
    visit.edit({"do": "load", "name": "scan.points.json", "text": text})
    assert visit.photo.points == [Point(1, 2, "red", radius=3)]


@pytest.mark.parametrize(
    "change",
    [
        None,
        [],
        {},
        {"do": "dance"},
        {"do": ["place"]},
        {"do": "place", "x": "left", "y": 0, "color": "red"},
        {"do": "place", "x": 0.5, "y": 0.5},
        {"do": "place", "x": 0.5, "y": 0.5, "color": 7},
        {"do": "place", "x": 1e400, "y": 0.5, "color": "red"},
        {"do": "remove", "number": float("inf")},
        {"do": "remove"},
        {"do": "load", "name": "x.json"},
    ],
)
def test_what_no_editor_asks_for_is_refused_in_a_line(visit, change):
    with pytest.raises(UserError) as refused:
        visit.edit(change)
    assert "\n" not in str(refused.value)
    assert visit.photo.points == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "mine.json is no points file"),
        ("[1, 2]", "mine.json is no points file"),
        ('{"points": [{"x": 1, "y": 2, "color": "reddish"}]}', "mine.json, point 1: 'reddish' is no color"),
        ('{"points": [{"x": 500, "y": 2, "color": "red"}]}', "500,2,red lies outside scan.jpg, which has 128x128"),
    ],
)
def test_a_points_file_that_is_none_is_named(visit, text, reason):
    with pytest.raises(UserError, match=reason.replace(".", r"\.")):
        visit.edit({"do": "load", "name": "mine.json", "text": text})
    assert visit.photo.points == []


def test_without_a_photo_nothing_can_be_edited(colorizer):
    with pytest.raises(UserError, match="drop it again"):
        Visit().edit({"do": "clear"})
    assert view(colorizer, None) == {"takes_points": True, "photo": None}


def test_what_the_browser_is_given(visit, colorizer, tmp_path):
    visit.edit({"do": "place", "x": 0.25, "y": 0.5, "color": "#d35400"})
    shown = json.loads(json.dumps(view(colorizer, visit.photo)))
    assert (shown["photo"], shown["aspect"], shown["takes_points"], shown["undo"]) == ("scan.jpg", 1, True, True)
    (point,) = shown["points"]
    assert (point["number"], point["x"], point["y"], point["asked"]) == (0, 32.5 / 128, 64.5 / 128, "#d35400")
    for name, bands in (("gray", 1), ("color", 3)):
        head, _, content = shown[name].partition(",")
        assert head == "data:image/jpeg;base64"
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(content)))).astype(int)
        assert pixels.shape == (128, 128, 3)
        assert (np.ptp(pixels, axis=-1).mean() > 5) == (bands == 3)
    assert np.abs(pixels[64, 32] - [int(point["shown"][start : start + 2], 16) for start in (1, 3, 5)]).max() < 30


def test_a_transparent_photo_is_shown_so(tmp_path, colorizer):
    alpha = np.where(np.arange(128) < 64, 0, 255).astype(np.uint8) * np.ones_like(GRAY)
    Image.fromarray(np.dstack((GRAY, alpha))).save(tmp_path / "clear.png")
    visit = Visit()
    visit.drop([str(tmp_path / "clear.png")], LIMIT)
    head, _, content = view(colorizer, visit.photo)["color"].partition(",")
    assert head == "data:image/webp;base64"
    seen = np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))
    np.testing.assert_array_equal(seen[..., 3], alpha)


def test_the_download_equals_what_the_command_line_writes(visit, weights, colorizer, tmp_path, run):
    visit.edit({"do": "place", "x": 0.25, "y": 0.5, "color": "#d35400"})
    visit.edit({"do": "place", "x": 0.75, "y": 0.1, "color": "gray"})
    (tmp_path / "out").mkdir()
    written, said = write_full_size(colorizer.with_strength(1.3), visit.photo, tmp_path / "out", LIMIT)
    assert written.name == "scan-colorized.jpg" and said == []
    points = ("--point", "32,64,#d35400", "--point", "96,12,gray")
    options = ("--weights", weights, "--device", "cpu", "--strength", "1.3", "-o", tmp_path / "command.jpg")
    code, _, errors = run("colorize.py", tmp_path / "scan.jpg", *points, *options)
    assert code == 0, errors
    assert written.read_bytes() == (tmp_path / "command.jpg").read_bytes()


def test_all_pages_of_a_tiff_are_in_the_download(tmp_path, colorizer):
    deep = GRAY.astype(np.uint16) * 257
    with tifffile.TiffWriter(tmp_path / "pages.tif") as file:
        for page in (deep, 65535 - deep):
            file.write(page, photometric="minisblack", metadata=None)
    visit = Visit()
    visit.drop([str(tmp_path / "pages.tif")], LIMIT)
    (tmp_path / "out").mkdir()
    plain = tifffile.imread(write_full_size(colorizer, visit.photo, tmp_path / "out", LIMIT)[0])
    visit.edit({"do": "place", "x": 0.5, "y": 0.1, "color": "#a04030"})
    pointed = tifffile.imread(write_full_size(colorizer, visit.photo, tmp_path / "out", LIMIT)[0])
    assert pointed.shape == (2, 128, 128, 3) and pointed.dtype == np.uint16
    assert (pointed[0] != plain[0]).any()
    np.testing.assert_array_equal(pointed[1], plain[1])


def test_a_photo_that_was_removed_meanwhile_is_named(visit, colorizer, tmp_path):
    (tmp_path / "scan.jpg").unlink()
    with pytest.raises(UserError, match=r"scan\.jpg was removed an hour after it was dropped; drop it again"):
        write_full_size(colorizer, visit.photo, tmp_path, LIMIT)


def test_all_photos_in_one_zip(tmp_path, colorizer):
    paths = dropped(tmp_path, "a.png", "a.png", "b.png", "gone.png")
    visit = Visit()
    visit.drop(paths, LIMIT)
    visit.chosen = paths[2]
    visit.edit({"do": "place", "x": 0.5, "y": 0.5, "color": "#d35400"})
    Path(paths[3]).unlink()
    folder = tmp_path / "out"
    folder.mkdir()
    written, said = write_all(colorizer, visit.photos.values(), folder, LIMIT)
    assert [line.partition(" ")[0] for line in said] == ["gone.png"]
    assert [path for path in folder.rglob("*") if path.is_file()] == [written]
    with zipfile.ZipFile(written) as archive:
        assert archive.namelist() == ["a-colorized.png", "a-colorized (2).png", "b-colorized.png"]
        pictures = [np.asarray(Image.open(io.BytesIO(archive.read(name)))).astype(int) for name in archive.namelist()]
    plain, pointed = (
        np.asarray(Image.open(write_full_size(colorizer, visit.photos[path], folder, LIMIT)[0])).astype(int)
        for path in paths[1:3]
    )
    assert abs(plain - pointed).max() > 20
    for picture, alone in zip(pictures, (plain, plain, pointed), strict=True):
        assert picture.shape == (128, 128, 3) and abs(picture - alone).max() <= 3


def test_the_points_file_is_named_as_the_command_line_looks_for_it(visit, tmp_path):
    visit.edit({"do": "place", "x": 0.25, "y": 0.5, "color": "#d35400"})
    written, _ = write_photo_points(visit.photo, tmp_path)
    assert written == tmp_path / "scan.points.json"
    assert read_points(written) == [Point(32, 64, "#d35400")]


def test_weights_without_points_colorize_as_before(visit, tmp_path):
    plain = Colorizer(save_tiny_weights(tmp_path / "plain.pt", hints=False), device="cpu")
    shown = view(plain, visit.photo)
    assert shown["takes_points"] is False and shown["color"].startswith("data:image/jpeg")
    assert write_full_size(plain, visit.photo, tmp_path, LIMIT)[0].is_file()
