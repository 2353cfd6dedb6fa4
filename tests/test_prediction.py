"""What the network makes of photos: the views, evening out, and enlarging; with networks that are formulas."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skimage.transform import resize

from pix2pix.prediction import (
    USUAL_CHROMA,
    bicubic_weights,
    enlarged_rows,
    evening,
    larger,
    predict_ab,
    predict_small_ab,
    widen,
)


class Formula(torch.nn.Module):
    """A network whose ab is what a function makes of L and hints; it keeps what it was given."""

    def __init__(self, function):
        super().__init__()
        self.unused = torch.nn.Parameter(torch.zeros(1))
        self.function, self.seen = function, []

    def forward(self, lightness, hints=None):
        self.seen.append((lightness, hints))
        return self.function(lightness, hints)


def usual(lightness, hints):
    """a of the usual chroma at all pixels, which nothing evens out; with hints theirs, where they are."""
    ab = torch.cat((torch.full_like(lightness, USUAL_CHROMA), torch.zeros_like(lightness)), dim=1)
    return ab if hints is None else torch.where(hints[:, 2:] > 0, hints[:, :2], ab)


@torch.inference_mode()
def test_a_photo_is_seen_as_it_is_and_mirrored_half_as_large_again():
    network = Formula(usual)
    ramp = np.linspace(-1, 1, 90, dtype=np.float32)[None].repeat(60, axis=0)
    ab = predict_small_ab(network, torch.from_numpy(ramp)[None, None], (20, 30))
    plain, mirrored = (lightness[0, 0].numpy() for lightness, _ in network.seen)
    assert plain.shape == (20, 30) and mirrored.shape == larger((20, 30)) == (30, 45) == ab.shape[2:]
    assert np.abs(plain - resize(ramp, (20, 30), order=1, anti_aliasing=False)).max() < 0.03
    assert np.abs(mirrored[:, ::-1] - resize(ramp, (30, 45), order=1, anti_aliasing=False)).max() < 0.03


@torch.inference_mode()
def test_the_prediction_is_the_mean_of_both_views():
    network = Formula(lambda lightness, hints: usual(lightness, hints) * (1.0 if lightness.shape[2] == 20 else 0.5))
    flat = predict_small_ab(network, torch.zeros(1, 1, 60, 60), (20, 20))
    assert torch.allclose(flat[0, 0], torch.tensor(0.75 * USUAL_CHROMA), atol=1e-5)


@torch.inference_mode()
def test_the_mirrored_view_is_turned_back():
    network = Formula(lambda lightness, hints: usual(lightness, hints) * (1 + lightness))
    ramp = torch.linspace(-0.5, 0.5, 60).expand(1, 1, 60, 60)
    a = predict_small_ab(network, ramp, (20, 20))[0, 0]
    expected = USUAL_CHROMA * (1 + torch.linspace(-0.49, 0.49, 30)) * evening(network(ramp)).item()
    assert torch.allclose(a, expected.expand(30, 30), atol=0.005)


@torch.inference_mode()
def test_dull_photos_get_livelier_and_vivid_ones_calmer():
    for chroma in (0.02, 0.05, USUAL_CHROMA, 0.4):
        ab = torch.zeros(1, 2, 8, 8)
        ab[:, 1] = -chroma
        factor = evening(ab)
        assert factor.shape == (1, 1, 1, 1)
        assert factor.item() == pytest.approx((USUAL_CHROMA / chroma) ** 0.25, rel=1e-4)
    assert torch.isfinite(evening(torch.zeros(2, 2, 4, 4))).all() and evening(torch.zeros(1, 2, 4, 4)) < 2
    dull = torch.full((1, 2, 10, 10), 0.03)
    touched = dull.clone()
    touched[..., 0, :5] = 0.6  # a vivid thing on a twentieth of the photo
    assert 0.9 < evening(touched) / evening(dull) < 1
    together = evening(torch.cat((dull, touched)))
    assert torch.allclose(together, torch.cat((evening(dull), evening(touched))))


@torch.inference_mode()
@pytest.mark.parametrize("strength", [0.6, 1.0, 1.8])
def test_hints_change_the_rest_of_a_photo_no_more_than_the_network_does(strength):
    """The factor is that of the photo without hints, and the network is asked for what gives the hinted color."""

    def dull(lightness, hints):
        shown = torch.zeros_like(lightness) if hints is None else hints[:, 2:]
        return usual(lightness, hints) * torch.where(shown > 0, 1.0, 0.3)

    lightness, hints = torch.zeros(1, 1, 64, 64), torch.zeros(1, 3, 30, 30)
    hints[:, :, 3:9, 3:9] = torch.tensor([0.5, -0.4, 1.0]).view(1, 3, 1, 1)
    network = Formula(dull)
    plain = predict_small_ab(network, lightness, (20, 20), strength=strength)
    hinted = predict_small_ab(network, lightness, (20, 20), hints, strength=strength)
    assert torch.allclose(hinted[..., 20:, 20:], plain[..., 20:, 20:], atol=1e-5)
    assert torch.allclose(hinted[0, :, 6, 6], torch.tensor([0.5, -0.4]), atol=1e-5)
    factor = strength * (1 / 0.3) ** 0.25
    asked = network.seen[-1][1].flip(3)[0, :2, 6, 6]
    assert torch.allclose(asked, torch.tensor([0.5, -0.4]) / factor, atol=1e-4)


@torch.inference_mode()
def test_colors_are_enlarged_to_the_photos_size():
    ab = predict_ab(Formula(usual), torch.zeros(2, 1, 50, 70), (20, 28))
    assert ab.shape == (2, 2, 50, 70) and torch.allclose(ab[:, 0], torch.tensor(USUAL_CHROMA), atol=1e-5)
    assert ab[:, 1].abs().max() < 1e-6


@pytest.mark.parametrize("size", [(300, 400), (1000, 31), (20, 24), (128, 171), (1, 7)])
def test_enlarging_by_strips_equals_torchs_bicubic(size):
    small = torch.rand(1, 2, 32, 43, generator=torch.Generator().manual_seed(0)) * 2.2 - 1.1
    expected = F.interpolate(small, size, mode="bicubic", align_corners=False).clamp(-1, 1)
    wide = widen(small, size[1])
    for rows in (1, 7, 5000):
        strips = [enlarged_rows(wide, weights) for weights in bicubic_weights(32, size[0]).split(rows)]
        assert torch.allclose(torch.cat(strips, dim=2), expected, atol=1e-4)  # torch's places are single precision
