import numpy as np
import torch
from PIL import Image
from skimage.color import rgb2lab

from pix2pix.augment import augment, draw_augmentation
from pix2pix.color import to_lab

IDENTITY = torch.tensor([[1.0, 0, 0], [0, 1, 0]])


def test_lab_of_a_batch_is_scikit_images(batch):
    lightness, ab = to_lab(batch)
    expected = rgb2lab(batch[0].permute(1, 2, 0).numpy())
    assert np.abs(lightness[0, 0].numpy() - (expected[..., 0] / 50 - 1)).max() < 1e-4
    assert np.abs(ab[0].permute(1, 2, 0).numpy() - expected[..., 1:] / 110).max() < 1e-4


def test_without_a_crop_only_flips_are_left(batch):
    square = batch[..., :96]
    maps = draw_augmentation(4, torch.Generator().manual_seed(0), crop=False)
    flipped = maps[:, 0, 0] < 0
    assert flipped.any() and not flipped.all()
    for photo, result, flip in zip(square, augment(square, maps, 96), flipped, strict=True):
        expected = photo.flip(-1) if flip else photo
        assert torch.allclose(result, expected / 255, atol=1e-4)


def test_a_crop_is_the_window_its_map_says(batch):
    window = IDENTITY.clone()
    window[0, 0], window[0, 2] = 0.5, 0.5  # the right half, squashed
    got = augment(batch[:1], window[None], 48)[0].permute(1, 2, 0).numpy() * 255
    image = Image.fromarray(batch[0].permute(1, 2, 0).numpy()).crop((64, 0, 128, 96))
    expected = np.asarray(image.resize((48, 48), Image.Resampling.BOX), dtype=float)
    assert np.abs(got - expected).mean() < 6


def test_crops_stay_inside_and_cover_what_they_should():
    maps = draw_augmentation(2000, torch.Generator().manual_seed(1), crop=True)
    width, height = maps[:, 0, 0].abs(), maps[:, 1, 1]
    for side, shift in ((width, maps[:, 0, 2]), (height, maps[:, 1, 2])):
        assert (side + shift.abs()).max() <= 1 + 1e-6
    area = width * height
    assert area.min() > 0.3 and area.max() <= 1 and area.std() > 0.1
    assert abs((maps[:, 0, 0] < 0).float().mean() - 0.5) < 0.05


def test_any_share_of_a_batch_sees_the_same_crops(batch):
    square = batch[..., :96]
    maps = draw_augmentation(4, torch.Generator().manual_seed(2), crop=True)
    whole = augment(square, maps, 32)
    for rank in range(2):
        assert torch.allclose(augment(square[rank::2], maps[rank::2], 32), whole[rank::2], atol=1e-6)
