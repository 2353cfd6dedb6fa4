"""The files of an evaluation, and the photos in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from pix2pix.data.dataset import ColorizationDataset
from pix2pix.evaluation.figures import draw_verdict
from pix2pix.evaluation.methods import GRAY, TRUTH, Batch, Method
from pix2pix.evaluation.page import write_results_page
from pix2pix.evaluation.results import Results, tables, write_csv
from pix2pix.evaluation.scoring import BATCH
from pix2pix.files import write_json


def write_outputs(
    folder: Path, results: Results, dataset: ColorizationDataset, methods: Sequence[Method], device: torch.device
) -> None:
    """Write results.json, results.csv, results.html and photos.png."""
    pictures = picture_maker(dataset, methods, device)
    found = tables(results.summary, results.distances, results.curves)
    write_json(folder / "results.json", {**results.protocol, **found, "broken": dataset.photo_set.broken})
    write_csv(folder / "results.csv", results.scores, results.photos)
    write_results_page(folder / "results.html", results, pictures)

    def columns(numbers: list[int]) -> list[tuple[str, Tensor]]:
        images = pictures(numbers, [GRAY, results.models[0], TRUTH])
        return list(zip(("gray", "fake", "real"), images.values(), strict=True))

    draw_verdict(results.scores, results.models[0], columns, folder / "photos.png")
    print(f"written: results.json, results.csv, results.html and photos.png, in {folder}")


def picture_maker(
    dataset: ColorizationDataset, methods: Sequence[Method], device: torch.device
) -> Callable[[list[int], Sequence[str]], dict[str, Tensor]]:
    """`pictures(numbers, names)`: these photos as those methods and the truth show them, uint8 (n, 3, H, W) each."""
    by_name = {method.name: method for method in methods}

    @torch.inference_mode()
    def pictures(numbers: list[int], names: Sequence[str]) -> dict[str, Tensor]:
        parts: dict[str, list[Tensor]] = {name: [] for name in names}
        for start in range(0, len(numbers), BATCH):
            some = numbers[start : start + BATCH]
            batch = Batch.of(torch.stack([dataset[number] for number in some]).to(device), some)
            for name in names:
                parts[name].append((batch.photos if name == TRUTH else by_name[name].colorize(batch)).cpu())
        return {name: torch.cat(images) for name, images in parts.items()}

    return pictures
