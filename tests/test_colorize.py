"""colorize.py: what is written, and that the photo's own lightness stays."""

import hashlib
import json

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.color import rgb2lab

from pix2pix.checkpoint import SHIPPED_GENERATOR, save_generator
from pix2pix.color import to_lab
from pix2pix.inference import Colorizer, colorize_batch, gray_batch, join_colors, predict_ab
from pix2pix.metrics import colorfulness
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
    large = np.tile(real_photos[1], (6, 2, 1))  # 576 rows: three strips
    colorizer = Colorizer(weights, device="cpu")
    coloured = np.asarray(colorizer.colorize(Image.fromarray(large)))
    whole = torch.from_numpy(large).permute(2, 0, 1)[None]
    with torch.inference_mode():
        lightness, _ = to_lab(whole)
        ab = predict_ab(colorizer.generator, lightness, (144, 64))  # 576x256, the short side at 64
        expected = join_colors(lightness, ab)[0].permute(1, 2, 0).numpy()
    assert np.array_equal(coloured, expected)


def test_colours_of_the_photo_are_not_looked_at(network, batch):
    with torch.inference_mode():
        one, two = colorize_batch(network, batch, 64), colorize_batch(network, gray_batch(batch), 64)
    assert (one.int() - two.int()).abs().float().mean() < 1  # the gray photo's L is rounded to 8 bits


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (7, 5)])
def test_tiny_and_narrow_photos(weights, size):
    assert Colorizer(weights, device="cpu").colorize(Image.new("L", size, 100)).size == size


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
    assert run("colorize.py", gray_photo, "--weights", weights, "--strength", -1)[0] == 2


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


def test_a_broken_photo_does_not_stop_the_others(run, weights, photo_folder):
    (photo_folder / "00.jpg").write_text("words")
    code, _, errors = run("colorize.py", photo_folder, "nowhere.jpg", "--weights", weights)
    assert code == 1
    assert "2 could not be coloured" in errors and "00.jpg" in errors and "nowhere.jpg" in errors
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
    assert not list(tmp_path.glob("*-colorized*"))


def test_a_full_disk_is_said_and_leaves_nothing(run, weights, gray_photo, monkeypatch):
    def full(self, path, **_):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    code, _, errors = run("colorize.py", gray_photo, "--weights", weights)
    assert code == 1 and "No space left on device" in errors and "photo-colorized.png" in errors
    assert sorted(path.name for path in gray_photo.parent.iterdir()) == ["generator.pt", "photo.png"]


def test_the_shipped_weights_are_small_are_those_described_and_colour(real_photos):
    described = json.loads(SHIPPED_GENERATOR.with_suffix(".json").read_text())
    content = SHIPPED_GENERATOR.read_bytes()
    assert len(content) < 32e6 and hashlib.sha256(content).hexdigest() == described["sha256"]
    gray = Image.fromarray(real_photos[0]).convert("L")
    coloured = torch.from_numpy(np.array(Colorizer(device="cpu").colorize(gray))).permute(2, 0, 1)[None]
    assert colorfulness(coloured).item() > 5
