"""Sheets of photos and a run's curves as PNG."""

import numpy as np
import pytest
import torch
from PIL import Image

from pix2pix.evaluation.figures import CAPTION, CURVES, GAP, TILE, draw_curves, draw_sheet, draw_verdict


def line(epoch, psnr):
    rows = {"model": {"psnr": psnr, "ssim": 0.9}, "gray": {"psnr": 22.0, "ssim": 0.91}, "truth": {"colorfulness": 40.0}}
    return {"epoch": epoch, "losses": {"loss_G": 1 / epoch, "loss_D": 0.7}, "validation": rows}


def has_color(path, color):
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    wanted = [int(color[place : place + 2], 16) for place in (1, 3, 5)]
    return (np.abs(pixels - wanted).sum(axis=2) < 30).sum()


def test_a_sheet_has_a_tile_for_each_photo_and_column(tmp_path):
    red, blue = (torch.tensor(color, dtype=torch.uint8).view(1, 3, 1, 1) for color in ((255, 0, 0), (0, 0, 255)))
    columns = [("one", red.expand(2, 3, 8, 8)), ("two", blue.expand(2, 3, 8, 8))]
    draw_sheet(columns, [{"one": "words"}, {}], tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (GAP + 2 * (TILE + GAP), CAPTION + GAP + 2 * (TILE + CAPTION))
        middle = CAPTION + GAP + TILE + CAPTION + TILE // 2
        assert sheet.getpixel((GAP + TILE // 2, middle)) == (255, 0, 0)
        assert sheet.getpixel((2 * GAP + TILE + TILE // 2, middle)) == (0, 0, 255)


@pytest.mark.parametrize("epochs", [1, 3])
def test_curves_show_the_model_and_gray(tmp_path, epochs):
    history = [line(epoch, 20.0 + epoch) for epoch in range(1, epochs + 1)]
    draw_curves(history, tmp_path / "curves.png")
    colors = {name: color for name, color, _ in CURVES}
    assert has_color(tmp_path / "curves.png", colors["model"]) > 20
    if epochs > 1:
        assert has_color(tmp_path / "curves.png", colors["gray"]) > 20


def test_curves_leave_out_what_is_not_finite(tmp_path):
    draw_curves([line(1, float("inf")), line(2, 22.0), line(3, float("inf"))], tmp_path / "curves.png")
    draw_curves([line(1, float("inf"))], tmp_path / "curves.png")


def test_a_verdict_has_four_photos_of_each_kind_and_none_twice(tmp_path):
    """20 photos: the last ones have the lowest SSIM."""
    similarity = torch.linspace(1, 0.5, 20, dtype=torch.float64)
    gray = torch.full((20,), 20.0, dtype=torch.float64)
    scores = {"gray": {"psnr": gray}, "model": {"psnr": gray + torch.arange(20), "ssim": similarity}}
    asked = []

    def pictures(numbers):
        asked.extend(numbers)
        return [(title, torch.zeros(len(numbers), 3, 8, 8, dtype=torch.uint8)) for title in ("gray", "fake", "real")]

    draw_verdict(scores, "model", pictures, tmp_path / "photos.png")
    assert asked[:8] == [0, 1, 2, 3, 19, 18, 17, 16] and len(asked) == len(set(asked)) and set(asked[8:]) <= {15, 4}
