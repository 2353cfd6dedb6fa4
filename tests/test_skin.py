"""Hue and chroma of skin on colors that are turned and faded by a known amount."""

import numpy as np
import pytest
import torch
from skimage import data
from skimage.color import rgb2lab

from pix2pix.evaluation.skin import compare_skin, skin_mask


@pytest.fixture
def truth():
    """Two photos: the left half of the first is skin, the second has none."""
    lab = torch.zeros(2, 3, 20, 20)
    lab[:, 0], lab[:, 1] = 60, -30
    skin = torch.deg2rad(torch.tensor(45.0))
    lab[0, 1:, :, :10] = 25 * torch.stack((skin.cos(), skin.sin())).view(2, 1, 1)
    return lab


def turned(lab, degrees, chroma):
    angle = torch.deg2rad(torch.tensor(float(degrees)))
    a, b = lab[:, 1], lab[:, 2]
    ab = torch.stack((a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()), dim=1)
    return torch.cat((lab[:, :1], chroma * ab), dim=1)


@pytest.mark.parametrize(("degrees", "chroma"), [(0, 1), (8, 1.2), (-100, 0.5)])
def test_what_was_turned_and_faded_is_measured(truth, degrees, chroma):
    found = compare_skin(turned(truth, degrees, chroma), truth)
    assert found["skin_hue"][0].item() == pytest.approx(degrees, abs=1e-3)
    assert found["skin_chroma"][0].item() == pytest.approx(chroma, abs=1e-4)
    assert found["skin_hue"].dtype == torch.float64 and all(values[1].isnan() for values in found.values())


def test_gray_skin_has_no_hue_and_no_chroma(truth):
    found = compare_skin(turned(truth, 0, 0), truth)
    assert found["skin_hue"][0].isnan() and found["skin_chroma"][0] == 0


def test_a_face_is_skin_and_a_suit_or_a_wall_is_not():
    lab = torch.from_numpy(rgb2lab(data.astronaut())).permute(2, 0, 1)[None]
    mask = skin_mask(lab)[0]
    assert mask[100:170, 200:250].float().mean() > 0.7
    assert mask[:60, 380:500].float().mean() < 0.1
    sky = torch.from_numpy(rgb2lab(np.full((4, 4, 3), (120, 160, 220), np.uint8))).permute(2, 0, 1)[None]
    assert not skin_mask(sky).any()
