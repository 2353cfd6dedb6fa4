import io

import numpy as np
import torch
from PIL import Image
from skimage.color import rgb2lab

from pix2pix.color import to_lab
from pix2pix.data.augment import _jpeg, augment, degrade, draw_augmentation, draw_degradation

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


def test_only_the_share_asked_for_is_degraded(batch):
    lightness = to_lab(batch[..., :96])[0].repeat(50, 1, 1, 1)
    worn = degrade(lightness, draw_degradation(200, 96, torch.Generator().manual_seed(3), share=0.25))
    changed = (worn != lightness).flatten(1).any(dim=1)
    assert 0.15 < changed.float().mean() < 0.35
    assert worn.min() >= -1 and worn.max() <= 1
    error = (worn - lightness).abs().mean(dim=(1, 2, 3))[changed]
    assert error.min() > 0.005 and error.max() > 0.1


def test_degrading_any_share_of_a_batch_is_degrading_the_whole(batch):
    lightness = to_lab(batch)[0][..., :90, :90]
    draws = draw_degradation(4, 90, torch.Generator().manual_seed(0), share=1)
    assert torch.equal(degrade(lightness[1::2], draws[1::2]), degrade(lightness, draws)[1::2])


def test_fading_is_what_its_formula_says():
    lightness = torch.linspace(-0.8, 0.8, 64).view(1, 1, 8, 8)
    draws = torch.zeros(1, 5 + 64)
    draws[:, 0], draws[:, 1] = 1, 1
    assert torch.allclose(degrade(lightness, draws), 0.5 * lightness - 0.4, atol=0.02)


def test_jpegs_quantisation_is_pillows(batch):
    """Quality 50 is the standard's table itself; Pillow's level shift is 128 where this one's is 127.5."""
    photo = Image.fromarray(batch[0].permute(1, 2, 0).numpy()).convert("L").crop((0, 0, 96, 90))
    file = io.BytesIO()
    photo.save(file, "JPEG", quality=50)
    expected = np.asarray(Image.open(file), dtype=float)
    original = torch.from_numpy(np.asarray(photo, dtype=np.float32))[None, None]
    got = (_jpeg(original / 127.5 - 1, torch.ones(1, 1, 1, 1)) + 1)[0, 0].numpy() * 127.5
    assert np.abs(got - expected).mean() < 0.3 * np.abs(original[0, 0].numpy() - expected).mean()
