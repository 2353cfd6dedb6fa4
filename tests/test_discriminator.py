import torch
from torch import nn

from pix2pix.discriminator import PatchDiscriminator

# The network as the report prints it.
PRINTED = """PatchDiscriminator(
  (model): Sequential(
    (0): Sequential(
      (0): Conv2d(3, 64, kernel_size=(4, 4), stride=(2, 2), padding=(1, 1))
      (1): LeakyReLU(negative_slope=0.2, inplace=True)
    )
    (1): Sequential(
      (0): Conv2d(64, 128, kernel_size=(4, 4), stride=(2, 2), padding=(1, 1), bias=False)
      (1): BatchNorm2d(128, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)
      (2): LeakyReLU(negative_slope=0.2, inplace=True)
    )
    (2): Sequential(
      (0): Conv2d(128, 256, kernel_size=(4, 4), stride=(2, 2), padding=(1, 1), bias=False)
      (1): BatchNorm2d(256, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)
      (2): LeakyReLU(negative_slope=0.2, inplace=True)
    )
    (3): Sequential(
      (0): Conv2d(256, 512, kernel_size=(4, 4), stride=(1, 1), padding=(1, 1), bias=False)
      (1): BatchNorm2d(512, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)
      (2): LeakyReLU(negative_slope=0.2, inplace=True)
    )
    (4): Sequential(
      (0): Conv2d(512, 1, kernel_size=(4, 4), stride=(1, 1), padding=(1, 1))
    )
  )
)"""


def logits(discriminator, size):
    with torch.inference_mode():
        return discriminator(torch.zeros(1, 1, size, size), torch.zeros(1, 2, size, size))


def test_the_layers_are_the_reports():
    printed = str(PatchDiscriminator()).replace("affine=True, bias=True,", "affine=True,")  # torch 2.15 prints more
    assert printed == PRINTED


def test_256_pixels_give_30_by_30_logits():
    assert logits(PatchDiscriminator(), 256).shape == (1, 1, 30, 30)
    assert logits(PatchDiscriminator(spectral=True), 128).shape == (1, 1, 14, 14)


def test_each_logit_sees_70_pixels():
    discriminator = PatchDiscriminator().eval()
    lightness = torch.zeros(1, 1, 128, 128, requires_grad=True)
    discriminator(lightness, torch.zeros(1, 2, 128, 128))[0, 0, 7, 7].backward()
    rows = lightness.grad[0, 0].abs().sum(dim=1).nonzero()
    assert rows.max() - rows.min() + 1 == 70


def test_weights_start_as_the_notebooks():
    torch.manual_seed(0)
    for module in PatchDiscriminator().modules():
        if isinstance(module, nn.Conv2d):
            assert abs(module.weight.std() - 0.02) < 0.001 and abs(module.weight.mean()) < 0.002
        if isinstance(module, nn.BatchNorm2d):
            assert abs(module.weight.mean() - 1) < 0.01 and 0.01 < module.weight.std() < 0.03


def test_spectral_norm_bounds_every_convolution():
    torch.manual_seed(0)
    discriminator = PatchDiscriminator(spectral=True)
    convolutions = [module for module in discriminator.modules() if isinstance(module, nn.Conv2d)]
    for conv in convolutions:
        conv.parametrizations.weight.original.data.mul_(50)
    for _ in range(30):  # each training forward is a step of the power iteration
        discriminator(torch.randn(1, 1, 64, 64), torch.randn(1, 2, 64, 64))
    for conv in convolutions:
        largest = torch.linalg.matrix_norm(conv.weight.flatten(1), ord=2)
        assert abs(largest - 1) < 0.1
    assert not any(isinstance(module, nn.BatchNorm2d) for module in discriminator.modules())
