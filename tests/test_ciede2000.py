"""The color difference against scikit-image's and the table that its authors published for checking."""

import numpy as np
import pytest
import torch
from skimage.color import deltaE_ciede2000

from pix2pix.evaluation.ciede2000 import delta_e_2000


def test_it_is_scikit_images():
    generator = torch.Generator().manual_seed(0)
    low, high = (torch.tensor(ends, dtype=torch.float64).view(1, 3, 1, 1) for ends in ((0, -90, -90), (100, 90, 90)))
    lab, other = (low + (high - low) * torch.rand(1, 3, 60, 60, generator=generator) for _ in range(2))
    other[:, :, ::2] = lab[:, :, ::2] + torch.randn(1, 3, 30, 60, generator=generator)  # small differences
    other[:, 1:, ::7] = 0  # against gray
    lab[:, 1:, :, ::9] = 0
    expected = deltaE_ciede2000(lab[0].permute(1, 2, 0).numpy(), other[0].permute(1, 2, 0).numpy())
    assert np.abs(delta_e_2000(lab, other)[0].numpy() - expected).max() < 1e-5
    assert np.abs(delta_e_2000(lab.float(), other.float())[0].numpy() - expected).max() < 1e-3
    assert delta_e_2000(lab.float(), lab.float()).max() < 1e-5


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 2.5, 0), (50, 0, -2.5), 4.3065),
        ((22.7233, 20.0904, -46.6940), (23.0331, 14.9730, -42.5619), 2.0373),
        ((50, -1, 2), (50, 0, 0), 2.3669),
        ((50, 2.49, -0.001), (50, -2.49, 0.0009), 7.1792),
        ((50, 2.5, 0), (58, 24, 15), 19.4535),
    ],
)
def test_sharmas_table(one, two, expected):
    one, two = (torch.tensor(lab, dtype=torch.float64).view(1, 3, 1, 1) for lab in (one, two))
    assert delta_e_2000(one, two).item() == pytest.approx(expected, abs=5e-5)
    assert delta_e_2000(two, one).item() == pytest.approx(expected, abs=5e-5)
