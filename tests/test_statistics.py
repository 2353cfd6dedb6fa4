"""Which photos are shown: those that SSIM misjudges, and the best, median and worst."""

import numpy as np
import torch

from pix2pix.evaluation.statistics import extremes, misjudged


def test_the_photos_that_ssim_misjudges():
    """Eight photos: in the lowest quarter of SSIM number 5 gains most, in the highest number 2 loses."""
    similarity = torch.tensor([0.90, 0.91, 0.99, 0.92, 0.70, 0.71, 0.98, 0.93], dtype=torch.float64)
    gain = torch.tensor([1.0, 1, -3, 1, 0.5, 9, 2, 12], dtype=torch.float64)
    gray = torch.full_like(gain, 20)
    scores = {"gray": {"psnr": gray}, "model": {"psnr": gray + gain, "ssim": similarity}}
    assert misjudged(scores, "model") == {"low SSIM, colors right": [5, 4], "high SSIM, colors wrong": [2, 6]}


def test_best_median_and_worst():
    values = np.array([3.0, np.nan, 1.0, 5.0, 2.0, 4.0, 7.0, 6.0, 8.0])
    assert extremes(values, 1, 2) == {"best": [8, 6], "median": [3, 5], "worst": [1, 2]}
    assert extremes(values, -1, 1) == {"best": [2], "median": [3], "worst": [1]}
    assert extremes(np.array([-0.5, 3.0, -9.0]), 0, 1) == {"best": [0], "median": [1], "worst": [2]}
    assert extremes(np.array([1.0]), 1, 3) == {"best": [0], "median": [], "worst": []}
