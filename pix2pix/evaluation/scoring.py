"""Scores of methods on photos, batch by batch, beside those of the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from pix2pix.color import AB_SCALE, rgb_to_lab, to_lab
from pix2pix.data.dataset import ColorizationDataset, batches
from pix2pix.distributed import World, wait_for_all
from pix2pix.evaluation.methods import TRUTH, Batch, Method, generator_method, gray_method
from pix2pix.evaluation.metrics import ab_l1, ciede2000, colorfulness, psnr, ssim
from pix2pix.files import replacing
from pix2pix.threads import map_on_cores

BATCH = 8  # photos colored at a time
MOST_AT_ONCE = 16  # batches, of about 110 MB each at 256x256
CHUNK = 64  # photos that are scored before the scores are saved
TRAINING_METRICS = ("psnr", "ssim", "ciede2000", "colorfulness")  # what a run's history has after every epoch
SAMPLED = 1000  # training photos whose mean color is taken

Scores = dict[str, dict[str, Tensor]]  # a method's name to a metric's name to (n,) or, for features, (n, D)
Extra = Callable[[Batch, dict[str, Tensor]], Scores]  # more scores, of a batch and what the methods made of it


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


def score_batch(batch: Batch, methods: Sequence[Method], extras: Sequence[Extra] = ()) -> Scores:
    """Every method's metrics on the photos, float64 (n,) on the CPU.

    PSNR in dB, SSIM, CIEDE2000, L1 of ab in Lab's units, colorfulness, then the method's own measures and the extras;
    for the truth the colorfulness and the extras.
    """
    photos = {method.name: method.colorize(batch) for method in methods}
    scores = {method.name: _compare(photos[method.name], batch, method) for method in methods}
    scores[TRUTH] = {"colorfulness": colorfulness(batch.photos).cpu()}
    for extra in extras:
        for name, values in extra(batch, photos | {TRUTH: batch.photos}).items():
            scores[name] |= values
    return scores


def _compare(images: Tensor, batch: Batch, method: Method) -> dict[str, Tensor]:
    """The metrics of one method, photo by photo: three times as fast on a CPU, whose caches hold one photo's planes."""
    parts, labs = [], []
    for image, truth, true_lab in zip(images.split(1), batch.photos.split(1), batch.lab.split(1), strict=True):
        lab = rgb_to_lab(image.float() / 255)
        values = {
            "psnr": psnr(image, truth),
            "ssim": ssim(image, truth),
            "ciede2000": ciede2000(lab, true_lab),
            "ab_l1": ab_l1(lab, true_lab),
            "colorfulness": colorfulness(image),
        }
        parts.append(values)
        labs.append(lab)
    scores = {name: torch.cat([part[name] for part in parts]).cpu() for name in parts[0]}
    for measure in method.measures:
        scores |= measure(batch, torch.cat(labs))
    return scores


@torch.inference_mode()
def score(generator: nn.Module, dataset: ColorizationDataset, size: int, *, device: torch.device) -> Scores:
    """{"gray", "model", "truth"} to what `score_batch` says, per photo of the dataset."""
    methods = [gray_method(), generator_method("model", generator, size)]
    indices = batch_indices(len(dataset))
    with eval_mode(generator):
        parts = [
            score_batch(Batch.of(photos.to(device), numbers), methods)
            for photos, numbers in zip(batches(dataset, indices), indices, strict=True)
        ]
    return join_scores(parts)


@torch.inference_mode()
def score_in_chunks(
    dataset: ColorizationDataset,
    score_photos: Callable[[Tensor, list[int]], Scores],
    folder: Path,
    *,
    batch: int = BATCH,
    workers: int = 0,
    on_cores: bool = False,
    world: World | None = None,
) -> Scores:
    """`score_photos(uint8 photos, their numbers)` over the dataset, each chunk of it saved in `folder`.

    `workers` threads decode photos. With `on_cores` batches are scored by `map_on_cores`, which is faster on a CPU.

    Chunks that an earlier call has saved there are read instead. Every process of `world` scores its share of the
    chunks, and all of them return all scores. Neither where an earlier call ended nor the number of processes changes
    what is in a batch.
    """
    world = world or World()
    folder.mkdir(exist_ok=True)
    step = max(1, CHUNK // batch)
    indices = batch_indices(len(dataset), batch)
    chunks = {folder / f"{k:05d}.pt": indices[k : k + step] for k in range(0, len(indices), step)}
    share = dict(list(chunks.items())[world.rank :: world.size])
    _score_missing(dataset, score_photos, share, workers=workers, on_cores=on_cores, world=world)
    if world.size > 1:
        wait_for_all()
    return join_scores([torch.load(path, weights_only=True) for path in chunks])


def _score_missing(
    dataset: ColorizationDataset,
    score_photos: Callable[[Tensor, list[int]], Scores],
    chunks: dict[Path, list[list[int]]],
    *,
    workers: int,
    on_cores: bool,
    world: World,
) -> None:
    """Score and save those chunks (path to batches of photo numbers) whose file is missing."""
    missing = {path: parts for path, parts in chunks.items() if not path.is_file()}
    todo = [part for parts in missing.values() for part in parts]
    total = sum(len(part) for parts in chunks.values() for part in parts)
    done = total - sum(map(len, todo))
    if done:
        print(f"going on: {done} of {total} photos are scored already, in {next(iter(chunks)).parent}")
    score_pair = torch.inference_mode()(lambda pair: score_photos(*pair))  # a mode of each thread's own
    pairs = zip(batches(dataset, todo, workers=workers), todo, strict=True)
    scored = map_on_cores(score_pair, pairs, most=MOST_AT_ONCE if on_cores else 1)
    with (
        closing(scored),
        tqdm(total=total, initial=done, unit="photo", desc="evaluating", disable=not world.is_main) as bar,
    ):
        for path, parts in missing.items():
            scores = []
            for part, found in zip(parts, scored, strict=False):
                scores.append(found)
                bar.update(len(part))
            with replacing(path) as temporary:
                torch.save(join_scores(scores), temporary)


def batch_indices(count: int, batch: int = BATCH) -> list[list[int]]:
    return [list(range(start, min(start + batch, count))) for start in range(0, count, batch)]


def join_scores(parts: Sequence[Scores]) -> Scores:
    """The scores of several batches as one."""
    return {
        name: {metric: torch.cat([part[name][metric] for part in parts]) for metric in values}
        for name, values in parts[0].items()
    }


def means(scores: Scores) -> dict[str, dict[str, float]]:
    """The mean over photos of TRAINING_METRICS.

    PSNR's is over the photos where no method is without any error (infinite PSNR, as gray's on a gray photo); with no
    photo left it is infinite.
    """
    finite = finite_psnr(scores)

    def mean(metric: str, values: Tensor) -> float:
        if metric == "psnr":
            return float(values[finite].mean()) if finite.any() else float("inf")
        return float(values.mean())

    return {
        name: {metric: mean(metric, values) for metric, values in columns.items() if metric in TRAINING_METRICS}
        for name, columns in scores.items()
    }


def finite_psnr(scores: Scores) -> Tensor:
    """(N,) bool: the photos that no method predicts without any error."""
    return torch.stack([values["psnr"].isfinite() for values in scores.values() if "psnr" in values]).all(dim=0)


def mean_ab(dataset: ColorizationDataset) -> list[float]:
    """The mean a and b, in Lab's units, of every fourth pixel each way of at most 1,000 evenly spaced photos."""
    step = -(-len(dataset) // SAMPLED)
    total, numbers = torch.zeros(2, dtype=torch.float64), range(0, len(dataset), step)
    for number in numbers:
        _, ab = to_lab(dataset[number][None, :, ::4, ::4])
        total += AB_SCALE * ab.double().mean(dim=(0, 2, 3))
    return [round(value, 4) for value in (total / len(numbers)).tolist()]
