import copy

import pytest
import torch
import torchvision
from skimage.color import rgb2lab
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from pix2pix.color import rgb_to_lab, split_lab
from pix2pix.unet import GeneratorConfig, PixelShuffleUp, UNetGenerator, fold_batch_norm


@pytest.fixture(scope="module")
def generator():
    torch.manual_seed(0)
    network = UNetGenerator().eval()
    network.init_weights()
    return network


@pytest.fixture(scope="module")
def hinted():
    """A network that takes hints, its statistics as if trained: none at its first value."""
    torch.manual_seed(1)
    network = UNetGenerator(GeneratorConfig(hints=True)).eval()
    network.init_weights()
    for name, value in network.state_dict().items():
        if "running_mean" in name:
            value.normal_(0, 0.2)
        if "running_var" in name:
            value.uniform_(0.5, 1.5)
    return network


def some_hints(count, height, width):
    hints = torch.zeros(count, 3, height, width)
    hints[:, :, height // 3, width // 2] = torch.tensor([0.4, -0.3, 1.0])
    return hints


def test_a_gray_photo_reaches_the_encoder_as_imagenets_normalized_gray(generator):
    levels = torch.arange(256).view(1, 1, 16, 16) / 255
    lightness, _ = split_lab(rgb_to_lab(levels.expand(1, 3, 16, 16)))
    expected = torchvision.transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))(
        levels.expand(1, 3, 16, 16)
    )
    assert torch.allclose(generator.encoder_input(lightness), expected, atol=1e-5)


def test_the_numbers_of_parameters(generator, hinted):
    """Of the encoder: torchvision's resnet18 without its last layer."""
    encoder = sum(value.numel() for value in torchvision.models.resnet18().parameters()) - 512 * 1000 - 1000
    up = 512 * 1024 + 1024 + 256 * 512 + 512 + 128 * 256 + 256 + 64 * 128 + 128
    joined = 9 * ((256 + 256) * 256 + (128 + 128) * 128 + (64 + 64) * 64 + (32 + 64) * 32)
    second = 9 * (256**2 + 128**2 + 64**2 + 32**2)
    norms, head = 4 * (256 + 128 + 64 + 32), 9 * 32 * 8 + 8
    expected = encoder + up + joined + second + norms + head
    assert sum(value.numel() for value in generator.parameters()) == expected == 14_238_280
    hints = 27 * (64 + 64 + 128 + 256 + 512 + 32)
    assert sum(value.numel() for value in hinted.parameters()) == expected + hints


def test_the_operations_for_a_photo(generator, hinted):
    for network in (generator, hinted):
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            network(torch.zeros(1, 1, 256, 256))
        assert counter.get_total_flops() == pytest.approx(9.007e9, rel=1e-3)


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


def test_no_hints_and_hints_of_zeros_give_the_plain_network_bit_for_bit(hinted):
    plain = UNetGenerator().eval()
    plain.load_state_dict({name: value for name, value in hinted.state_dict().items() if "hint" not in name})
    lightness = torch.rand(3, 1, 33, 64) * 2 - 1
    mixed = some_hints(3, 33, 64)
    mixed[1] = 0
    with torch.inference_mode():
        expected = plain(lightness)
        assert torch.equal(hinted(lightness), expected)
        assert torch.equal(hinted(lightness, torch.zeros(3, 3, 33, 64)), expected)
        with_hints = hinted(lightness, mixed)
    assert torch.equal(with_hints[1], expected[1])
    assert not torch.equal(with_hints[0], expected[0]) and not torch.equal(with_hints[2], expected[2])


@pytest.mark.parametrize("size", [(1, 1), (1, 70), (33, 64)])
def test_hints_of_any_size(hinted, size):
    with torch.inference_mode():
        assert hinted(torch.zeros(2, 1, *size), some_hints(2, *size)).shape == (2, 2, *size)


def test_all_of_a_network_with_hints_gets_gradients(hinted):
    hinted(torch.zeros(1, 1, 32, 32), some_hints(1, 32, 32)).square().sum().backward()
    assert all(value.grad is not None for value in hinted.parameters())
    assert all(value.grad.abs().sum() > 0 for value in hinted.hint_layers.parameters())
    hinted.zero_grad()


def test_a_network_without_layers_for_them_refuses_hints(generator, hinted):
    assert hinted.takes_hints and not generator.takes_hints
    with pytest.raises(ValueError, match="takes no hints"):
        generator(torch.zeros(1, 1, 32, 32), some_hints(1, 32, 32))


def test_first_weights_start_near_gray_and_follow_he():
    torch.manual_seed(0)
    network = UNetGenerator(GeneratorConfig(hints=True)).eval()
    network.init_weights()
    assert network.encoder.conv1.weight.std().item() == pytest.approx((2 / (64 * 49)) ** 0.5, rel=0.05)
    assert network.hint_layers.decoder.weight.std() < 0.03
    with torch.inference_mode():
        ab = network.train()(torch.rand(2, 1, 64, 64) * 2 - 1)
    assert 0 < ab.abs().mean() < 0.2


def test_folding_batch_norm_changes_nothing_but_rounding(hinted):
    folded = copy.deepcopy(hinted)
    fold_batch_norm(folded)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    lightness, hints = torch.rand(2, 1, 64, 64) * 2 - 1, some_hints(2, 64, 64)
    with torch.inference_mode():
        assert torch.allclose(folded(lightness), hinted(lightness), atol=1e-3)
        assert torch.allclose(folded(lightness, hints), hinted(lightness, hints), atol=1e-3)


def test_the_layers_as_they_are_printed(hinted):
    printed = str(hinted)
    assert "(conv1): Conv2d(3, 64, kernel_size=(7, 7), stride=(2, 2), padding=(3, 3), bias=False)" in printed
    assert printed.count("BasicBlock") == 8 and printed.count("UpBlock") == 4
    assert "(decoder): Conv2d(3, 32, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), bias=False)" in printed
    assert "HintLayers" in printed and "HintLayers" not in str(UNetGenerator())
