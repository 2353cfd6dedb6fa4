import itertools
import warnings

import numpy as np
import pytest
import torch
from skimage.color import lab2rgb, rgb2lab

from pix2pix import color
from pix2pix.color import (
    WHITE,
    XYZ_TO_RGB,
    join_lab,
    lab_to_rgb,
    lab_to_rgb_in_gamut,
    lightness_to_gray,
    rgb_to_lab,
    split_lab,
)


@pytest.fixture(scope="module")
def grid():
    """Every fifth value of each channel, (1, 3, 2704, 52) in [0, 1]."""
    values = np.arange(0, 256, 5) / 255
    colors = np.stack(np.meshgrid(values, values, values, indexing="ij"), axis=-1).reshape(-1, 52, 3)
    return torch.from_numpy(colors).permute(2, 0, 1)[None]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_lab_is_scikit_images(grid, dtype):
    lab = rgb_to_lab(grid.to(dtype))
    expected = rgb2lab(grid[0].numpy(), channel_axis=0)
    assert lab.dtype == dtype
    assert np.abs(lab[0].numpy() - expected).max() < 1e-3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_there_and_back_is_the_same_photo(grid, dtype):
    assert (lab_to_rgb(rgb_to_lab(grid.to(dtype))) - grid).abs().max() < 1e-3


def test_rgb_of_lab_is_scikit_images_inside_and_outside_the_gamut():
    lightness, chroma = torch.linspace(0, 100, 21), torch.linspace(-90, 90, 21)
    lab = torch.cartesian_prod(lightness, chroma, chroma).T.reshape(1, 3, 21, 441).double()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-image warns of what lies outside
        expected = lab2rgb(lab[0].numpy(), channel_axis=0)
    assert np.abs(lab_to_rgb(lab)[0].numpy() - expected).max() < 1e-3


def test_scaled_planes(grid):
    lab = rgb_to_lab(grid)
    lightness, ab = split_lab(lab)
    assert torch.allclose(lightness, lab[:, :1] / 50 - 1) and torch.allclose(ab, lab[:, 1:] / 110)
    assert lightness.min() >= -1.0001 and lightness.max() <= 1.0001 and ab.abs().max() < 1
    assert torch.allclose(join_lab(lightness, ab), lab)


def test_a_gray_level_has_its_lightness_not_its_level():
    levels = torch.arange(256) / 255
    lightness, ab = split_lab(rgb_to_lab(levels.expand(1, 3, 1, 256)))
    assert (lightness[0, 0, 0, 128] + 1) * 50 == pytest.approx(53.585, abs=1e-2)  # CIE L* of sRGB gray 128, not 50.2
    assert ab.abs().max() < 1e-3
    assert torch.allclose(lightness_to_gray(lightness)[0, 0, 0], levels, atol=1e-5)


def test_gradients_are_right_and_finite_everywhere():
    inside = torch.rand(1, 3, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 0.8 + 0.1
    assert torch.autograd.gradcheck(rgb_to_lab, inside.requires_grad_())
    assert torch.autograd.gradcheck(lambda rgb: lab_to_rgb(rgb_to_lab(rgb)), inside)
    corners = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 3).T.reshape(1, 3, 1, 8).requires_grad_()
    lab_to_rgb(rgb_to_lab(corners)).sum().backward()
    assert corners.grad.isfinite().all()


def test_autocast_does_not_round_colors(grid):
    with torch.amp.autocast("cpu", dtype=torch.bfloat16):
        lab = rgb_to_lab(grid.float())
        back = lab_to_rgb(lab)
    assert (back - grid).abs().max() < 1e-4


def test_chroma_is_reduced_to_the_gamut_where_clipping_would_change_lightness_and_hue():
    generator = torch.Generator().manual_seed(0)
    lab = torch.rand(1, 3, 64, 64, generator=generator) * 120 - 60
    lab[:, 0] = lab[:, 0].abs() / 60 * 100
    rgb = lab_to_rgb_in_gamut(*split_lab(lab), torch.float32)
    fitted = torch.from_numpy(rgb2lab(rgb[0].double().numpy(), channel_axis=0))[None]
    assert (fitted[:, 0] - lab[:, 0]).abs().max() < 0.1
    clipped = torch.from_numpy(rgb2lab(lab_to_rgb(lab)[0].numpy(), channel_axis=0))
    assert (clipped[0] - lab[0, 0]).abs().max() > 10
    chroma = fitted[:, 1:].norm(dim=1) / lab[:, 1:].norm(dim=1)
    assert chroma.max() <= 1.01
    hue = torch.atan2(fitted[:, 2], fitted[:, 1]) - torch.atan2(lab[:, 2], lab[:, 1])
    colored = fitted[:, 1:].norm(dim=1) > 5
    assert torch.sin(hue[colored]).abs().max() < 0.02
    more = torch.cat((fitted[:, :1], fitted[:, 1:] * 1.02), dim=1)[:, :, (chroma < 0.9)[0]]
    outside = lab2rgb(more[0].T.numpy()[None])[0]
    assert 0.2 < (chroma > 0.999).double().mean() < 0.8
    assert ((outside <= 0.001) | (outside >= 0.999)).any(axis=1).mean() > 0.95  # no more was taken than needed


def test_reducing_chroma_equals_bisection_of_every_pixel_alone(monkeypatch):
    """Also of pixels inside the gamut, and whatever their place in the batch and among those converted at a time."""
    monkeypatch.setattr(color, "AT_ONCE", 50)
    generator = torch.Generator().manual_seed(1)
    lab = torch.rand(2, 3, 8, 9, generator=generator, dtype=torch.float64) * 160 - 80
    lab[:, 0] = lab[:, 0].abs() / 80 * 100
    rgb = lab_to_rgb_in_gamut(*split_lab(lab), torch.float64)
    for photo, row, column in itertools.product(range(2), range(8), range(9)):
        lightness, *ab = lab[photo, :, row, column].tolist()

        def inside(share, lightness=lightness, ab=ab):
            linear = linear_rgb(lightness, ab[0] * share, ab[1] * share)
            return all(-1e-4 <= value <= 1 + 1e-4 for value in linear)

        kept = 0.0
        for halving in range(1, 9):
            kept += 0.5**halving * inside(kept + 0.5**halving)
        share = 1.0 if inside(1.0) else kept
        linear = [min(max(value, 0), 1) for value in linear_rgb(lightness, ab[0] * share, ab[1] * share)]
        expected = [1.055 * value ** (1 / 2.4) - 0.055 if value > 0.0031308 else 12.92 * value for value in linear]
        assert rgb[photo, :, row, column].tolist() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16])
def test_whole_numbers_are_the_rounded_colors(dtype):
    """In and out of the gamut, and more pixels than are converted at a time."""
    generator = torch.Generator().manual_seed(2)
    lightness = torch.rand(2, 1, 300, 500, generator=generator, dtype=torch.float64) * 2 - 1
    ab = torch.rand(2, 2, 300, 500, generator=generator, dtype=torch.float64) * 0.8 - 0.4
    white = torch.iinfo(dtype).max
    expected = white * lab_to_rgb_in_gamut(lightness, ab, torch.float64)
    rgb = lab_to_rgb_in_gamut(lightness, ab, dtype)
    assert rgb.dtype == dtype and rgb.double().max() == white
    off = 0.54 if dtype == torch.uint8 else 0.5 + 1e-6  # 8 bits are looked up in a table of 65,536 steps
    assert (rgb.double() - expected).abs().max() <= off
    single = lab_to_rgb_in_gamut(lightness.float(), ab.float(), dtype).double()
    assert ((single - expected).abs() < max(off, 0.5 + 1e-5 * white)).double().mean() > 0.999


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_colors_are_computed_in_single_precision_at_least_whatever_comes_in_or_goes_out(dtype):
    generator = torch.Generator().manual_seed(3)
    lightness = (torch.rand(1, 1, 20, 30, generator=generator) * 2 - 1).to(dtype)
    ab = (torch.rand(1, 2, 20, 30, generator=generator) - 0.5).to(dtype)
    expected = lab_to_rgb_in_gamut(lightness.float(), ab.float(), torch.float32)
    assert torch.allclose(lab_to_rgb_in_gamut(lightness, ab, torch.float32), expected, atol=0.01)
    rounded = lab_to_rgb_in_gamut(lightness.float(), ab.float(), dtype)
    assert rounded.dtype == dtype and torch.equal(rounded, expected.to(dtype))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float32])
def test_colors_are_written_where_asked_and_not_rounded_by_autocast(dtype):
    generator = torch.Generator().manual_seed(4)
    lightness = torch.rand(1, 1, 20, 30, generator=generator) * 2 - 1
    ab = torch.rand(1, 2, 20, 30, generator=generator) - 0.5
    expected = lab_to_rgb_in_gamut(lightness, ab, dtype).double()
    where = torch.zeros(1, 3, 40, 30, dtype=dtype).to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        lab_to_rgb_in_gamut(lightness, ab, out=where[:, :, 10:30])
    off = 1 if dtype != torch.float32 else 1e-5
    assert (where[:, :, 10:30].double() - expected).abs().max() <= off
    assert not where[:, :, :10].any() and not where[:, :, 30:].any()


def test_planes_of_different_types_are_computed_in_the_finer_one():
    generator = torch.Generator().manual_seed(5)
    lightness = torch.rand(1, 1, 20, 30, generator=generator) * 2 - 1
    ab = (torch.rand(1, 2, 20, 30, generator=generator) - 0.5).double()
    expected = lab_to_rgb_in_gamut(lightness.double(), ab, torch.float64)
    assert torch.allclose(lab_to_rgb_in_gamut(lightness, ab, torch.float64), expected, atol=1e-9)


def linear_rgb(lightness, a, b):
    """CIE 15's definition for one color, in plain floats: linear R, G, B."""
    fy = (lightness + 16) / 116
    curves = (fy + a / 500, fy, max(fy - b / 200, 0))
    xyz = [white * (f**3 if f > 0.2068966 else (f - 16 / 116) / 7.787) for f, white in zip(curves, WHITE, strict=True)]
    return [sum(weight * value for weight, value in zip(row, xyz, strict=True)) for row in XYZ_TO_RGB]
