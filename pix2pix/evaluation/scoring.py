"""Scores of photos' rows (gray, the mean colour, generators), always beside those of the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from pix2pix.color import AB_SCALE, lab_to_rgb_in_gamut, rgb_to_lab, split_lab, to_lab
from pix2pix.data.dataset import ColorizationDataset, batches
from pix2pix.evaluation.metrics import ab_l1, ciede2000, colorfulness, psnr, ssim
from pix2pix.files import replacing
from pix2pix.inference import gray_photos, predict_ab

BATCH = 8  # photos predicted at a time
CHUNK = 64  # photos that are scored before the scores are saved
WATCHED = ("psnr", "ssim", "ciede2000", "colorfulness")  # what the training writes after every epoch
SAMPLED = 1000  # training photos whose mean colour is taken

Row = Callable[[Tensor], Tensor]  # L (n, 1, H, W) in [-1, 1] to uint8 photos (n, 3, H, W)
Scores = dict[str, dict[str, Tensor]]  # row to metric to (n,) or, features, (n, D)


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


def constant_row(mean_ab: list[float]) -> Row:
    """The same a and b, in Lab's units, everywhere."""

    def colorize(lightness: Tensor) -> Tensor:
        ab = lightness.new_tensor(mean_ab).view(1, 2, 1, 1) / AB_SCALE
        return lab_to_rgb_in_gamut(lightness, ab.expand(len(lightness), 2, *lightness.shape[-2:]))

    return colorize


def model_row(generator: nn.Module, size: int, strength: float = 1.0) -> Row:
    """A generator in eval mode that works at `size` x `size`; its ab are multiplied by `strength`."""
    return lambda lightness: lab_to_rgb_in_gamut(lightness, strength * predict_ab(generator, lightness, (size, size)))


def score_rows(truth: Tensor, rows: dict[str, Row]) -> tuple[Scores, dict[str, Tensor]]:
    """Every row's metrics on uint8 photos (n, 3, H, W), float64 (n,) on the CPU, and its photos.

    PSNR in dB, SSIM, CIEDE2000, L1 of ab in Lab's units, colorfulness; of the truth the colorfulness only.
    """
    truth_lab = rgb_to_lab(truth.float() / 255)
    lightness, _ = split_lab(truth_lab)
    photos = {name: row(lightness) for name, row in rows.items()}
    scores = {name: _compare(image, truth, truth_lab) for name, image in photos.items()}
    scores["truth"] = {"colorfulness": colorfulness(truth).cpu()}
    return scores, photos | {"truth": truth}


def _compare(images: Tensor, truths: Tensor, truth_labs: Tensor) -> dict[str, Tensor]:
    """The metrics of one row, photo by photo: on a CPU three times as fast, since one photo's planes fit its caches."""
    parts = []
    for image, truth, truth_lab in zip(images.split(1), truths.split(1), truth_labs.split(1), strict=True):
        lab = rgb_to_lab(image.float() / 255)
        values = {
            "psnr": psnr(image, truth),
            "ssim": ssim(image, truth),
            "ciede2000": ciede2000(lab, truth_lab),
            "ab_l1": ab_l1(lab, truth_lab),
            "colorfulness": colorfulness(image),
        }
        parts.append(values)
    return {name: torch.cat([part[name] for part in parts]).cpu() for name in parts[0]}


@torch.inference_mode()
def score(generator: nn.Module, dataset: ColorizationDataset, size: int, *, device: torch.device) -> Scores:
    """{"gray", "model", "truth"} to what `score_rows` says, per photo of the dataset."""
    rows = {"gray": gray_photos, "model": model_row(generator, size)}
    with eval_mode(generator):
        parts = [score_rows(photos.to(device), rows)[0] for photos in batches(dataset, batch_indices(len(dataset)))]
    return join_scores(parts)


@torch.inference_mode()
def score_in_chunks(
    dataset: ColorizationDataset,
    score_batch: Callable[[Tensor, int], Scores],
    folder: Path,
    *,
    batch: int = BATCH,
    workers: int = 0,
) -> Scores:
    """`score_batch(uint8 photos, number of the first one)` over the dataset, each chunk of it saved in `folder`.

    Chunks that an earlier call has saved there are read instead. Batches do not depend on where the earlier one ended.
    """
    folder.mkdir(exist_ok=True)
    step = max(1, CHUNK // batch)
    indices = batch_indices(len(dataset), batch)
    chunks = {folder / f"{k:05d}.pt": indices[k : k + step] for k in range(0, len(indices), step)}
    missing = {path: parts for path, parts in chunks.items() if not path.is_file()}
    todo = [part for parts in missing.values() for part in parts]
    done = len(dataset) - sum(map(len, todo))
    if done:
        print(f"going on: {done} of {len(dataset)} photos are scored already, in {folder}")
    stream = batches(dataset, todo, workers=workers)
    with tqdm(total=len(dataset), initial=done, unit="photo", desc="evaluating") as bar:
        for path, parts in missing.items():
            scores = []
            for part, photos in zip(parts, stream, strict=False):
                scores.append(score_batch(photos, part[0]))
                bar.update(len(part))
            with replacing(path) as temporary:
                torch.save(join_scores(scores), temporary)
    return join_scores([torch.load(path, weights_only=True) for path in chunks])


def batch_indices(count: int, batch: int = BATCH) -> list[list[int]]:
    return [list(range(start, min(start + batch, count))) for start in range(0, count, batch)]


def join_scores(parts: list[Scores]) -> Scores:
    """The scores of several batches as one."""
    return {
        row: {name: torch.cat([part[row][name] for part in parts]) for name in values}
        for row, values in parts[0].items()
    }


def means(scores: Scores) -> dict[str, dict[str, float]]:
    """The mean over photos of those scores that the training watches.

    PSNR's is over the photos where no row is without any error (infinite PSNR, as gray's on a gray photo); with no
    photo left it is infinite.
    """
    finite = finite_psnr(scores)

    def mean(name: str, values: Tensor) -> float:
        if name == "psnr":
            return float(values[finite].mean()) if finite.any() else float("inf")
        return float(values.mean())

    return {
        row: {name: mean(name, values) for name, values in columns.items() if name in WATCHED}
        for row, columns in scores.items()
    }


def finite_psnr(scores: Scores) -> Tensor:
    """(N,) bool: the photos that no row predicts without any error."""
    return torch.stack([values["psnr"].isfinite() for values in scores.values() if "psnr" in values]).all(dim=0)


def mean_ab(dataset: ColorizationDataset) -> list[float]:
    """The mean a and b, in Lab's units, of every fourth pixel each way of at most 1,000 evenly spaced photos."""
    step = -(-len(dataset) // SAMPLED)
    total, photos = torch.zeros(2, dtype=torch.float64), range(0, len(dataset), step)
    for row in photos:
        _, ab = to_lab(dataset[row][None, :, ::4, ::4])
        total += AB_SCALE * ab.double().mean(dim=(0, 2, 3))
    return [round(value, 4) for value in (total / len(photos)).tolist()]
