"""Data exploration: against scikit-image's Lab and exposure, and the command as a user runs it."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import color, data, exposure

from pix2pix import exploration
from pix2pix.errors import UserError, run_script


@pytest.fixture(scope="module")
def astronaut():
    return data.astronaut()[:300:2, ::4]  # (150, 128, 3)


@pytest.fixture
def photo(tmp_path, monkeypatch, astronaut):
    """A photo in a folder of its own; the command runs in another one."""
    for name in ("photos", "here"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    path = tmp_path / "photos" / "astronaut.png"
    Image.fromarray(astronaut).save(path)
    return path


def exit_code(*argv):
    with pytest.raises(SystemExit) as stop:
        run_script(lambda: exploration.main([str(word) for word in argv]))
    return stop.value.code


def assert_refused(capsys, message, *argv):
    """Exit code 1, one line on stderr, and no new file in the current folder."""
    before = sorted(Path.cwd().iterdir())
    assert exit_code(*argv) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    assert message in error
    assert sorted(Path.cwd().iterdir()) == before


def test_lab_ranges_are_those_of_skimage(astronaut):
    lab = color.rgb2lab(astronaut / 255)
    ranges = exploration.lab_ranges(astronaut)
    assert list(ranges) == ["L", "a", "b"]
    assert np.allclose(list(ranges.values()), np.stack((lab.min((0, 1)), lab.max((0, 1))), 1), atol=1e-4)


def test_lab_ranges_look_at_every_row_of_a_tall_photo():
    rgb = np.full((3 * exploration.BAND + 1, 2, 3), 128, np.uint8)
    rgb[exploration.BAND + 7] = 0
    rgb[-1] = 255
    assert exploration.lab_ranges(rgb)["L"] == pytest.approx((0, 100), abs=1e-3)


def test_lab_planes_follow_the_scaling_of_the_report(astronaut):
    expected = (color.rgb2lab(astronaut / 255) + np.array([0, 128, 128])) / [100, 255, 255]
    planes = exploration.lab_planes(astronaut)
    assert planes.shape == astronaut.shape
    assert np.allclose(planes, expected, atol=1e-6)
    assert planes.min() >= 0 and planes.max() <= 1


def test_the_treatments_are_those_of_skimage(astronaut):
    gray = color.rgb2gray(astronaut)
    treated = exploration.contrast_treatments(gray)
    assert list(treated) == ["Low contrast", "Contrast stretching", "Histogram equalization", "Adaptive equalization"]
    low, high = np.percentile(gray, (2, 98))
    halved = treated["Low contrast"]
    assert np.isclose(np.ptp(halved), np.ptp(gray) / 2)
    assert np.allclose(halved - halved.mean(), (gray - gray.mean()) / 2)
    assert np.allclose(treated["Contrast stretching"], ((gray - low) / (high - low)).clip(0, 1))
    assert np.allclose(treated["Histogram equalization"], exposure.equalize_hist(gray))
    assert np.allclose(treated["Adaptive equalization"], exposure.equalize_adapthist(gray, clip_limit=0.03))


def test_histogram_equalization_makes_the_cumulative_curve_straight():
    gray = np.linspace(0, 1, 128 * 128).reshape(128, 128) ** 3
    quantiles = np.quantile(exploration.contrast_treatments(gray)["Histogram equalization"], (0.5, 0.75, 0.9))
    assert quantiles == pytest.approx((0.5, 0.75, 0.9), abs=0.01)


def test_stretching_keeps_the_stars_of_a_black_sky():
    sky = np.zeros((20, 20))
    sky[3, 4] = 0.8  # the percentiles are both 0: clipping to them would leave nothing
    assert exploration.contrast_treatments(sky)["Contrast stretching"].max() == 0.8


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("level", [0, 77, 255])
def test_a_photo_of_one_level_is_drawn_and_left_as_it_is(tmp_path, level):
    rgb = np.full((8, 9, 3), level, np.uint8)
    gray = exploration.lab_planes(rgb)[..., 0]
    assert all(np.array_equal(treated, gray) for treated in exploration.contrast_treatments(gray).values())
    exploration.draw_exploration(rgb, tmp_path / "flat.png")
    assert [path.name for path in tmp_path.iterdir()] == ["flat.png"]


def test_pixels_that_differ_by_rounding_alone_count_as_one_level():
    gray = np.full((9, 11), 0.3)
    gray[-1, -1] = np.nextafter(0.3, 1)
    assert all(np.array_equal(treated, gray) for treated in exploration.contrast_treatments(gray).values())


@pytest.mark.parametrize("shape", [(1, 1), (7, 400), (400, 7)])
def test_a_tiny_photo_has_ranges_but_no_figure(tmp_path, shape):
    rgb = np.zeros((*shape, 3), np.uint8)
    assert exploration.lab_ranges(rgb)["L"] == pytest.approx((0, 0), abs=1e-3)
    with pytest.raises(UserError, match=f"{shape[1]}x{shape[0]} pixels"):
        exploration.draw_exploration(rgb, tmp_path / "tiny.png")
    assert not any(tmp_path.iterdir())


def test_only_large_photos_are_reduced_and_strips_keep_eight_rows():
    assert exploration._reduced(np.zeros((1024, 9, 3), np.uint8)).shape == (1024, 9, 3)
    assert exploration._reduced(np.zeros((600, 2048, 3), np.uint8)).shape == (300, 1024, 3)
    assert exploration._reduced(np.zeros((9, 4096, 3), np.uint8)).shape == (8, 1024, 3)


def test_the_command_prints_the_ranges_and_writes_the_figure(run, photo, astronaut):
    code, output, _ = run("pix2pix/exploration.py", photo)
    assert code == 0
    lab = color.rgb2lab(astronaut / 255)
    lines = output.splitlines()
    assert lines[:2] == ["Image dimensions: (150, 128, 3)", "Channels:"]
    for channel, line in enumerate(lines[2:5]):
        name, *numbers = re.fullmatch(r"([Lab]) : min=(-?\d+\.\d{4}), max=(-?\d+\.\d{4})", line).groups()
        assert name == "Lab"[channel]
        expected = lab[..., channel].min(), lab[..., channel].max()
        assert [float(number) for number in numbers] == pytest.approx(expected, abs=2e-4)
    assert lines[5:] == ["wrote astronaut-exploration.png"]
    assert [path.name for path in Path.cwd().iterdir()] == ["astronaut-exploration.png"]
    with Image.open("astronaut-exploration.png") as figure:
        assert figure.format == "PNG" and figure.width == 1600


def test_an_earlier_figure_is_replaced_but_nothing_else(photo, capsys):
    original = photo.read_bytes()
    assert exit_code(photo, "-o", "figure.png") == 0
    assert exit_code(photo, "-o", "figure.png") == 0
    assert_refused(capsys, "is the photo itself", photo, "-o", photo)
    other = photo.with_name("other.png")
    other.write_bytes(original)
    assert_refused(capsys, "other.png exists", photo, "-o", other)
    assert photo.read_bytes() == other.read_bytes() == original


def test_an_output_that_cannot_be_is_refused_in_one_line(photo, capsys):
    assert_refused(capsys, ".png", photo, "-o", "figure.jpg")
    assert_refused(capsys, "nowhere", photo, "-o", "nowhere/figure.png")
    assert_refused(capsys, "not a folder", photo, "-o", photo / "figure.png")


def test_no_photo_is_one_line(photo, capsys):
    text = photo.with_name("text.png")
    text.write_text("no photo")
    cut = photo.with_name("cut.png")
    cut.write_bytes(photo.read_bytes()[:3000])
    for path in (photo.with_name("missing.png"), photo.parent, text, cut):
        assert_refused(capsys, str(path), path)


def test_a_failed_drawing_leaves_the_earlier_figure_and_no_rest(photo, monkeypatch, capsys):
    from matplotlib.figure import Figure

    def fill_the_disk(self, path, **_):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    assert exit_code(photo) == 0
    earlier = Path("astronaut-exploration.png").read_bytes()
    monkeypatch.setattr(Figure, "savefig", fill_the_disk)
    assert_refused(capsys, "No space left", photo)
    assert Path("astronaut-exploration.png").read_bytes() == earlier


def test_without_matplotlib_the_error_names_the_install_line(photo, monkeypatch, capsys):
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert_refused(capsys, 'drawing needs matplotlib: pip install -e ".[plots]"', photo)
