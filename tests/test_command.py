"""The command `colorize.py`: its flags, its lines of output, its exit codes, and what it leaves on the disk."""

import io
import json
import os
import sys
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import process
from PIL import Image
from skimage.color import rgb2lab
from stub_colorizer import StubColorizer

from pix2pix import command
from pix2pix.checkpoint import save_generator
from pix2pix.distributed import World
from pix2pix.errors import UserError
from pix2pix.unet import GeneratorConfig, UNetGenerator


@pytest.fixture(autouse=True)
def stub(monkeypatch):
    """No network: the tests with a network ask for `weights` too, and `real_colorizer`."""
    monkeypatch.setattr("pix2pix.command.Colorizer", StubColorizer)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A small random network with strong colors."""
    torch.manual_seed(0)
    network = UNetGenerator(GeneratorConfig(decoder_widths=(16, 8, 8, 8)))
    torch.nn.init.normal_(network.head.conv.bias, 0, 0.3)
    path = tmp_path_factory.mktemp("weights") / "generator.pt"
    save_generator(path, network, size=64, about={"stage": "pretrain"})
    return path


@pytest.fixture
def gray_photo(tmp_path, real_photos):
    Image.fromarray(real_photos[0]).convert("L").save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def chroma(path):
    with Image.open(path) as image:
        lab = rgb2lab(np.asarray(image.convert("RGB")))
    return np.hypot(lab[..., 1], lab[..., 2])


def names_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_the_way_from_the_command_line_to_a_file_with_a_real_network(weights, gray_photo, tmp_path):
    """A real process, from standard input to standard output."""
    with gray_photo.open("rb") as photo:
        child = process("colorize.py", "-", "--weights", weights, cwd=tmp_path, stdin=photo, text=False)
        content, _ = child.communicate(timeout=300)
    assert child.returncode == 0
    with Image.open(io.BytesIO(content)) as image, Image.open(gray_photo) as gray:
        assert image.format == "PNG" and image.size == (128, 96)
        lab, expected = rgb2lab(np.asarray(image)), rgb2lab(np.asarray(gray.convert("RGB")))
    assert np.hypot(lab[..., 1], lab[..., 2]).mean() > 5
    difference = np.abs(lab[..., 0] - expected[..., 0])
    assert difference.max() < 1 and np.median(difference) < 0.3


def test_a_colorized_photo_is_written_beside_the_photo(run, gray_photo):
    before = gray_photo.read_bytes()
    code, output, errors = run("colorize.py", "photo.png")
    assert code == 0 and output == "photo.png -> photo-colorized.png\n" and not errors
    assert gray_photo.read_bytes() == before
    assert chroma(gray_photo.with_name("photo-colorized.png")).mean() > 5


def test_strength_is_that_of_the_colors(run, gray_photo, tmp_path):
    for strength in (0, 0.1, 0.2):
        assert run("colorize.py", gray_photo, "--strength", strength, "-o", f"{strength}.png")[0] == 0
    weak, strong = (chroma(tmp_path / f"{strength}.png").mean() for strength in (0.1, 0.2))
    assert chroma(tmp_path / "0.png").max() < 0.01 and strong == pytest.approx(2 * weak, rel=0.1)


@pytest.mark.parametrize(
    "words",
    [
        [], ["--serve", "photo.png"], ["photo.png", "--strength", -1], ["photo.png", "--strength", "nan"],
        ["photo.png", "--max-pixels", "inf"], ["photo.png", "--max-pixels", 0], ["photo.png", "--size", 8],
        ["--serve", "--port", 0], ["-", "photo.png"], ["-", "--json"],
    ],
)  # fmt: skip
def test_flags_out_of_range_are_refused_with_the_usage(run, words):
    code, _, errors = run("colorize.py", *words)
    assert code == 2 and "usage: " in errors and "error: " in errors


def test_a_folder_keeps_its_structure_and_its_order(run, photo_folder, tmp_path):
    code, output, errors = run("colorize.py", photo_folder, "-o", "out")
    assert code == 0 and "12 colorized, 0 already there, 0 failed" in errors
    assert names_in(tmp_path / "out") == names_in(photo_folder)
    sources = [line.split(" -> ")[0] for line in output.splitlines()]
    assert len(sources) == 12 and sources == sorted(sources, key=lambda name: (name.count("inner"), name))


def test_a_second_run_does_nothing_again_and_says_so(run, gray_photo):
    run("colorize.py", "photo.png")
    target = gray_photo.with_name("photo-colorized.png")
    target.write_bytes(b"mine")
    code, output, _ = run("colorize.py", "photo.png")
    assert code == 0 and "already there" in output and "--overwrite" in output and target.read_bytes() == b"mine"
    assert run("colorize.py", gray_photo.parent)[0] == 0
    assert not target.with_name("photo-colorized-colorized.png").exists()
    run("colorize.py", "photo.png", "--overwrite")
    assert target.read_bytes() != b"mine"


def test_an_input_is_not_written_over_by_another_spelling_of_its_path(refused, gray_photo):
    before, folder = gray_photo.read_bytes(), gray_photo.parent
    (folder / "inner").mkdir()
    (folder / "link").symlink_to(folder)
    (folder / "same.png").symlink_to(gray_photo)
    for output in ("photo.png", "inner/../photo.png", "inner/..", "link", "same.png"):
        assert "over itself" in refused("colorize.py", "photo.png", "-o", output, "--overwrite")
    assert "over itself" in refused("colorize.py", "same.png", "-o", "photo.png", "--overwrite")
    assert gray_photo.read_bytes() == before


@pytest.mark.parametrize(
    "words",
    [
        ["*.png"], ["photo.png", "photo-colorized.png"], [".", "-o", "out"], ["**/*.png", "-o", "out"],
        ["photo.png", "out", "-o", "out"], ["*", "-o", "out"], ["*.png", "-o", "out.png"],
    ],
)  # fmt: skip
def test_colorized_photos_are_no_sources_of_a_second_run(run, gray_photo, words):
    (gray_photo.parent / "out").mkdir()
    first = run("colorize.py", *[word for word in words if "-c" not in word])[1]
    before = {path: path.stat().st_mtime_ns for path in gray_photo.parent.rglob("*.png")}
    _, output, _ = run("colorize.py", *words)
    assert first.count("->") == 1 and "->" not in output
    assert len(before) == 2 and before == {path: path.stat().st_mtime_ns for path in gray_photo.parent.rglob("*.png")}


def test_a_broken_photo_does_not_stop_the_others(run, photo_folder):
    (photo_folder / "00.jpg").write_text("words")
    code, _, errors = run("colorize.py", photo_folder, "nowhere.jpg")
    assert code == 1
    assert "12 colorized, 0 already there, 2 failed" in errors and "00.jpg" in errors and "nowhere.jpg" in errors
    assert errors.count("\nerror: ") + errors.startswith("error: ") == 2
    assert len(list(photo_folder.rglob("*-colorized.*"))) == 12
    assert not list(photo_folder.rglob(".*"))


def test_bad_calls_are_refused(refused, gray_photo, tmp_path, photo_folder, monkeypatch):
    assert "over themselves" in refused("colorize.py", photo_folder, "-o", photo_folder)
    assert "one file" in refused("colorize.py", photo_folder, "-o", "out.jpg")
    assert "there is no gone.png" in refused("colorize.py", "gone.png")
    assert "needs a file" in refused("colorize.py", "-", "-o", "out")
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "words.pt").write_text("words")
    assert "words.pt" in refused("colorize.py", gray_photo, "--weights", "words.pt")
    assert "there is no gone.pt" in refused("colorize.py", gray_photo, "--weights", "gone.pt")
    assert "cuda:99" in refused("colorize.py", gray_photo, "--device", "cuda:99")
    assert not list(tmp_path.glob("*-colorized*")) and not (tmp_path / "out").exists()


@pytest.mark.parametrize("suffix", [".jxl", ".pdf", ".tga", ".PSD", ".svg", ".mp3", ".dng", ".exr", ".txt"])
def test_an_output_of_a_kind_that_is_not_written_is_no_folder(refused, gray_photo, suffix):
    error = refused("colorize.py", "photo.png", "-o", f"c{suffix}")
    assert f"cannot write c{suffix}: photos are written as .jpg .png .tif" in error
    assert names_in(gray_photo.parent) == ["photo.png"]


@pytest.mark.parametrize("name", ["out", "scans.2024", "a.v2", "old.d"])
def test_a_folder_may_have_a_dot_in_its_name(run, gray_photo, name):
    assert run("colorize.py", "photo.png", "-o", name)[0] == 0
    assert (gray_photo.parent / name / "photo.png").is_file()


def test_a_full_disk_is_said_and_leaves_nothing(run, gray_photo, monkeypatch):
    def full(self, path, *_, **__):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    code, _, errors = run("colorize.py", gray_photo)
    assert code == 1 and "No space left on device" in errors and "photo-colorized.png" in errors
    assert names_in(gray_photo.parent) == ["photo.png"]


def test_weights_that_do_not_fit_the_memory_are_said(refused, gray_photo, weights, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("not enough memory")

    monkeypatch.undo()
    monkeypatch.chdir(gray_photo.parent)
    monkeypatch.setattr(torch, "load", fail)
    assert "needs more memory" in refused("colorize.py", gray_photo, "--weights", weights)


def test_a_closed_standard_input_is_said(refused, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)  # as Python has it after <&-
    assert "closed" in refused("colorize.py", "-")


@pytest.fixture
def stream(run, monkeypatch):
    """`stream(content, *words)`: what `colorize.py -` writes to standard output."""

    def call(content, *words):
        output = io.BytesIO()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
            patch.setattr(sys, "stdout", io.TextIOWrapper(output))
            code = run("colorize.py", "-", *words)[0]
            sys.stdout.flush()
            sys.stdout.detach()  # or it closes `output` with itself
        return code, output.getvalue()

    return call


@pytest.mark.parametrize(("format", "written"), [("JPEG", "JPEG"), ("TIFF", "TIFF"), ("GIF", "PNG")])
def test_standard_output_has_the_photos_format_whatever_its_size(stream, monkeypatch, format, written):
    content = io.BytesIO()
    Image.new("L", (64, 48), 128).save(content, format)
    with monkeypatch.context() as patch:
        patch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # Pillow refuses twice as many
        code, output = stream(content.getvalue())
    with Image.open(io.BytesIO(output)) as image:
        assert code == 0 and image.format == written and image.size == (64, 48)


def test_patterns_and_comparing(run, photo_folder, tmp_path):
    code, _, errors = run("colorize.py", "photos/*.png", "--compare")
    assert code == 0 and "6 colorized" in errors
    with Image.open(photo_folder / "01-compared.png") as pair, Image.open(photo_folder / "01.png") as photo:
        assert pair.size == (256, 96)
        sides, expected = rgb2lab(np.asarray(pair)), rgb2lab(np.asarray(photo))[..., 0]
    left, right = sides[:, :128], sides[:, 128:]
    assert np.abs(left[..., 0] - expected).max() < 0.5 and np.abs(left[..., 1:]).max() < 0.1
    assert np.hypot(right[..., 1], right[..., 2]).mean() > 5
    assert "12 colorized" in run("colorize.py", "photos")[2]  # the pairs are no photos


def test_one_line_of_json_for_each_photo(run, photo_folder):
    (photo_folder / "00.jpg").write_text("words")
    (photo_folder / "02.points.json").write_text("{")
    (photo_folder / "02.png").write_bytes((photo_folder / "01.png").read_bytes())
    for overwrite in ((), ("--overwrite",)):
        code, output, _ = run("colorize.py", photo_folder, "--json", *overwrite)
        lines = [json.loads(line) for line in output.splitlines()]
        assert code == 1 and len(lines) == 14
        assert Counter(line["status"] for line in lines) == {"done": 12, "failed": 2}
        assert all((photo_folder / line["written"]).exists() for line in lines if line["status"] == "done")
        assert {line["photo"][-6:] for line in lines if line["status"] == "failed"} == {"00.jpg", "02.png"}
    lines = run("colorize.py", photo_folder, "--json")[1].splitlines()
    assert Counter(json.loads(line)["status"] for line in lines) == {"skipped": 12, "failed": 2}


def test_names_with_line_breaks_and_bytes_that_are_no_text(run, gray_photo, tmp_path):
    (tmp_path / "in").mkdir()
    for name in (b"two\nlines.png", b"\xff\xfe.png", b"-dash.png"):
        (tmp_path / "in" / os.fsdecode(name)).write_bytes(gray_photo.read_bytes())
    (tmp_path / "in" / "bro\nken.png").write_bytes(b"no photo")
    os.mkfifo(tmp_path / "in" / "pipe.png")
    code, _, errors = run("colorize.py", "in", "gone\n.png", "-o", "out")
    assert code == 1 and "3 colorized, 0 already there, 3 failed" in errors
    assert "bro\\nken.png is not a photo" in errors and "pipe.png is no regular file" in errors
    assert "there is no gone\\n.png" in errors
    assert len(list((tmp_path / "out").iterdir())) == 3


@pytest.mark.parametrize("name", ["x" * 247 + ".jpeg", "写真" * 41 + "写.png"])
def test_names_near_the_disks_limit(run, refused, real_photos, tmp_path, name):
    assert len(os.fsencode(name)) > 250
    Image.fromarray(real_photos[0]).save(tmp_path / name)
    assert run("colorize.py", name, "-o", "out")[0] == 0
    assert names_in(tmp_path / "out") == [name]
    assert "File name too long; give another name or folder with -o" in refused("colorize.py", name)


def test_processes_share_the_gpus_unless_a_device_is_named(monkeypatch):
    world = World(rank=5, size=6, local_rank=5)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert command.device_of(world, "auto") == "auto"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    names = ("auto", "cuda", "cpu", "cuda:3")
    assert [command.device_of(world, name) for name in names] == ["cuda:1", "cuda:1", "cpu", "cuda:3"]
    assert command.device_of(World(), "auto") == "auto"


def test_processes_share_the_photos_whichever_of_them_are_done(run, photo_folder, tmp_path, monkeypatch):
    """What torchrun sets for each of three processes; faults/test_killed_colorizing.py starts real ones."""
    (photo_folder / "02.png").write_bytes(b"")
    first = [line.split(" -> ")[0] for line in run("colorize.py", photo_folder, "-o", "all")[1].splitlines()]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "01.png").write_bytes(b"done before")
    shares, codes = [], []
    for rank in range(3):
        for key, value in (("RANK", rank), ("WORLD_SIZE", 3), ("LOCAL_RANK", rank)):
            monkeypatch.setenv(key, str(value))
        code, output, _ = run("colorize.py", photo_folder, "gone.png", "-o", "out")
        shares.append([line.split(" -> ")[0] for line in output.splitlines() if " -> " in line])
        codes.append(code)
    together = [source for share in shares for source in share]
    assert max(map(len, shares)) <= 5 and len(together) == 11
    assert set(together) == set(first) - {str(photo_folder / "01.png")}
    assert codes == [1, 1, 0]  # the first process names what is gone, the second has the empty photo
    assert (tmp_path / "out" / "01.png").read_bytes() == b"done before"


# Points of color.

RED = "200,60,60"  # in CSS: rgb(200,60,60); as a hex number #c83c3c


def hue_at(path, x, y):
    """The angle of hue at a pixel, in degrees, of a and b by scikit-image."""
    with Image.open(path) as image:
        _, a, b = rgb2lab(np.asarray(image.convert("RGB")))[y, x]
    return np.degrees(np.arctan2(b, a)) % 360


def hue_of(color):
    _, a, b = rgb2lab(np.array([[color]], np.uint8))[0, 0]
    return np.degrees(np.arctan2(b, a)) % 360


@pytest.fixture
def middle_gray(tmp_path):
    """A photo of 40x30 pixels, all of them mid gray."""
    Image.new("L", (40, 30), 120).save(tmp_path / "scan.png")
    return tmp_path / "scan.png"


def write_points(path, *points):
    path.write_text(json.dumps({"points": [dict(zip(("x", "y", "color", "page"), p, strict=False)) for p in points]}))


def test_points_of_the_command_line(run, middle_gray):
    code, output, _ = run("colorize.py", "scan.png", "--point", "5,6,#3c50c8", "--point", "30, 20, red", "-o", "c.png")
    assert code == 0 and "->" in output
    assert hue_at("c.png", 5, 6) == pytest.approx(hue_of((60, 80, 200)), abs=3)
    assert hue_at("c.png", 30, 20) == pytest.approx(hue_of((255, 0, 0)), abs=3)
    assert abs(hue_at("c.png", 20, 10) - hue_of((255, 0, 0))) > 10


def test_a_points_file_by_flag_and_one_beside_the_photo_give_the_same_file(run, middle_gray, tmp_path):
    write_points(tmp_path / "elsewhere.json", (5, 6, "#3c50c8"), (30, 20, "red"))
    assert run("colorize.py", "scan.png", "--points", "elsewhere.json", "-o", "flag.png")[0] == 0
    assert run("colorize.py", "scan.png", "--point", "5,6,#3c50c8", "--point", "30,20,red", "-o", "two.png")[0] == 0
    write_points(tmp_path / "scan.points.json", (5, 6, "#3c50c8"), (30, 20, "red"))
    code, output, _ = run("colorize.py", "scan.png", "-o", "beside.png")
    assert code == 0 and "with 2 points of scan.points.json" in output
    contents = {(tmp_path / name).read_bytes() for name in ("flag.png", "two.png", "beside.png")}
    assert len(contents) == 1
    _, output, _ = run("colorize.py", "scan.png", "--no-points", "-o", "without.png")
    assert "points" not in output and (tmp_path / "without.png").read_bytes() not in contents
    # --point adds to the points beside the photo, --points takes their place
    run("colorize.py", "scan.png", "--point", "20,10,lime", "-o", "added.png")
    assert hue_at("added.png", 20, 10) == pytest.approx(hue_of((0, 255, 0)), abs=3)
    assert hue_at("added.png", 30, 20) == pytest.approx(hue_of((255, 0, 0)), abs=3)
    write_points(tmp_path / "elsewhere.json", (20, 10, "lime"))
    run("colorize.py", "scan.png", "--points", "elsewhere.json", "-o", "instead.png")
    assert abs(hue_at("instead.png", 30, 20) - hue_of((255, 0, 0))) > 10


def test_points_in_folders_belong_to_their_photos(run, photo_folder, tmp_path):
    write_points(photo_folder / "inner" / "00.points.json", (100, 50, "blue"))
    code, output, errors = run("colorize.py", photo_folder, "-o", "out")
    assert code == 0 and output.count(": with 1 point of 00.points.json") == 1 and "left out" not in errors
    plain = hue_at(tmp_path / "out" / "01.png", 100, 50)
    assert hue_at(tmp_path / "out" / "inner" / "00.jpg", 100, 50) != pytest.approx(plain, abs=30)
    assert not list((tmp_path / "out").rglob("*.json"))


def test_points_and_standard_input(stream, middle_gray, tmp_path):
    write_points(tmp_path / "p.json", (5, 6, "blue"))
    code, output = stream(middle_gray.read_bytes(), "--points", "p.json", "--point", "30,20,lime")
    (tmp_path / "c.png").write_bytes(output)
    assert code == 0 and hue_at("c.png", 30, 20) == pytest.approx(hue_of((0, 255, 0)), abs=3)
    assert hue_at("c.png", 5, 6) == pytest.approx(hue_of((0, 0, 255)), abs=3)


def test_points_belong_to_a_page(run, refused, tmp_path):
    pages = [Image.new("L", (40, 30), 120) for _ in range(3)]
    pages[0].save(tmp_path / "scan.tif", save_all=True, append_images=pages[1:])
    write_points(tmp_path / "scan.points.json", (5, 6, "blue"), (5, 6, "lime", 3))
    assert run("colorize.py", "scan.tif")[0] == 0
    with Image.open(tmp_path / "scan-colorized.tif") as written:
        for number, photo in enumerate(("first", "second", "third")):
            written.seek(number)
            written.copy().save(tmp_path / f"{photo}.png")
    assert hue_at("first.png", 5, 6) == pytest.approx(hue_of((0, 0, 255)), abs=3)
    assert hue_at("second.png", 5, 6) == pytest.approx(hue_at("second.png", 20, 20), abs=1)
    assert hue_at("third.png", 5, 6) == pytest.approx(hue_of((0, 255, 0)), abs=3)
    write_points(tmp_path / "scan.points.json", (5, 6, "blue"), (5, 6, "lime", 4))
    error = refused("colorize.py", "scan.tif", "-o", "c.tif")
    assert "the point 5,6,lime is on page 4 of scan.tif, which has 3" in error and not (tmp_path / "c.tif").exists()


def test_points_of_an_upright_photo(run, tmp_path):
    """A photo that is stored lying: its points are those of what one sees."""
    exif = Image.Exif()
    exif[274] = 6
    Image.new("L", (30, 40), 120).save(tmp_path / "scan.png", exif=exif)  # seen as 40x30
    assert run("colorize.py", "scan.png", "--point", "36,2,blue")[0] == 0
    assert hue_at("scan-colorized.png", 36, 2) == pytest.approx(hue_of((0, 0, 255)), abs=3)


def test_a_panorama_takes_points(run, tmp_path):
    Image.new("L", (6000, 20), 120).save(tmp_path / "scan.png")
    assert run("colorize.py", "scan.png", "--point", "5900,10,blue", "--compare", "-o", "c.png")[0] == 0
    assert hue_at("c.png", 11900, 10) == pytest.approx(hue_of((0, 0, 255)), abs=3)


@pytest.mark.parametrize(
    ("point", "said"),
    [
        ("40,5,red", "the point 40,5,red lies outside scan.png, which has 40x30 pixels"),
        ("5,30,red", "the point 5,30,red lies outside scan.png, which has 40x30 pixels"),
        ("-1,5,red", "the point -1,5,red lies outside scan.png, which has 40x30 pixels"),
        ("5,6,reddish", "'reddish' is no color"),
        ("5,6", "'5,6' is no point X,Y,COLOR"),
        ("a,6,red", "'a,6,red' is no point X,Y,COLOR"),
        ("nan,6,red", "'nan,6,red' is no point X,Y,COLOR"),
    ],
)
def test_a_point_that_cannot_be_is_one_line(refused, middle_gray, point, said):
    assert said in refused("colorize.py", "scan.png", f"--point={point}")
    assert names_in(middle_gray.parent) == ["scan.png"]


@pytest.mark.parametrize("content", ["{", "[]", '{"points": 3}', '{"points": [{"x": 1, "y": 2}]}', "\x00", ""])
def test_a_file_that_holds_no_points_is_one_line(refused, middle_gray, content, tmp_path):
    (tmp_path / "p.json").write_text(content)
    assert "p.json" in refused("colorize.py", "scan.png", "--points", "p.json")
    (tmp_path / "scan.points.json").write_text(content)
    assert "scan.points.json" in refused("colorize.py", "scan.png")
    assert "gone.json" in refused("colorize.py", "scan.png", "--points", "gone.json")
    assert names_in(tmp_path) == ["p.json", "scan.png", "scan.points.json"]


def test_bad_points_of_one_photo_do_not_stop_the_others(run, photo_folder):
    write_points(photo_folder / "01.points.json", (500, 5, "red"))
    (photo_folder / "03.points.json").write_text("{")
    code, _, errors = run("colorize.py", photo_folder)
    assert code == 1 and "10 colorized, 0 already there, 2 failed" in errors
    assert f"{photo_folder / '01.png'}, which has 128x96 pixels" in errors and "03.points.json" in errors
    assert len(list(photo_folder.rglob("*-colorized.*"))) == 10


def test_weights_that_take_no_points(refused, run, middle_gray, monkeypatch, tmp_path):
    monkeypatch.setattr(StubColorizer, "takes_points", False)
    assert "the weights stub.pt take no points" in refused("colorize.py", "scan.png", "--point", "5,6,red")
    write_points(tmp_path / "scan.points.json", (5, 6, "red"))
    error = refused("colorize.py", "scan.png")
    assert "scan.png has points of color" in error and "stub.pt take none" in error and "--no-points" in error
    assert not (tmp_path / "scan-colorized.png").exists()
    assert run("colorize.py", "scan.png", "--no-points")[0] == 0


def test_points_that_changed_colorize_a_photo_again(run, middle_gray, tmp_path):
    def ages(photo, points):
        os.utime("scan-colorized.png", ns=(photo, photo))
        os.utime("scan.points.json", ns=(points, points))

    write_points(tmp_path / "scan.points.json", (5, 6, "blue"))
    run("colorize.py", "scan.png")
    ages(photo=2_000, points=1_000)
    assert "already there" in run("colorize.py", "scan.png")[1]
    write_points(tmp_path / "scan.points.json", (5, 6, "lime"))
    ages(photo=2_000, points=3_000)
    assert "->" in run("colorize.py", "scan.png")[1]
    assert hue_at("scan-colorized.png", 5, 6) == pytest.approx(hue_of((0, 255, 0)), abs=3)
    ages(photo=2_000, points=3_000)
    assert "already there" in run("colorize.py", "scan.png", "--no-points")[1]
    ages(photo=4_000, points=3_000)
    said = run("colorize.py", "scan.png", "--point", "5,6,red")[1]
    assert "already there" in said and "--overwrite colorizes it again, with these points" in said


def test_the_page_gets_its_flags(run, monkeypatch):
    served = {}
    page = SimpleNamespace(serve=lambda colorizer, **options: served.update(options))
    monkeypatch.setitem(sys.modules, "pix2pix.web.page", page)  # no gradio needed
    assert run("colorize.py", "--serve", "--port", 7999, "--strength", 0.5, "--max-pixels", 2)[0] == 0
    assert served == {"host": "127.0.0.1", "port": 7999, "max_pixels": 2_000_000, "strength": 0.5}


def test_the_installed_command_is_the_same(monkeypatch, gray_photo, capsys):
    monkeypatch.chdir(gray_photo.parent)
    monkeypatch.setattr(sys, "argv", ["pix2pix-colorize", "photo.png"])
    with pytest.raises(SystemExit) as stop:
        command.run()
    assert not stop.value.code and "photo.png -> photo-colorized.png" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["pix2pix-colorize", "--help"])
    with pytest.raises(SystemExit):
        command.run()
    assert "pix2pix-colorize scans/ -o color/" in capsys.readouterr().out


def test_main_raises_what_a_user_can_mend(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["colorize.py", "a", "-o", "c.pdf"])
    with pytest.raises(UserError, match=r"cannot write c\.pdf"):
        command.main()
