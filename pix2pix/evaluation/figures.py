"""Pictures that are written as PNG: photos side by side, and the curves of a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from pix2pix.evaluation.charts import HEIGHT, SMOOTH, WIDTH, Chart, draw
from pix2pix.evaluation.scoring import Scores
from pix2pix.evaluation.statistics import gain_over_gray, misjudged
from pix2pix.files import replacing

TILE = 224
GAP = 12
EACH = 4  # photos per group in a verdict
CAPTION = 22
CURVES = (("model", "#1d5fd0", False), ("gray", "#7a818c", True), ("truth", "#1a7f45", True))  # name, color, dashed
AXIS = "#565c66"


def draw_sheet(columns: list[tuple[str, Tensor]], captions: list[dict[str, str]], path: Path) -> None:
    """One line per photo, one titled column for each uint8 batch (N, 3, H, W), for instance gray, fake and real.

    `captions[number]` maps a column's title to the words under that photo's picture there.
    """
    count = len(columns[0][1])
    font = ImageFont.load_default(size=14)
    width = GAP + len(columns) * (TILE + GAP)
    sheet = Image.new("RGB", (width, CAPTION + GAP + count * (TILE + CAPTION)), "white")
    canvas = ImageDraw.Draw(sheet)
    for column, (title, photos) in enumerate(columns):
        left = GAP + column * (TILE + GAP)
        canvas.text((left + TILE / 2, GAP), title, fill="black", font=font, anchor="mt")
        for number, photo in enumerate(photos):
            top = CAPTION + GAP + number * (TILE + CAPTION)
            tile = Image.fromarray(np.ascontiguousarray(photo.permute(1, 2, 0).cpu().numpy()))
            sheet.paste(tile.resize((TILE, TILE), Image.Resampling.BICUBIC), (left, top))
            words = captions[number].get(title, "")
            canvas.text((left + TILE / 2, top + TILE + 3), words, fill="black", font=font, anchor="mt")
    with replacing(path) as temporary:
        sheet.save(temporary)


def draw_verdict(
    scores: Scores, model: str, pictures: Callable[[list[int]], list[tuple[str, Tensor]]], path: Path
) -> None:
    """What SSIM tells and what it does not, as gray / fake / real: `pictures(numbers)` gives these photos' columns.

    The photos: the first ones; those with the model's lowest SSIM; those of the lowest quarter of SSIM with the best
    colors, which look right all the same; and those of the highest quarter with the worst.
    """
    similarity, gain = scores[model]["ssim"], gain_over_gray(scores, model)
    groups = {
        "as they come": list(range(len(similarity))),
        "lowest SSIM": similarity.argsort(stable=True).tolist(),
        **misjudged(scores, model),
    }
    chosen: list[int] = []
    captions = []
    for group, members in groups.items():
        for number in [number for number in members if number not in chosen][:EACH]:
            chosen.append(number)
            words = f"SSIM {similarity[number]:.3f}, {gain[number]:+.1f} dB over gray"
            captions.append({"gray": group, "fake": words})
    draw_sheet(pictures(chosen), captions, path)


def draw_curves(history: list[dict[str, Any]], path: Path) -> None:
    """The losses and the validation scores (with gray's and the truth's) of a run's history.jsonl over its epochs."""
    epochs = [line["epoch"] for line in history]
    losses = [_curve(name, epochs, {"": [line["losses"][name] for line in history]}) for name in history[0]["losses"]]
    scores = [
        _curve(f"validation {name}", epochs, _validation(history, name)) for name in history[0]["validation"]["model"]
    ]
    across = max(len(losses), len(scores))
    size = (across * WIDTH, 2 * HEIGHT)
    image = Image.new("RGB", (SMOOTH * size[0], SMOOTH * size[1]), "white")
    canvas = ImageDraw.Draw(image)
    for down, charts in enumerate((losses, scores)):
        for column, chart in enumerate(charts):
            draw(chart, canvas, SMOOTH * WIDTH * column, SMOOTH * HEIGHT * down)
    with replacing(path) as temporary:
        image.resize(size, Image.Resampling.BOX).save(temporary)


def _validation(history: list[dict[str, Any]], metric: str) -> dict[str, list[float]]:
    """A metric of the rows that have it in every line."""
    values = {name: [line["validation"][name].get(metric) for line in history] for name, _, _ in CURVES}
    return {name: found for name, found in values.items() if None not in found}


def _curve(title: str, epochs: list[int], rows: dict[str, list[float]]) -> Chart:
    """One panel: a line per row; the first one's name is not needed where it is the only one."""
    known = [value for values in rows.values() for value in values if np.isfinite(value)] or [0.0]
    chart = Chart(title, (epochs[0], epochs[-1]), (min(known), max(known)), left=52, top=24)
    for name, values in rows.items():
        color, dashed = next(((c, d) for row, c, d in CURVES if row == name), (CURVES[0][1], False))
        pairs = [(epoch, value) for epoch, value in zip(epochs, values, strict=True) if np.isfinite(value)]
        if pairs:
            chart.line(pairs, color, dashed=dashed)
            chart.dots(pairs, color, radius=2)
            chart.words(*pairs[-1], name, anchor="end")
    chart.horizontal_axis(AXIS, [(epochs[0], str(epochs[0])), (epochs[-1], f"epoch {epochs[-1]}")])
    low, high = chart.y
    chart.vertical_axis(AXIS, [(value, f"{value:.4g}") for value in (low, (low + high) / 2, high)])
    chart.words(chart.x[0], high, title, up=10)
    return chart
