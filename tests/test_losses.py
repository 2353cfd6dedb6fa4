"""Every expected number is worked out by hand from the loss's formula."""

import math

import pytest
import torch

from pix2pix.losses import GANLoss, l1_loss

LOGITS = torch.tensor([0.0, 2.0, -3.0]).view(1, 1, 1, 3)


def softplus(x):
    return math.log1p(math.exp(x))


@pytest.mark.parametrize(
    ("kind", "real", "for_generator", "expected"),
    [
        ("vanilla", True, False, (softplus(0) + softplus(-2) + softplus(3)) / 3),
        ("vanilla", False, False, (softplus(0) + softplus(2) + softplus(-3)) / 3),
        ("lsgan", True, False, (1 + 1 + 16) / 3),
        ("lsgan", False, False, (0 + 4 + 9) / 3),
        ("hinge", True, False, (1 + 0 + 4) / 3),
        ("hinge", False, False, (1 + 3 + 0) / 3),
        ("hinge", True, True, (0 - 2 + 3) / 3),
    ],
)
def test_gan_loss(kind, real, for_generator, expected):
    assert GANLoss(kind)(LOGITS, real, for_generator=for_generator).item() == pytest.approx(expected, rel=1e-5)


def test_the_kind_matters_to_the_generator_of_hinge_alone():
    for kind in ("vanilla", "lsgan"):
        loss = GANLoss(kind)
        assert torch.equal(loss(LOGITS, True), loss(LOGITS, True, for_generator=True))


def test_unknown_kind():
    with pytest.raises(ValueError, match="unknown GAN loss 'wgan'"):
        GANLoss("wgan")


def test_l1():
    fake, real = torch.tensor([0.5, -0.5]).view(1, 2, 1, 1), torch.tensor([0.25, 0.5]).view(1, 2, 1, 1)
    assert l1_loss(fake, real).item() == pytest.approx((0.25 + 1.0) / 2)
