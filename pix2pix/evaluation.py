"""Scores of a generator on a set of photos, always beside those of gray output and of the truth."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from tqdm import tqdm

from pix2pix.data import ColorizationDataset, batches
from pix2pix.frechet import InceptionFeatures
from pix2pix.inference import colorize_batch, gray_batch
from pix2pix.metrics import ciede2000, colorfulness, psnr, ssim

BATCH = 8  # larger ones are slower on a CPU: their float64 planes no longer fit its caches


@contextmanager
def eval_mode(network: nn.Module) -> Iterator[None]:
    """Evaluation mode inside the block; afterwards every module is in the mode it was in."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@torch.inference_mode()
def score(
    generator: nn.Module,
    dataset: ColorizationDataset,
    size: int,
    *,
    device: torch.device,
    strength: float = 1.0,
    workers: int = 0,
    inception: InceptionFeatures | None = None,
    progress: bool = False,
) -> dict[str, dict[str, Tensor]]:
    """Per photo, in float64: {"gray", "model", "truth"} to {"psnr" (dB), "ssim", "ciede2000", "colorfulness"} to (N,).

    Predictions and truth are uint8 photos of the dataset's size; the network works at `size` x `size`, its colours
    are multiplied by `strength`. The truth has a colorfulness only. With `inception` every row has "features"
    (N, 2048) too.
    """
    found: dict[str, dict[str, list[Tensor]]] = {"gray": {}, "model": {}, "truth": {}}

    def note(row: str, scores: dict[str, Tensor]) -> None:
        for name, values in scores.items():
            found[row].setdefault(name, []).append(values.cpu())

    indices = [list(range(start, min(start + BATCH, len(dataset)))) for start in range(0, len(dataset), BATCH)]
    bar = tqdm(total=len(dataset), unit="photo", desc="evaluating", disable=not progress)
    with eval_mode(generator), bar:
        for photos in batches(dataset, indices, workers=workers):
            truth = photos.to(device)
            for row, image in (
                ("gray", gray_batch(truth)),
                ("model", colorize_batch(generator, truth, size, strength)),
            ):
                note(row, {"psnr": psnr(image, truth), "ssim": ssim(image, truth)})
                note(row, {"ciede2000": ciede2000(image, truth), "colorfulness": colorfulness(image)})
                if inception is not None:
                    note(row, {"features": inception(image)})
            note("truth", {"colorfulness": colorfulness(truth)})
            if inception is not None:
                note("truth", {"features": inception(truth)})
            bar.update(len(photos))
    return {row: {name: torch.cat(parts) for name, parts in scores.items()} for row, scores in found.items()}


def means(scores: dict[str, dict[str, Tensor]]) -> dict[str, dict[str, float]]:
    """The mean over photos of what `score` returns.

    PSNR's is over the photos where no row is without any error (infinite PSNR, as gray's on a gray photo); with no
    photo left it is infinite.
    """
    finite = scores["gray"]["psnr"].isfinite() & scores["model"]["psnr"].isfinite()

    def mean(name: str, values: Tensor) -> float:
        if name == "psnr":
            return float(values[finite].mean()) if finite.any() else float("inf")
        return float(values.mean())

    return {row: {name: mean(name, values) for name, values in columns.items()} for row, columns in scores.items()}
