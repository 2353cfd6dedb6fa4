"""The guided filter against its definition, a ridge regression in every window, and what it is for."""

import numpy as np
import torch

from pix2pix.guided_filter import FLAT, RADIUS, guided_filter


def window_fit(ab, lightness, row, column):
    """Slope and offset of one channel in the window around a pixel, by numpy's least squares with a penalty."""
    rows, columns = (
        np.arange(place - RADIUS, place + RADIUS + 1).clip(0, side - 1)
        for place, side in ((row, ab.shape[0]), (column, ab.shape[1]))
    )
    values, guide = ab[np.ix_(rows, columns)].ravel(), lightness[np.ix_(rows, columns)].ravel()
    design = np.concatenate((guide - guide.mean(), [np.sqrt(FLAT * len(guide))]))[:, None]
    slope = np.linalg.lstsq(design, np.append(values - values.mean(), 0), rcond=None)[0][0]
    return slope, values.mean() - slope * guide.mean()


def test_every_window_is_a_ridge_regression():
    rng = np.random.default_rng(0)
    lightness, ab = rng.uniform(-1, 1, (9, 11)), rng.uniform(-0.5, 0.5, (2, 9, 11))
    found = guided_filter(torch.tensor(ab)[None], torch.tensor(lightness)[None, None])[0].numpy()
    for channel in (0, 1):
        fits = np.array([[window_fit(ab[channel], lightness, y, x) for x in range(11)] for y in range(9)])
        fits = np.pad(fits, ((RADIUS, RADIUS), (RADIUS, RADIUS), (0, 0)), mode="edge")
        windows = np.lib.stride_tricks.sliding_window_view(fits, (2 * RADIUS + 1,) * 2, axis=(0, 1)).mean((-2, -1))
        assert np.allclose(found[channel], windows[..., 0] * lightness + windows[..., 1], atol=1e-9)


def test_noise_goes_and_edges_of_the_lightness_stay():
    torch.manual_seed(0)
    lightness = torch.full((1, 1, 24, 24), -0.6)
    lightness[..., 12:] = 0.6
    ab = torch.where(lightness > 0, 0.3, -0.1).expand(1, 2, 24, 24)
    noise = 0.05 * torch.randn(1, 2, 24, 24)
    smooth = guided_filter(ab + noise, lightness)
    assert (smooth - ab).std() < 0.35 * noise.std()
    assert (guided_filter(ab, lightness) - ab).abs().max() < 0.01  # the step itself
    plain = guided_filter(ab, torch.zeros_like(lightness))
    assert (plain - ab).abs().max() > 0.1  # without an edge in L it would be blurred


def test_one_color_stays_on_photos_of_any_size():
    for size in ((1, 1), (1, 40), (3, 2), (17, 30)):
        ab = torch.tensor([0.2, -0.4]).view(1, 2, 1, 1).expand(2, 2, *size)
        assert torch.allclose(guided_filter(ab, torch.rand(2, 1, *size) * 2 - 1), ab, atol=1e-5)
