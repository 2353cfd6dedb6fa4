import numpy as np
import pytest
import torch
from skimage.color import deltaE_ciede2000, rgb2lab
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from pix2pix.color import rgb_to_lab
from pix2pix.evaluation.metrics import METRICS, ab_l1, ciede2000, colorfulness, psnr, ssim


@pytest.fixture
def pair(batch):
    noise = torch.randint(-40, 40, batch.shape, generator=torch.Generator().manual_seed(0))
    return (batch + noise).clamp(0, 255).to(torch.uint8), batch


def as_array(photo):
    return photo.permute(1, 2, 0).numpy()


def test_ssim_is_scikit_images(pair):
    expected = [
        structural_similarity(as_array(a), as_array(b), channel_axis=-1, data_range=255)
        for a, b in zip(*pair, strict=True)
    ]
    assert ssim(*pair).tolist() == pytest.approx(expected, abs=1e-6)
    assert ssim(pair[1], pair[1]).tolist() == pytest.approx([1] * 4)


def test_ssim_of_photos_with_hardly_any_contrast_is_scikit_images(pair):
    """Where the variance is a small difference of large sums."""
    for photos in ([image // 16 for image in pair], [255 - image // 16 for image in pair], [pair[0] * 0, pair[1]]):
        expected = [
            structural_similarity(as_array(a), as_array(b), channel_axis=-1, data_range=255)
            for a, b in zip(*photos, strict=True)
        ]
        assert ssim(*photos).tolist() == pytest.approx(expected, abs=1e-5)


def test_psnr_is_scikit_images(pair):
    expected = [peak_signal_noise_ratio(as_array(b), as_array(a), data_range=255) for a, b in zip(*pair, strict=True)]
    assert psnr(*pair).tolist() == pytest.approx(expected, rel=1e-12)


def test_colorfulness_is_hasler_and_susstrunks(batch):
    for photo, value in zip(batch, colorfulness(batch).tolist(), strict=True):
        r, g, b = as_array(photo).astype(np.float64).transpose(2, 0, 1)
        rg, yb = r - g, 0.5 * (r + g) - b
        expected = np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean())
        assert value == pytest.approx(expected)


def test_colorfulness_by_hand():
    red = torch.tensor([255, 0, 0], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    assert colorfulness(red).item() == pytest.approx(0.3 * np.hypot(255, 127.5))
    assert colorfulness(torch.full((1, 3, 4, 4), 77, dtype=torch.uint8)).item() == 0


def test_ssim_takes_a_data_range_for_each_photo(pair):
    image, truth = (photos.double() / 255 * 0.7 for photos in pair)
    spans = truth.amax(dim=(1, 2, 3)) - truth.amin(dim=(1, 2, 3))
    expected = [
        structural_similarity(as_array(a), as_array(b), channel_axis=-1, data_range=span)
        for a, b, span in zip(image, truth, spans.tolist(), strict=True)
    ]
    assert ssim(image, truth, spans).tolist() == pytest.approx(expected, abs=1e-9)


def test_color_differences_are_scikit_images(pair):
    labs = [rgb_to_lab(photos.double() / 255) for photos in pair]
    for number, (a, b) in enumerate(zip(*pair, strict=True)):
        first, second = rgb2lab(as_array(a)), rgb2lab(as_array(b))
        assert ciede2000(*labs)[number].item() == pytest.approx(deltaE_ciede2000(first, second).mean(), abs=1e-3)
        assert ab_l1(*labs)[number].item() == pytest.approx(np.abs(first - second)[..., 1:].mean(), abs=1e-3)


def test_values_for_people():
    assert METRICS["psnr"].text(24.051) == "24.05" and METRICS["ssim"].text(0.00216, signed=True) == "+0.0022"
    assert METRICS["worse_psnr"].text(0.125) == "12.5 %" and METRICS["skin_chroma"].text(-0.1, signed=True) == "-10.0 %"
