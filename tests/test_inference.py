"""inference.py: the photo's own lightness stays, and Colorizer as a library."""

import hashlib
import io
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from skimage.color import rgb2lab

import pix2pix
from pix2pix.checkpoint import save_generator
from pix2pix.runs import SHIPPED_GENERATOR
from pix2pix.color import lab_to_rgb_in_gamut, to_lab
from pix2pix.evaluation.metrics import colorfulness
from pix2pix.inference import Colorizer, colorize_batch, enlarge, gray_batch, predict_ab
from pix2pix.unet import GeneratorConfig, UNetGenerator


@pytest.fixture(scope="module")
def network():
    """A small random network with strong colors."""
    torch.manual_seed(0)
    network = UNetGenerator(GeneratorConfig(decoder_widths=(16, 8, 8, 8))).eval()
    torch.nn.init.normal_(network.head.conv.bias, 0, 0.3)
    return network


@pytest.fixture(scope="module")
def weights(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "generator.pt"
    save_generator(path, network, size=64, about={"stage": "pretrain"})
    return path


def test_l_is_untouched_where_the_gamut_allows(network, batch):
    """With colors weak enough for every lightness, nothing but rounding is left."""
    lightness = gray_batch(batch)
    with torch.no_grad():
        head = network.head.conv.weight.clone(), network.head.conv.bias.clone()
        network.head.conv.weight.mul_(0.02), network.head.conv.bias.mul_(0.02)
        colorized = colorize_batch(network, batch, 64)
        network.head.conv.weight.copy_(head[0]), network.head.conv.bias.copy_(head[1])
    middle = (lightness[:, 0] > 30) & (lightness[:, 0] < 225)
    for one, gray, where in zip(colorized, lightness, middle, strict=True):
        one, gray = (rgb2lab(image.permute(1, 2, 0).numpy())[..., 0] for image in (one, gray))
        assert np.abs(one - gray)[where.numpy()].max() < 0.5
    assert not torch.equal(colorized, lightness)


def test_large_photos_are_converted_strip_by_strip_without_a_seam(weights, network, real_photos):
    large = np.tile(real_photos[1], (12, 4, 1))  # 1152 rows: two strips
    colorizer = Colorizer(weights, device="cpu")
    colorized = np.asarray(colorizer.colorize(Image.fromarray(large)))
    whole = torch.from_numpy(large).permute(2, 0, 1)[None]
    with torch.inference_mode():
        lightness, _ = to_lab(whole)
        ab = predict_ab(colorizer.generator, lightness, (144, 64))  # 1152x512, the short side at 64
        expected = lab_to_rgb_in_gamut(lightness, ab)[0].permute(1, 2, 0).numpy()
    assert np.abs(colorized.astype(int) - expected).max() <= 1
    tensor = colorizer.colorize(whole.expand(2, -1, -1, -1))
    assert torch.equal(tensor[1].permute(1, 2, 0), torch.tensor(colorized))


@pytest.mark.parametrize("size", [(300, 400), (1000, 31), (20, 24), (128, 171), (1, 7)])
def test_enlarging_by_strips_equals_torchs_bicubic(size):
    small = torch.rand(1, 2, 32, 43, generator=torch.Generator().manual_seed(0)) * 2.2 - 1.1
    expected = F.interpolate(small, size, mode="bicubic", align_corners=False).clamp(-1, 1)
    for rows in (1, 7, 5000):
        strips = list(enlarge(small, *size, rows))
        assert [strip.shape[2] for strip in strips[:-1]] == [rows] * (len(strips) - 1)
        assert torch.allclose(torch.cat(strips, dim=2), expected, atol=1e-6)


def test_colors_of_the_photo_are_not_looked_at(network, batch):
    with torch.inference_mode():
        one, two = colorize_batch(network, batch, 64), colorize_batch(network, gray_batch(batch), 64)
    assert (one.int() - two.int()).abs().float().mean() < 1  # the gray photo's L is rounded to 8 bits


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (7, 5)])
def test_tiny_and_narrow_photos(weights, size):
    assert Colorizer(weights, device="cpu").colorize(Image.new("L", size, 100)).size == size


def test_the_shipped_weights_are_small_are_those_described_and_color(real_photos):
    described = json.loads(SHIPPED_GENERATOR.with_suffix(".json").read_text())
    content = SHIPPED_GENERATOR.read_bytes()
    assert len(content) < 32e6 and hashlib.sha256(content).hexdigest() == described["sha256"]
    gray = Image.fromarray(real_photos[0]).convert("L")
    colorized = torch.from_numpy(np.array(Colorizer(device="cpu").colorize(gray))).permute(2, 0, 1)[None]
    assert colorfulness(colorized).item() > 5


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
