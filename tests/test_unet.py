import pytest
import torch
import torchvision
from skimage.color import rgb2lab
from torch.utils.flop_counter import FlopCounterMode

from pix2pix.color import rgb_to_lab, split_lab
from pix2pix.unet import PixelShuffleUp, UNetGenerator


@pytest.fixture(scope="module")
def generator():
    torch.manual_seed(0)
    network = UNetGenerator().eval()
    network.init_weights()
    return network


def test_a_gray_photo_reaches_the_encoder_as_imagenets_normalized_gray(generator):
    levels = torch.arange(256).view(1, 1, 16, 16) / 255
    lightness, _ = split_lab(rgb_to_lab(levels.expand(1, 3, 16, 16)))
    expected = torchvision.transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))(
        levels.expand(1, 3, 16, 16)
    )
    assert torch.allclose(generator.encoder_input(lightness), expected, atol=1e-5)


def test_the_whole_is_small(generator):
    assert sum(parameter.numel() for parameter in generator.parameters()) < 16e6
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        generator(torch.zeros(1, 1, 256, 256))
    assert 4e9 < counter.get_total_flops() < 15e9


@pytest.mark.parametrize("size", [(1, 1), (1, 70), (33, 64), (64, 64)])
def test_any_size_gives_ab_of_that_size(generator, size):
    with torch.inference_mode():
        ab = generator(torch.rand(2, 1, *size) * 2 - 1)
    assert ab.shape == (2, 2, *size)


def test_padding_to_the_stride_does_not_change_what_is_inside(generator):
    lightness = torch.rand(1, 1, 40, 64) * 2 - 1
    with torch.inference_mode():
        ab = generator(lightness)
        by_hand = generator(torch.cat([lightness, lightness[:, :, -1:].expand(1, 1, 24, 64)], dim=2))
    assert torch.equal(ab, by_hand[:, :, :40])


def test_ab_is_bounded_and_covers_srgb(generator):
    with torch.inference_mode():
        generator.head.conv.weight.mul_(1e4)
        ab = generator(torch.rand(1, 1, 64, 64))
        generator.head.conv.weight.div_(1e4)
    assert ab.abs().max() <= 1 and ab.abs().max() > 0.99
    primaries = rgb2lab([[[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [0, 1, 1], [1, 0, 1.0]]])
    assert abs(primaries[..., 1:]).max() < 110


def test_icnr_starts_without_a_checkerboard():
    torch.manual_seed(0)
    up = PixelShuffleUp(8, 3)
    up.init_weights()
    large = up(torch.randn(1, 8, 5, 5))
    assert large.shape == (1, 3, 10, 10) and large.std() > 0.1
    blocks = large.view(1, 3, 5, 2, 5, 2)
    assert torch.allclose(blocks, blocks[:, :, :, :1, :, :1].expand_as(blocks), atol=1e-6)
