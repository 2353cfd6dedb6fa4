"""Pictures of photos side by side, drawn with Pillow, and the curves of a run, drawn with matplotlib."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from pix2pix.errors import UserError
from pix2pix.evaluation.scoring import Scores
from pix2pix.evaluation.statistics import gain_over_gray, misjudged
from pix2pix.files import replacing

TILE = 224
GAP = 12
EACH = 4  # photos a group in a verdict
CAPTION = 22


def draw_sheet(columns: list[tuple[str, Tensor]], captions: list[dict[str, str]], path: Path) -> None:
    """One row a photo, one titled column for each uint8 batch (N, 3, H, W), for instance gray, fake and real.

    `captions[row]` maps a column's title to the words under that picture.
    """
    rows = len(columns[0][1])
    font = ImageFont.load_default(size=14)
    width = GAP + len(columns) * (TILE + GAP)
    sheet = Image.new("RGB", (width, CAPTION + GAP + rows * (TILE + CAPTION)), "white")
    draw = ImageDraw.Draw(sheet)
    for column, (title, photos) in enumerate(columns):
        left = GAP + column * (TILE + GAP)
        draw.text((left + TILE / 2, GAP), title, fill="black", font=font, anchor="mt")
        for row, photo in enumerate(photos):
            top = CAPTION + GAP + row * (TILE + CAPTION)
            tile = Image.fromarray(np.ascontiguousarray(photo.permute(1, 2, 0).cpu().numpy()))
            sheet.paste(tile.resize((TILE, TILE), Image.Resampling.BICUBIC), (left, top))
            words = captions[row].get(title, "")
            draw.text((left + TILE / 2, top + TILE + 3), words, fill="black", font=font, anchor="mt")
    with replacing(path) as temporary:
        sheet.save(temporary)


def draw_verdict(
    scores: Scores, model: str, pictures: Callable[[list[int]], list[tuple[str, Tensor]]], path: Path
) -> None:
    """What SSIM tells and what it does not, as gray / fake / real: `pictures(rows)` gives the columns of these photos.

    The rows: the first photos; those with the model's lowest SSIM; those of the lowest quarter of SSIM whose colours
    are most to the point, which look right all the same; and those of the highest quarter whose colours are most
    beside it.
    """
    similarity, gain = scores[model]["ssim"], gain_over_gray(scores, model)
    groups = {
        "as they come": list(range(len(similarity))),
        "lowest SSIM": similarity.argsort(stable=True).tolist(),
        **misjudged(scores, model),
    }
    rows, captions = [], []
    for group, members in groups.items():
        for row in [row for row in members if row not in rows][:EACH]:
            rows.append(row)
            words = f"SSIM {similarity[row]:.3f}, {gain[row]:+.1f} dB over gray"
            captions.append({"gray": group, "fake": words})
    draw_sheet(pictures(rows), captions, path)


def draw_curves(history: list[dict[str, Any]], path: Path) -> None:
    """The losses and the validation scores (with gray's) of a run's history.jsonl over its epochs.

    Raises UserError when matplotlib, the plots extra, is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise UserError('drawing curves needs matplotlib: pip install -e ".[plots]"') from None
    epochs = [line["epoch"] for line in history]
    losses = list(history[0]["losses"])
    scores = [name for name in history[0]["validation"]["model"]]
    figure = Figure(figsize=(4 * max(len(losses), len(scores)), 6), layout="constrained")
    axes = figure.subplots(2, max(len(losses), len(scores)), squeeze=False)
    for axis in axes.flat:
        axis.set_visible(False)
    for axis, name in zip(axes[0], losses, strict=False):
        axis.plot(epochs, [line["losses"][name] for line in history], marker=".")
        axis.set(title=name, xlabel="epoch", visible=True)
    for axis, name in zip(axes[1], scores, strict=False):
        for row, style in (("model", "-"), ("gray", "--"), ("truth", ":")):
            values = [line["validation"][row].get(name) for line in history]
            if None not in values:
                axis.plot(epochs, values, style, label=row)
        axis.set(title=f"validation {name}", xlabel="epoch", visible=True)
        axis.legend()
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=80)
