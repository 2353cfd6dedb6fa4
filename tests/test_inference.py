"""inference.py: the photo's own lightness stays, colors come out at points, and Colorizer as a library."""

import doctest
import hashlib
import io
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.color import rgb2lab

import pix2pix
from pix2pix import Point, inference, runs
from pix2pix.checkpoint import save_generator
from pix2pix.color import lab_to_rgb_in_gamut, to_lab
from pix2pix.decoding import measure, samples
from pix2pix.errors import UserError
from pix2pix.evaluation.metrics import colorfulness
from pix2pix.hints import hint_planes, reachable_color
from pix2pix.inference import Colorizer, colorize_batch, gray_batch
from pix2pix.prediction import larger, predict_ab, predict_small_ab
from pix2pix.runs import SHIPPED_GENERATOR
from pix2pix.threads import computing_threads
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
    save_generator(path, network, size=32, about={"stage": "pretrain"})
    return path


@pytest.fixture(scope="module")
def hinted(tmp_path_factory):
    """A Colorizer of a small random network that takes points."""
    torch.manual_seed(1)
    network = UNetGenerator(GeneratorConfig(decoder_widths=(16, 8, 8, 8), hints=True)).eval()
    for name, value in network.state_dict().items():  # as if trained: no statistic at its first value
        if "running_mean" in name:
            value.normal_(0, 0.2)
        if "running_var" in name:
            value.uniform_(0.5, 1.5)
    path = tmp_path_factory.mktemp("weights") / "generator.pt"
    save_generator(path, network, size=32, about={})
    return Colorizer(path, device="cpu")


def gray_array(photo):
    return np.asarray(Image.fromarray(photo).convert("L"))


def off(colorized, gray, points):
    """How far a and b at each point are from the color that can come out there, in Lab's units."""
    distances = []
    for point in points:
        lightness = rgb2lab(np.full((1, 1, 3), gray[point.y, point.x], np.uint8))[0, 0, 0] / 50 - 1
        asked = reachable_color(point.color, lightness)
        rgb = np.array([[[int(asked[i : i + 2], 16) for i in (1, 3, 5)], colorized[point.y, point.x]]], np.uint8)
        distances.append(np.linalg.norm(np.diff(rgb2lab(rgb)[0, :, 1:], axis=0)))
    return np.array(distances)


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
        ab = predict_ab(colorizer.generator, lightness, (72, 32))  # 1152x512, the short side at 32
        expected = lab_to_rgb_in_gamut(lightness, ab)[0].permute(1, 2, 0).numpy()
    assert np.abs(colorized.astype(int) - expected).max() <= 1
    tensor = colorizer.colorize(whole.expand(2, -1, -1, -1))
    assert torch.equal(tensor[1].permute(1, 2, 0), torch.tensor(colorized))


def test_threads_that_share_out_a_large_photo_give_the_same(weights, two_threads, monkeypatch):
    monkeypatch.setattr(inference, "STRIP", 700)
    monkeypatch.setattr(measure, "STRIP_PIXELS", 700)
    monkeypatch.setattr(samples, "STRIP_PIXELS", 700)
    colorizer = Colorizer(weights, size=32, device="cpu")
    photo = np.random.default_rng(0).integers(0, 256, (90, 70, 3), dtype=np.uint8)
    shared_out = colorizer.colorize(photo)
    with computing_threads(1):
        alone = colorizer.colorize(photo)
    assert np.ptp(alone.astype(int), axis=2).mean() > 5
    assert np.abs(shared_out.astype(int) - alone).max() <= 1


def test_a_programs_autocast_does_not_stop_a_colorizer(weights, two_threads, monkeypatch):
    monkeypatch.setattr(inference, "STRIP", 700)  # several, in threads that have an autocast of their own
    colorizer, lightness = Colorizer(weights, size=32, device="cpu"), torch.linspace(-1, 1, 6000).view(1, 1, 60, 100)
    expected = colorizer.colorize_lightness(lightness)
    with torch.autocast("cpu", torch.bfloat16):
        found = colorizer.colorize_lightness(lightness)
    assert (found.double() - expected.double()).abs().max() <= 12  # the network itself is rounded to bf16


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
        for result in pool.map(colorizer.colorize, [gray] * 4):
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


POINTS = [Point(40, 30, "#c0392b"), Point(100, 70, "#2c5fb0", radius=1), Point(0, 95, "gray"), Point(127, 0, "olive")]


@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0, 1.7])
def test_the_color_asked_for_comes_out_at_any_strength(hinted, real_photos, strength):
    gray = gray_array(real_photos[3])
    assert off(hinted.with_strength(strength).colorize(gray, POINTS), gray, POINTS).max() < 5


@pytest.mark.parametrize("size", [(960, 96), (96, 960), (700, 1000), (30, 40)])
def test_points_of_panoramas_and_of_photos_much_larger_or_smaller_than_the_network_sees(hinted, real_photos, size):
    gray = np.asarray(Image.fromarray(real_photos[6]).convert("L").resize(size))
    width, height = size
    points = [Point(width // 3, height // 2, "#c0392b"), Point(width - 1, height - 1, "navy", radius=0.5)]
    assert off(hinted.colorize(gray, points), gray, points).max() < 5


def test_points_at_coordinates_of_50_megapixels(hinted):
    lightness = torch.zeros(1, 1, 5774, 1).expand(1, 1, 5774, 8660)
    point = Point(8659, 2887, "#c0392b")
    small_ab = hinted.small_ab(lightness, [point])
    assert small_ab.shape == (1, 2, 48, 72)
    assert torch.allclose(small_ab[0, :, 24, -1], torch.tensor(point.ab), atol=0.01)


def test_a_point_changes_little_far_away(hinted, real_photos):
    gray = gray_array(real_photos[0])
    without, red = hinted.colorize(gray), hinted.colorize(gray, [Point(10, 10, "red")])
    assert np.array_equal(without, hinted.colorize(gray, [])) and not np.array_equal(without, red)


def test_points_of_a_turned_photo_are_those_of_the_upright_one(hinted, real_photos):
    gray = Image.fromarray(gray_array(real_photos[0]))
    expected = np.asarray(hinted.colorize(gray, POINTS))
    for orientation, turn in ((6, Image.Transpose.ROTATE_90), (3, Image.Transpose.ROTATE_180)):
        exif, content = Image.Exif(), io.BytesIO()
        exif[274] = orientation
        gray.transpose(turn).save(content, "PNG", exif=exif)
        assert np.array_equal(np.asarray(hinted.colorize(Image.open(content), POINTS)), expected)


def test_images_arrays_tensors_and_lists_take_points(hinted, real_photos):
    one, two = gray_array(real_photos[0]), gray_array(real_photos[5])[:50]
    expected = hinted.colorize(one, POINTS)
    images = hinted.colorize([Image.fromarray(one), Image.fromarray(two)], [POINTS, None])
    arrays = hinted.colorize([two, one], points=[[Point(5, 6, "red")], POINTS])
    tensor = hinted.colorize(torch.from_numpy(np.stack((one, one)))[:, None], points=[[], POINTS])
    assert np.array_equal(np.asarray(images[0]), expected) and np.array_equal(arrays[1], expected)
    assert np.array_equal(tensor[1].permute(1, 2, 0).numpy(), expected)
    assert np.array_equal(np.asarray(images[1]), hinted.colorize(two)) and images[1].size == (128, 50)
    assert np.array_equal(arrays[0], hinted.colorize(two, [Point(5, 6, "red")]))
    assert np.array_equal(tensor[0].permute(1, 2, 0).numpy(), hinted.colorize(one))
    assert hinted.colorize([]) == []
    for wrong in (POINTS, [POINTS], [POINTS] * 3):
        with pytest.raises(ValueError, match="2 photos need 2 lists of points"):
            hinted.colorize([one, one], points=wrong)
    with ThreadPoolExecutor(4) as pool:
        for result in pool.map(hinted.colorize, [one] * 4, [POINTS, None] * 2):
            assert np.array_equal(result, expected) or np.array_equal(result, hinted.colorize(one))


def test_points_that_cannot_be_followed_are_named(hinted, weights, real_photos):
    gray = gray_array(real_photos[0])
    with pytest.raises(UserError, match=r"point 128,0,red lies outside the photo, which has 128x96 pixels"):
        hinted.colorize(gray, [Point(128, 0, "red")])
    plain = Colorizer(weights, device="cpu")
    assert hinted.takes_points and not plain.takes_points
    with pytest.raises(UserError, match=r"128x96.*point 3,4,red.*generator\.pt takes no points"):
        plain.colorize(gray, [Point(3, 4, "red")])
    assert np.array_equal(plain.colorize(gray, []), plain.colorize(gray))


def test_a_batch_of_hints_is_what_each_photo_with_its_points_gives(hinted, batch):
    lightness, _ = to_lab(batch)
    size = hinted.working_size(96, 128)
    hints = torch.zeros(4, 3, *larger(size))
    hints[2] = hint_planes(POINTS, (96, 128), larger(size))[0]
    with torch.inference_mode():
        together = predict_small_ab(hinted.generator, lightness, size, hints, strength=1.3)
    other = hinted.with_strength(1.3)
    for number, points in enumerate((None, None, POINTS, None)):
        alone = other.small_ab(to_lab(batch[number : number + 1])[0], points)
        assert torch.allclose(together[number], alone[0], atol=0.02)  # some devices compute in bf16
    colorized = colorize_batch(hinted.generator, batch, 32, hints)
    assert colorized.shape == batch.shape and not torch.equal(colorized, colorize_batch(hinted.generator, batch, 32))


def test_a_colorizers_network_has_no_batch_norm_left(hinted):
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in hinted.generator.modules())


def test_the_examples_of_the_docstrings_run(hinted, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runs, "SHIPPED_GENERATOR", hinted.weights)
    results = doctest.testmod(inference)
    assert results.attempted >= 12 and results.failed == 0
