"""Crops against Pillow's, old film against its own mix of channels, wear against its formulas and Pillow's JPEG."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.color import rgb2lab

from pix2pix.color import to_lab
from pix2pix.data.augment import augment, degrade, draw_augmentation, draw_degradation, draw_film, film_lightness


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def wear(**levels):
    """The draws (1, 7) for `degrade` of one photo, all levels 0 but those named."""
    names = ("chosen", "fade", "blur", "grain", "coding", "marks", "seed")
    return torch.tensor([[{"chosen": 1.0, **levels}.get(name, 0.0) for name in names]])


def test_without_a_crop_only_mirroring_is_left(batch):
    square = batch[..., :96]
    windows = draw_augmentation(4, seeded(), crop=False)
    mirrored = windows[:, 4] > 0
    assert mirrored.any() and not mirrored.all()
    for photo, result, mirror in zip(square, augment(square, windows, 96), mirrored, strict=True):
        assert torch.allclose(result, (photo.flip(-1) if mirror else photo) / 255, atol=1e-6)


@pytest.mark.parametrize("size", [24, 48, 96])
def test_a_crop_is_the_window_resized_as_pillow_does(batch, size):
    window = torch.tensor([[0.5, 0.25, 0.5, 0.75, 0.0]])
    for photos in (batch[:1], batch[:1].contiguous(memory_format=torch.channels_last)):
        got = augment(photos, window, size)
        assert got.shape == (1, 3, size, size) and got.dtype == torch.float32
        image = Image.fromarray(batch[0].permute(1, 2, 0).numpy()).crop((64, 24, 128, 96))
        expected = np.asarray(image.resize((size, size), Image.Resampling.BILINEAR), dtype=float)
        assert np.abs(got[0].permute(1, 2, 0).numpy() * 255 - expected).max() < 2.5


def test_a_mirrored_crop_is_the_crop_mirrored(batch):
    window = torch.tensor([[0.1, 0.2, 0.6, 0.7, 0.0]])
    plain, mirrored = augment(batch[:1], window, 40), augment(batch[:1], window + torch.tensor([0, 0, 0, 0, 1]), 40)
    assert torch.equal(mirrored, plain.flip(-1))


def test_crops_stay_inside_and_cover_what_they_should():
    left, top, width, height, mirror = draw_augmentation(2000, seeded(1), crop=True).unbind(1)
    for start, length in ((left, width), (top, height)):
        assert start.min() >= 0 and (start + length).max() <= 1 + 1e-6
        assert start[length < 0.7].max() > 0.3  # anywhere
    area = width * height
    assert area.min() > 0.3 and area.max() <= 1 and area.std() > 0.1
    assert abs(mirror.mean() - 0.5) < 0.05 and set(mirror.tolist()) == {0.0, 1.0}


def test_any_share_of_a_batch_sees_the_same_crops(batch):
    windows = draw_augmentation(4, seeded(2), crop=True)
    whole = augment(batch, windows, 32)
    for rank in range(2):
        assert torch.equal(augment(batch[rank::2], windows[rank::2], 32), whole[rank::2])


def test_film_sees_little_red_and_white_as_white():
    chosen, *mix = draw_film(2000, seeded(), 0.25).unbind(1)
    red, _, blue = mix
    assert set(chosen.tolist()) == {0.0, 1.0} and abs(chosen.mean() - 0.25) < 0.04
    assert torch.allclose(sum(mix), torch.ones(2000)) and min(map(torch.min, mix)) >= 0
    assert red.max() <= 0.2 and 0.04 < red.median() < 0.06 and blue.min() < 0.3 and blue.max() > 0.85


def test_lightness_of_film_is_cie_l_of_its_mix(batch):
    photos = batch / 255
    lightness, _ = to_lab(batch)
    draws = torch.tensor([[1, 0.1, 0.3, 0.6], [0, 0.1, 0.3, 0.6], [1, 0.2126, 0.7152, 0.0722], [1, 0.0, 0.1, 0.9]])
    film = film_lightness(photos, lightness, draws)
    assert film.shape == lightness.shape and torch.equal(film[1], lightness[1])
    assert (film[2] - lightness[2]).abs().max() < 2e-3  # the mix of the eye
    for photo, seen, mix in zip(photos, film, draws, strict=True):
        if not mix[0]:
            continue
        srgb = photo.permute(1, 2, 0).double().numpy()
        linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
        seen_light = linear @ mix[1:].double().numpy()
        as_gray = np.where(
            seen_light <= 0.0031308, 12.92 * seen_light, 1.055 * np.maximum(seen_light, 1e-9) ** (1 / 2.4) - 0.055
        )
        expected = rgb2lab(np.repeat(as_gray[..., None], 3, axis=2))[..., 0]
        assert np.abs((seen[0].numpy() + 1) * 50 - expected).max() < 0.05


def test_film_makes_blue_light_and_red_dark():
    colors = torch.tensor([[0.8, 0.2, 0.2], [0.2, 0.2, 0.8], [1, 1, 1]]).view(3, 3, 1, 1)
    lightness, _ = to_lab((colors * 255).round().byte())
    film = film_lightness(colors, lightness, draw_film(3, seeded(), 1))
    assert film[0] < lightness[0] - 0.05 and film[1] > lightness[1] + 0.3 and abs(film[2] - 1) < 1e-4


def test_only_the_share_asked_for_is_degraded(batch):
    lightness = to_lab(batch[..., :96])[0].repeat(50, 1, 1, 1)
    before, draws = lightness.clone(), draw_degradation(200, seeded(3), share=0.25)
    worn = degrade(lightness, draws)
    changed = (worn != lightness).flatten(1).any(dim=1)
    assert torch.equal(changed, draws[:, 0] > 0) and 0.15 < changed.float().mean() < 0.35
    assert worn.min() >= -1 and worn.max() <= 1 and torch.equal(lightness, before)
    error = (worn - lightness).abs().mean(dim=(1, 2, 3))[changed]
    assert error.min() > 0.005 and error.max() > 0.1
    assert degrade(lightness, draw_degradation(200, seeded(3), share=0)) is lightness


def test_degrading_any_share_of_a_batch_is_degrading_the_whole(batch):
    lightness = to_lab(batch)[0][..., :90, :90]
    draws = draw_degradation(4, seeded(), share=1)
    part, whole = degrade(lightness[1::2], draws[1::2]), degrade(lightness, draws)[1::2]
    assert (part - whole).abs().median() < 1e-6  # a coefficient may be rounded the other way
    assert ((part - whole).abs() > 1e-3).float().mean() < 0.01


def test_fading_is_what_its_formula_says():
    lightness = torch.linspace(-0.8, 0.8, 64).view(1, 1, 8, 8)
    assert torch.allclose(degrade(lightness, wear(fade=1)), 0.5 * lightness - 0.4, atol=0.02)


def test_blur_is_a_binomial_filter():
    lightness = torch.full((1, 1, 16, 16), -0.5)
    lightness[..., 8, 8] = 0.5
    row = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    expected = torch.full((16, 16), -0.5 * 1.1)
    expected[6:11, 6:11] += 1.1 * torch.outer(row, row)
    assert (degrade(lightness, wear(blur=1))[0, 0] - expected).abs().max() < 0.02


def test_grain_is_as_strong_as_said_and_another_for_each_photo():
    flat = torch.zeros(2, 1, 64, 64)
    grain = degrade(flat, torch.cat((wear(grain=1, seed=0.25), wear(grain=1, seed=0.5))))
    assert 0.09 < grain[0].std() < 0.11 and abs(grain.mean()) < 0.01
    assert abs(torch.corrcoef(grain.flatten(1))[0, 1]) < 0.1


def test_dust_and_scratches_are_rare_and_strong():
    flat = torch.zeros(1, 1, 256, 256)
    marked, clean = degrade(flat, wear(marks=1, seed=0.5))[0, 0], degrade(flat, wear(marks=0.4, seed=0.5))[0, 0]
    assert clean.abs().max() < 0.01
    scratched = marked.median(dim=0).values > 0.3  # whole columns
    assert 1 <= scratched.sum() <= 6
    specks = (marked[:, ~scratched].abs() > 0.8).sum()
    assert 5 <= specks <= 50


def test_jpegs_quantization_is_pillows(batch):
    """Quality 50 is the standard's table itself; Pillow's level shift is 128 where this one's is 127.5."""
    photo = Image.fromarray(batch[0].permute(1, 2, 0).numpy()).convert("L").crop((0, 0, 96, 90))
    file = io.BytesIO()
    photo.save(file, "JPEG", quality=50)
    expected = np.asarray(Image.open(file), dtype=float)
    original = torch.from_numpy(np.asarray(photo, dtype=np.float32))[None, None]
    unfaded = (original / 127.5 - 1) / 1.1  # so that the contrast of 1.1 gives the photo itself
    got = (degrade(unfaded, wear(coding=3**-0.5))[0, 0].numpy() + 1) * 127.5
    assert np.abs(got - expected).mean() < 0.3 * np.abs(original[0, 0].numpy() - expected).mean()
