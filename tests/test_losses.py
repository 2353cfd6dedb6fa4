"""Every expected number is worked out by hand from the loss's formula."""

import math

import pytest
import torch
import torch.nn.functional as F
from torchvision.models import resnet18

from pix2pix.color import join_lab, lab_to_rgb, to_lab
from pix2pix.losses import FeatureLoss, GANLoss, l1_loss
from pix2pix.unet import ResNet18Encoder

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


@pytest.fixture
def feature_loss():
    torch.manual_seed(0)
    return FeatureLoss(ResNet18Encoder())


def test_feature_loss_on_torchvisions_resnet18(feature_loss, batch):
    reference = resnet18(weights=None).eval()
    reference.load_state_dict(feature_loss.encoder.state_dict(), strict=False)
    lightness, ab = to_lab(batch[..., :96])

    def features(ab):
        rgb = lab_to_rgb(F.interpolate(join_lab(lightness, ab), scale_factor=0.5, mode="area"))
        x = (rgb - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(
            3, 1, 1
        )
        found = [reference.relu(reference.bn1(reference.conv1(x)))]
        x = reference.maxpool(found[0])
        for layer in (reference.layer1, reference.layer2, reference.layer3, reference.layer4):
            x = layer(x)
            found.append(x)
        return found

    pairs = zip(features(ab / 2), features(ab), strict=True)
    expected = sum(((fake - real).abs().mean() / real.mean()).item() for fake, real in pairs) / 5
    assert feature_loss(lightness, ab / 2, ab).item() == pytest.approx(expected, rel=1e-4)


def test_feature_loss_trains_the_colors_alone(feature_loss, batch):
    lightness, ab = to_lab(batch[..., :96])
    assert feature_loss(lightness, ab, ab).item() == 0
    fake = (ab / 2).requires_grad_()
    real = ab.clone().requires_grad_()
    feature_loss(lightness, fake, real).backward()
    assert fake.grad.abs().max() > 0 and fake.grad.isfinite().all() and real.grad is None
    assert all(parameter.grad is None for parameter in feature_loss.parameters())


def test_a_checkerboard_beyond_the_gamut_gains_nothing(feature_loss):
    lightness, blue = torch.full((1, 1, 64, 64), -0.5), torch.tensor([0.4, -0.7]).view(1, 2, 1, 1).expand(1, 2, 64, 64)
    signs = 1 - 2 * ((torch.arange(64)[:, None] + torch.arange(64)) % 2).float()
    for size in (0.05, 0.3):
        assert feature_loss(lightness, blue + size * signs, blue).item() == pytest.approx(0, abs=1e-5)
