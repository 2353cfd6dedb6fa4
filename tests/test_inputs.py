"""The lightness of old photos against scikit-image's Lab of the same colors."""

import numpy as np
import pytest
import torch
from skimage.color import rgb2lab

from pix2pix.color import to_lab
from pix2pix.evaluation.inputs import INPUTS, seen_lightness


def lightness_of(rgb):
    return rgb2lab(np.array(rgb, dtype=float).reshape(1, 1, 3) / 255)[0, 0, 0] / 50 - 1


@pytest.fixture
def square(batch):
    return batch[..., :96, :96].contiguous()


@pytest.mark.parametrize("kind", INPUTS)
def test_every_input_is_an_l_of_the_photos_size(square, kind):
    seen = seen_lightness(kind, square, (0, 1, 2, 3), seed=98)
    own = to_lab(square)[0]
    assert seen.shape == own.shape and seen.min() >= -1 - 1e-4 and seen.max() <= 1 + 1e-4
    assert (seen - own).abs().mean() > 0.01
    assert torch.equal(seen, seen_lightness(kind, square, (0, 1, 2, 3), seed=98))


def test_the_wear_of_a_photo_follows_from_its_number_and_the_seed(square):
    both = seen_lightness("worn", square[:1].expand(2, -1, -1, -1), (5, 6), seed=1)
    assert torch.allclose(both[1:], seen_lightness("worn", square[:1], (6,), seed=1), atol=1e-5)
    assert not torch.allclose(both[:1], both[1:], atol=1e-2)
    assert not torch.allclose(both[:1], seen_lightness("worn", square[:1], (5,), seed=2), atol=1e-2)


def test_sepia_runs_from_dark_brown_to_cream():
    grays = torch.tensor([0, 255], dtype=torch.uint8).view(1, 1, 1, 2).expand(1, 3, 1, 2)
    seen = seen_lightness("sepia", grays, (0,), seed=0).flatten().tolist()
    assert seen == pytest.approx([lightness_of((48, 32, 20)), lightness_of((244, 226, 190))], abs=1e-3)


def test_orthochromatic_film_sees_blue_as_light_and_red_as_dark():
    colors = torch.tensor([[255, 0, 0], [0, 0, 255], [255, 255, 255], [90, 90, 90]], dtype=torch.uint8)
    red, blue, white, gray = seen_lightness("orthochromatic", colors.T.reshape(1, 3, 1, 4), (0,), seed=0).flatten()
    assert red < lightness_of((255, 0, 0)) - 0.5 and blue > lightness_of((0, 0, 255)) + 0.5
    assert [white, gray] == pytest.approx([1, lightness_of((90, 90, 90))], abs=1e-3)
