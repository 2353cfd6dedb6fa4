"""colorize.py: what is written, and that the photo's own lightness stays."""

import hashlib
import io
import json
import os
import runpy
import signal
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tifffile
import torch
import torch.nn.functional as F
from conftest import ROOT, process
from PIL import Image
from skimage.color import rgb2lab

import pix2pix
from pix2pix.checkpoint import SHIPPED_GENERATOR, save_generator
from pix2pix.color import lab_to_rgb_in_gamut, to_lab
from pix2pix.distributed import World
from pix2pix.evaluation.metrics import colorfulness
from pix2pix.inference import Colorizer, colorize_batch, enlarge, gray_batch, predict_ab
from pix2pix.unet import GeneratorConfig, UNetGenerator


@pytest.fixture(scope="module")
def network():
    """A small random network with strong colours."""
    torch.manual_seed(0)
    network = UNetGenerator(GeneratorConfig(decoder_widths=(16, 8, 8, 8))).eval()
    torch.nn.init.normal_(network.head.conv.bias, 0, 0.3)
    return network


@pytest.fixture
def weights(network, tmp_path):
    save_generator(tmp_path / "generator.pt", network, size=64, about={"stage": "pretrain"})
    return tmp_path / "generator.pt"


@pytest.fixture
def gray_photo(tmp_path, real_photos):
    Image.fromarray(real_photos[0]).convert("L").save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_a_coloured_photo_is_written_beside_the_photo(run, weights, gray_photo):
    before = gray_photo.read_bytes()
    code, _, _ = run("colorize.py", "photo.png", "--weights", weights)
    assert code == 0 and gray_photo.read_bytes() == before
    with Image.open(gray_photo.with_name("photo-colorized.png")) as coloured, Image.open(gray_photo) as gray:
        assert coloured.size == gray.size and coloured.mode == "RGB"
        lab, expected = rgb2lab(np.asarray(coloured)), rgb2lab(np.asarray(gray.convert("RGB")))
    assert np.hypot(lab[..., 1], lab[..., 2]).mean() > 5
    difference = np.abs(lab[..., 0] - expected[..., 0])
    assert difference.max() < 1 and np.median(difference) < 0.3


def test_l_is_untouched_where_the_gamut_allows(network, batch):
    """With colours weak enough for every lightness, nothing but rounding is left."""
    lightness = gray_batch(batch)
    with torch.no_grad():
        head = network.head.conv.weight.clone(), network.head.conv.bias.clone()
        network.head.conv.weight.mul_(0.02), network.head.conv.bias.mul_(0.02)
        coloured = colorize_batch(network, batch, 64)
        network.head.conv.weight.copy_(head[0]), network.head.conv.bias.copy_(head[1])
    middle = (lightness[:, 0] > 30) & (lightness[:, 0] < 225)
    for one, gray, where in zip(coloured, lightness, middle, strict=True):
        one, gray = (rgb2lab(image.permute(1, 2, 0).numpy())[..., 0] for image in (one, gray))
        assert np.abs(one - gray)[where.numpy()].max() < 0.5
    assert not torch.equal(coloured, lightness)


def test_large_photos_are_converted_strip_by_strip_without_a_seam(weights, network, real_photos):
    large = np.tile(real_photos[1], (12, 4, 1))  # 1152 rows: two strips
    colorizer = Colorizer(weights, device="cpu")
    coloured = np.asarray(colorizer.colorize(Image.fromarray(large)))
    whole = torch.from_numpy(large).permute(2, 0, 1)[None]
    with torch.inference_mode():
        lightness, _ = to_lab(whole)
        ab = predict_ab(colorizer.generator, lightness, (144, 64))  # 1152x512, the short side at 64
        expected = lab_to_rgb_in_gamut(lightness, ab)[0].permute(1, 2, 0).numpy()
    assert np.abs(coloured.astype(int) - expected).max() <= 1
    tensor = colorizer.colorize(whole.expand(2, -1, -1, -1))
    assert torch.equal(tensor[1].permute(1, 2, 0), torch.tensor(coloured))


@pytest.mark.parametrize("size", [(300, 400), (1000, 31), (20, 24), (128, 171), (1, 7)])
def test_enlarging_by_strips_equals_torchs_bicubic(size):
    small = torch.rand(1, 2, 32, 43, generator=torch.Generator().manual_seed(0)) * 2.2 - 1.1
    expected = F.interpolate(small, size, mode="bicubic", align_corners=False).clamp(-1, 1)
    for rows in (1, 7, 5000):
        strips = list(enlarge(small, *size, rows))
        assert [strip.shape[2] for strip in strips[:-1]] == [rows] * (len(strips) - 1)
        assert torch.allclose(torch.cat(strips, dim=2), expected, atol=1e-6)


def test_colours_of_the_photo_are_not_looked_at(network, batch):
    with torch.inference_mode():
        one, two = colorize_batch(network, batch, 64), colorize_batch(network, gray_batch(batch), 64)
    assert (one.int() - two.int()).abs().float().mean() < 1  # the gray photo's L is rounded to 8 bits


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (7, 5)])
def test_tiny_and_narrow_photos(weights, size):
    assert Colorizer(weights, device="cpu").colorize(Image.new("L", size, 100)).size == size


@pytest.mark.parametrize("size", [(1, 30_000), (30_000, 1)])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_photos_one_pixel_wide_or_high(run, weights, tmp_path, size, suffix):
    gray = np.random.default_rng(0).integers(60, 190, 300).repeat(100).astype(np.uint8)
    Image.fromarray(gray.reshape(size[::-1])).save(tmp_path / f"line{suffix}")
    with Image.open(tmp_path / f"line{suffix}") as photo:
        expected = rgb2lab(np.asarray(photo.convert("RGB")))[..., 0]
    assert run("colorize.py", f"line{suffix}", "--weights", weights, "-o", f"coloured{suffix}")[0] == 0
    with Image.open(tmp_path / f"coloured{suffix}") as coloured:
        assert coloured.size == size
        lab = rgb2lab(np.asarray(coloured.convert("RGB")))
    assert np.hypot(lab[..., 1], lab[..., 2]).mean() > 5
    assert np.abs(lab[..., 0] - expected).mean() < (1.5 if suffix == ".jpg" else 0.5)


def test_strength_is_that_of_the_colours(run, refused, weights, gray_photo, tmp_path):
    def chroma(strength):
        assert (
            run("colorize.py", gray_photo, "--weights", weights, "--strength", strength, "-o", f"{strength}.png")[0]
            == 0
        )
        with Image.open(tmp_path / f"{strength}.png") as image:
            lab = rgb2lab(np.asarray(image))
        return np.hypot(lab[..., 1], lab[..., 2]).mean()

    weak, strong = chroma(0.1), chroma(0.2)
    assert chroma(0) < 0.01 and strong == pytest.approx(2 * weak, rel=0.1)
    for wrong in (("--strength", -1), ("--strength", "nan"), ("--max-pixels", "inf"), ("--max-pixels", 0)):
        assert run("colorize.py", gray_photo, "--weights", weights, *wrong)[0] == 2


def test_a_folder_keeps_its_structure(run, weights, photo_folder, tmp_path):
    code, _, _ = run("colorize.py", photo_folder, "-o", "out", "--weights", weights)
    assert code == 0
    names = sorted(str(path.relative_to(photo_folder)) for path in photo_folder.rglob("*.*"))
    assert sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*")) == names


def test_a_second_run_does_nothing_again_and_says_so(run, weights, gray_photo):
    run("colorize.py", "photo.png", "--weights", weights)
    target = gray_photo.with_name("photo-colorized.png")
    target.write_bytes(b"mine")
    code, output, _ = run("colorize.py", "photo.png", "--weights", weights)
    assert code == 0 and "already there" in output and target.read_bytes() == b"mine"
    assert run("colorize.py", gray_photo.parent, "--weights", weights)[0] == 0
    assert not target.with_name("photo-colorized-colorized.png").exists()
    run("colorize.py", "photo.png", "--weights", weights, "--overwrite")
    assert target.read_bytes() != b"mine"


def test_an_input_is_not_written_over_by_another_spelling_of_its_path(refused, weights, gray_photo):
    before, folder = gray_photo.read_bytes(), gray_photo.parent
    (folder / "inner").mkdir()
    (folder / "link").symlink_to(folder)
    (folder / "same.png").symlink_to(gray_photo)
    for output in ("inner/../photo.png", "inner/..", "link", "same.png"):
        assert "over itself" in refused("colorize.py", "photo.png", "-o", output, "--overwrite", "--weights", weights)
    assert "over itself" in refused("colorize.py", "same.png", "-o", "photo.png", "--overwrite", "--weights", weights)
    assert gray_photo.read_bytes() == before


def test_a_photo_named_twice_is_coloured_once(run, weights, gray_photo):
    names = "photo.png", gray_photo, f"../{gray_photo.parent.name}/photo.png"
    code, output, _ = run("colorize.py", *names, "--weights", weights)
    assert code == 0 and output.count("->") == 1


@pytest.mark.parametrize(
    "words",
    [
        ["*.png"], ["photo.png", "photo-colorized.png"], [".", "-o", "out"], ["**/*.png", "-o", "out"],
        ["photo.png", "out", "-o", "out"], ["*", "-o", "out"], ["*.png", "-o", "out.png"],
    ],
)  # fmt: skip
def test_coloured_photos_are_no_sources_of_a_second_run(run, weights, gray_photo, words):
    (gray_photo.parent / "out").mkdir()
    first = run("colorize.py", *[word for word in words if "-c" not in word], "--weights", weights)[1]
    before = {path: path.stat().st_mtime_ns for path in gray_photo.parent.rglob("*.png")}
    _, output, _ = run("colorize.py", *words, "--weights", weights)
    assert first.count("->") == 1 and "->" not in output
    assert len(before) == 2 and before == {path: path.stat().st_mtime_ns for path in gray_photo.parent.rglob("*.png")}


def test_a_broken_photo_does_not_stop_the_others(run, weights, photo_folder):
    (photo_folder / "00.jpg").write_text("words")
    code, _, errors = run("colorize.py", photo_folder, "nowhere.jpg", "--weights", weights)
    assert code == 1
    assert "12 coloured, 0 already there, 2 failed" in errors and "00.jpg" in errors and "nowhere.jpg" in errors
    assert len(list(photo_folder.rglob("*-colorized.*"))) == 12
    assert not list(photo_folder.rglob(".*"))


def test_bad_calls_are_refused(refused, weights, gray_photo, tmp_path, photo_folder):
    (tmp_path / "words.pt").write_text("words")
    assert "words.pt" in refused("colorize.py", gray_photo, "--weights", "words.pt")
    assert "there is no gone.pt" in refused("colorize.py", gray_photo, "--weights", "gone.pt")
    assert "cuda:99" in refused("colorize.py", gray_photo, "--weights", weights, "--device", "cuda:99")
    assert "over itself" in refused("colorize.py", gray_photo, "-o", gray_photo, "--weights", weights)
    assert "one file" in refused("colorize.py", photo_folder, "-o", "out.jpg", "--weights", weights)
    assert "there is no gone.png" in refused("colorize.py", "gone.png", "--weights", weights)
    assert "needs a file" in refused("colorize.py", "-", "-o", "out", "--weights", weights)
    assert not list(tmp_path.glob("*-colorized*")) and not (tmp_path / "out").exists()


def test_a_full_disk_is_said_and_leaves_nothing(run, weights, gray_photo, monkeypatch):
    def full(self, path, *_, **__):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    code, _, errors = run("colorize.py", gray_photo, "--weights", weights)
    assert code == 1 and "No space left on device" in errors and "photo-colorized.png" in errors
    assert sorted(path.name for path in gray_photo.parent.iterdir()) == ["generator.pt", "photo.png"]


def test_too_little_memory_is_said_and_leaves_nothing(refused, weights, gray_photo, monkeypatch):
    monkeypatch.setattr("pix2pix.photofile.read.free_memory", lambda: 12 * 128 * 96 - 1)
    error = refused("colorize.py", gray_photo, "--weights", weights)
    assert "photo.png needs more memory" in error and "smaller copy" in error
    assert sorted(path.name for path in gray_photo.parent.iterdir()) == ["generator.pt", "photo.png"]


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("not enough memory"), OSError("out of memory error when reading image file")]
)
def test_memory_that_runs_out_is_no_fault_of_the_files(refused, weights, gray_photo, monkeypatch, error):
    def fail(*_, **__):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr("pix2pix.photofile.read._read_page", fail)
        assert "photo.png needs more memory" in refused("colorize.py", gray_photo, "--weights", weights)
    if not isinstance(error, OSError):
        monkeypatch.setattr(torch, "load", fail)
        assert "needs more memory" in refused("colorize.py", gray_photo, "--weights", weights)
    assert sorted(path.name for path in gray_photo.parent.iterdir()) == ["generator.pt", "photo.png"]


def test_the_shipped_weights_are_small_are_those_described_and_colour(real_photos):
    described = json.loads(SHIPPED_GENERATOR.with_suffix(".json").read_text())
    content = SHIPPED_GENERATOR.read_bytes()
    assert len(content) < 32e6 and hashlib.sha256(content).hexdigest() == described["sha256"]
    gray = Image.fromarray(real_photos[0]).convert("L")
    coloured = torch.from_numpy(np.array(Colorizer(device="cpu").colorize(gray))).permute(2, 0, 1)[None]
    assert colorfulness(coloured).item() > 5


def test_as_a_library(weights, real_photos):
    colorizer = pix2pix.Colorizer(weights, device="cpu")
    gray = Image.fromarray(real_photos[0]).convert("L")
    image = colorizer.colorize(gray)
    array = colorizer.colorize(np.asarray(gray))
    tensor = colorizer.colorize(torch.from_numpy(np.array(gray))[None, None])
    assert image.mode == "RGB" and array.dtype == np.uint8 and tensor.dtype == torch.uint8
    assert np.array_equal(np.asarray(image), array) and np.array_equal(tensor[0].permute(1, 2, 0).numpy(), array)
    with ThreadPoolExecutor(4) as pool:
        for result in pool.map(colorizer.colorize, [gray] * 8):
            assert np.array_equal(np.asarray(result), array)
    exif = Image.Exif()
    exif[274] = 6  # shown turned a quarter to the right
    content = io.BytesIO()
    gray.rotate(90, expand=True).save(content, "PNG", exif=exif)
    assert np.array_equal(np.asarray(colorizer.colorize(Image.open(content))), array)
    flipped = np.asarray(gray)[::-1, ::-1]
    assert np.array_equal(colorizer.colorize(flipped), colorizer.colorize(flipped.copy()))
    assert np.array_equal(np.asarray(pix2pix.Colorizer(str(weights), device="cpu").colorize(gray.convert("I"))), array)
    assert colorizer.colorize(gray.convert("LA").convert("La")).size == gray.size
    for wrong, error in (
        (array.astype(np.float32), ValueError),
        (np.zeros((0, 4), np.uint8), ValueError),
        (tensor[0], ValueError),
        ("photo.jpg", TypeError),
    ):
        with pytest.raises(error, match="expected"):
            colorizer.colorize(wrong)


def test_sixteen_bits_stay_sixteen(run, weights, real_photos, tmp_path):
    ramp = np.linspace(10000, 50000, 96 * 96).reshape(96, 96).astype(np.uint16)
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    Image.fromarray(ramp).save(tmp_path / "deep.tif")
    assert run("colorize.py", "deep.png", "deep.tif", "--weights", weights, "--strength", 0)[0] == 0
    written = tifffile.imread(tmp_path / "deep-colorized.tif")
    assert written.dtype == np.uint16 and written.shape == (96, 96, 3)
    assert np.abs(written[..., 1].astype(int) - ramp).max() < 70  # gray stays the gray it was, to a thousandth
    with Image.open(tmp_path / "deep-colorized.png") as image:
        assert (tmp_path / "deep-colorized.png").read_bytes()[24] == 16  # PNG's bit depth
        assert np.abs(np.asarray(image)[..., 1] - (ramp >> 8).astype(int)).max() <= 1


def test_pages_stay_pages(run, weights, real_photos, tmp_path):
    first, *others = (Image.fromarray(photo).convert("L") for photo in real_photos[:3])
    first.save(tmp_path / "pages.tif", save_all=True, append_images=others)
    assert run("colorize.py", "pages.tif", "--weights", weights)[0] == 0
    with Image.open(tmp_path / "pages-colorized.tif") as coloured:
        assert coloured.n_frames == 3
        coloured.seek(2)
        assert coloured.mode == "RGB" and colorfulness(as_batch(coloured)).item() > 5


def as_batch(image):
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)[None]


def test_standard_input_to_standard_output(weights, gray_photo, tmp_path):
    with gray_photo.open("rb") as photo:
        child = process("colorize.py", "-", "--weights", weights, cwd=tmp_path, stdin=photo, text=False)
        content, _ = child.communicate(timeout=60)
    assert child.returncode == 0
    with Image.open(io.BytesIO(content)) as image:
        assert image.format == "PNG" and image.size == (128, 96) and colorfulness(as_batch(image)).item() > 5


def test_a_closed_standard_input_is_said(refused, weights, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)  # as Python has it after <&-
    assert "closed" in refused("colorize.py", "-", "--weights", weights)


@pytest.mark.parametrize(("format", "written"), [("JPEG", "JPEG"), ("TIFF", "TIFF"), ("GIF", "PNG")])
def test_standard_output_has_the_photos_format_whatever_its_size(weights, run, monkeypatch, format, written):
    content, output = io.BytesIO(), io.BytesIO()
    Image.new("L", (64, 48), 128).save(content, format)
    with monkeypatch.context() as patch:
        patch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # Pillow refuses twice as many
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content.getvalue())))
        patch.setattr(sys, "stdout", io.TextIOWrapper(output))
        assert run("colorize.py", "-", "--weights", weights)[0] == 0
        sys.stdout.detach()  # or it closes `output` with itself
    with Image.open(io.BytesIO(output.getvalue())) as image:
        assert image.format == written and image.size == (64, 48)


def test_patterns_and_comparing(run, weights, photo_folder, tmp_path):
    code, _, errors = run("colorize.py", "photos/*.png", "--compare", "--weights", weights)
    assert code == 0 and "6 coloured" in errors
    with Image.open(photo_folder / "01-compared.png") as pair, Image.open(photo_folder / "01.png") as photo:
        left, right = pair.crop((0, 0, 128, 96)), pair.crop((128, 0, 256, 96))
        assert pair.size == (256, 96) and colorfulness(as_batch(left)).item() < 0.01
        expected = gray_batch(as_batch(photo)).int()
        assert (as_batch(left).int() - expected).abs().max() <= 1
        assert colorfulness(as_batch(right)).item() > 5
    assert "12 coloured" in run("colorize.py", "photos", "--weights", weights)[2]  # the pairs are no photos


def test_one_line_of_json_a_photo(run, weights, photo_folder):
    (photo_folder / "00.jpg").write_text("words")
    for overwrite in ((), ("--overwrite",)):
        code, output, _ = run("colorize.py", photo_folder, "--json", "--weights", weights, *overwrite)
        lines = [json.loads(line) for line in output.splitlines()]
        assert code == 1 and len(lines) == 13
        statuses = Counter(line["status"] for line in lines)
        assert statuses == {"done": 12, "failed": 1}
        assert all((photo_folder / line["written"]).exists() for line in lines if line["status"] == "done")
        assert "00.jpg" in next(line["note"] for line in lines if line["status"] == "failed")
    lines = run("colorize.py", photo_folder, "--json", "--weights", weights)[1].splitlines()
    assert Counter(json.loads(line)["status"] for line in lines) == {"skipped": 12, "failed": 1}


def test_names_with_line_breaks_and_bytes_that_are_no_text(weights, gray_photo, tmp_path):
    (tmp_path / "in").mkdir()
    for name in (b"two\nlines.png", b"\xff\xfe.png", b"-dash.png"):
        (tmp_path / "in" / os.fsdecode(name)).write_bytes(gray_photo.read_bytes())
    (tmp_path / "in" / "bro\nken.png").write_bytes(b"no photo")
    os.mkfifo(tmp_path / "in" / "pipe.png")
    child = process("colorize.py", "in", "-o", "out", "--weights", weights, cwd=tmp_path)
    said, _ = child.communicate(timeout=120)
    assert child.returncode == 1 and "3 coloured, 0 already there, 2 failed" in said, said
    assert "bro\\nken.png is not a photo" in said and "pipe.png is no regular file" in said
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_processes_share_the_gpus_unless_a_device_is_named(monkeypatch):
    device_of = runpy.run_path(str(ROOT / "colorize.py"))["device_of"]
    world = World(rank=5, size=6, local_rank=5)
    assert device_of(world, "auto") == "auto"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    names = ("auto", "cuda", "cpu", "cuda:3")
    assert [device_of(world, name) for name in names] == ["cuda:1", "cuda:1", "cpu", "cuda:3"]
    assert device_of(World(), "auto") == "auto"


def test_three_processes_share_the_photos_also_after_a_kill(weights, real_photos, tmp_path):
    folder = tmp_path / "scans"
    folder.mkdir()
    for number in range(40):
        Image.fromarray(real_photos[number % 12]).convert("L").save(folder / f"{number:02d}.png")
    launch = "-m torch.distributed.run --nproc_per_node=3 --master_port=0 --standalone"
    words = (ROOT / "colorize.py", folder, "-o", "out", "--weights", weights)
    child = process(launch, *words, cwd=tmp_path, start_new_session=True)
    while len(list((tmp_path / "out").glob("*.png"))) < 5 and child.poll() is None:
        time.sleep(0.01)
    os.killpg(child.pid, signal.SIGKILL)
    child.communicate()
    done = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("[!.]*.png")}
    child = process(launch, *words, cwd=tmp_path)
    output = child.communicate(timeout=120)[0]
    assert child.returncode == 0, output
    written = [line.split(" -> ")[0] for line in output.splitlines() if " -> " in line]
    assert len(written) == len(set(written)) == 40 - len(done)
    assert {path.name for path in (tmp_path / "out").glob("[!.]*.png")} == {f"{n:02d}.png" for n in range(40)}
    assert all(path.stat().st_mtime_ns == before for path, before in done.items())
