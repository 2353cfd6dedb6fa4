"""Training against the report's pipeline, both stages, in whole steps with their data; and the quality at equal steps.

    pip install -e ".[fastai,plots]"
    python benchmarks/training.py                      # about half an hour on two cores, most of it the curves
    python benchmarks/training.py --data PHOTOS        # the curves on photos of one's own: a folder or a tar
    python benchmarks/training.py --steps 1 --runs 1 --quality-steps 0

The other side is the report's notebook rebuilt (`report_pipeline.py`): fastai's DynamicUnet, scikit-image's Lab photo
by photo in the loader, float32, batches of 16 at 256x256. Ours has the report's recipe, and then
its own. The curves are of both at 128x128, for time's sake. Ours keeps freed memory, as train.py does; while the other
side is measured, malloc is as it is by default.
"""

from __future__ import annotations

import argparse
import ctypes
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import mean, median

import numpy as np
import torch
from measure import Report, alternate, make_photos, parser, speedup, timed
from steps import TrainingSteps, open_photos
from torch import Tensor, nn
from torch.utils.data import DataLoader

from pix2pix.allocation import keep_freed_memory
from pix2pix.color import lab_to_rgb_in_gamut, to_lab
from pix2pix.data.photos import find_photos, read_photo
from pix2pix.errors import UserError, run_script
from pix2pix.evaluation.metrics import psnr
from pix2pix.evaluation.scoring import eval_mode
from pix2pix.losses import l1_loss

TARGETS = {"pretrain": 30, "gan": 20}
SIZE, BATCH = 256, 16
QUALITY_SIZE, HELD_OUT = 128, 64  # of the curves: the size in pixels, and the photos that they are measured on


def main() -> None:
    flags = parser(__doc__, runs=3)
    flags.add_argument("--steps", type=int, default=2, help="of the report's pipeline a run (default: 2)")
    flags.add_argument("--photos", type=int, default=128, help="to train on (default: 128)")
    flags.add_argument("--data", type=Path, help="photos for the curves (default: made ones)")
    flags.add_argument("--quality-steps", type=int, default=240, help="of both, for the curves; 0: none (default: 240)")
    args = flags.parse_args()
    try:
        from report_pipeline import LabPhotos, ReportTraining
    except ImportError:
        raise UserError('the report\'s pipeline needs fastai: pip install -e ".[fastai]"') from None
    report = Report("training", args)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = make_photos(folder / "photos", args.photos, 480, 360)
        # Without worker processes: they would load ahead while the other side is measured. Loading is 1 % of a step.
        loader = DataLoader(LabPhotos(paths), BATCH, shuffle=True, drop_last=True)
        for stage in TARGETS:
            measure_stage(report, args, stage, folder, loader, ReportTraining())
        if args.quality_steps:
            seen, held_out = quality_photos(args, folder)
            loader = DataLoader(LabPhotos(seen, QUALITY_SIZE), BATCH, shuffle=True, drop_last=True)
            torch.manual_seed(0)
            compare_quality(report, args, folder, loader, ReportTraining(), seen[0].parent, held_out[0].parent)
    report.write()


def endless(loader: DataLoader) -> Iterator[list[Tensor]]:
    while True:
        yield from loader


def measure_stage(
    report: Report, args: argparse.Namespace, stage: str, folder: Path, loader: DataLoader, theirs: nn.Module
) -> None:
    """Photos a second of one stage: the report's pipeline, ours with its recipe, ours with our own."""
    device = torch.device("cpu")
    their_batches = endless(loader)
    their_step = theirs.gan if stage == "gan" else theirs.pretrain
    dataset = open_photos(folder / "photos", SIZE, folder / "cache")
    recipes = {recipe: TrainingSteps(stage, recipe, SIZE, dataset, device) for recipe in ("report", "default")}
    often = 5 * args.steps  # a step of ours is many times as short

    def repeat(step: Callable[[], object], count: int, memory: Callable[[], None]) -> Callable[[], float]:
        def seconds() -> float:
            memory()
            return timed(lambda: [step() for _ in range(count)])

        return seconds

    theirs_once = repeat(lambda: their_step(*next(their_batches)), args.steps, usual_malloc)
    sides = {f"{stage}: the report's pipeline": theirs_once}
    sides |= {
        f"{stage}: ours, {recipe} recipe": repeat(steps.step, often, keep_freed_memory)
        for recipe, steps in recipes.items()
    }
    seconds = alternate(sides, args.runs)
    report.keep(seconds)
    slow, fast, default = sides
    counts = {slow: args.steps * BATCH, fast: often * BATCH, default: often * recipes["default"].recipe.batch_size}
    for name, photos in counts.items():
        report.add(name, photos / median(seconds[name]), "photos/s")
    ratio = speedup(seconds, fast, slow, work=(counts[fast], counts[slow]))
    report.add(f"{stage}: ours with the report's recipe / the report's", ratio, "times", at_least=TARGETS[stage])
    ratio = speedup(seconds, default, slow, work=(counts[default], counts[slow]))
    report.add(f"{stage}: ours with our recipe / the report's", ratio, "times")


def usual_malloc() -> None:
    """Undo `keep_freed_memory`: glibc's own limits, as they are once large blocks have been freed."""
    if sys.platform == "linux":
        libc = ctypes.CDLL("libc.so.6")
        for option, value in ((-4, 65536), (-3, 32 << 20), (-1, 64 << 20)):  # M_MMAP_MAX, _THRESHOLD, M_TRIM_THRESHOLD
            libc.mallopt(option, value)


def quality_photos(args: argparse.Namespace, folder: Path) -> tuple[list[Path], list[Path]]:
    """Files to train on, new ones for every step where there are as many, and held-out ones, in two new folders."""
    count = args.quality_steps * BATCH
    if args.data is None:
        made = make_photos(folder / "seen", count + HELD_OUT, 240, 180)
    else:
        photos, made = find_photos([args.data]), []
        if len(photos) <= HELD_OUT + BATCH:
            raise UserError(f"{args.data} has {len(photos)} photos; give at least {HELD_OUT + BATCH + 1}")
        (folder / "seen").mkdir()
        for index in np.random.default_rng(0).permutation(len(photos))[: count + HELD_OUT]:
            made.append(folder / "seen" / f"{len(made):05d}{Path(photos[index].name).suffix}")
            read_photo(photos[index])  # refuses a broken one before anything is measured
            made[-1].write_bytes(photos[index].read_bytes())
    (folder / "validation").mkdir()
    return made[HELD_OUT:], [path.rename(folder / "validation" / path.name) for path in made[:HELD_OUT]]


def compare_quality(
    report: Report,
    args: argparse.Namespace,
    folder: Path,
    loader: DataLoader,
    theirs: nn.Module,
    seen: Path,
    held_out: Path,
) -> None:
    """Both pretrained from random weights for equally many steps of 16 photos, with the report's recipe. The curves of
    the held-out photos, beside gray's, are drawn beside the JSON."""
    ours = TrainingSteps(
        "pretrain", "report", QUALITY_SIZE, open_photos(seen, QUALITY_SIZE, folder / "cache"), torch.device("cpu")
    )
    dataset = open_photos(held_out, QUALITY_SIZE, folder / "cache")
    truth = torch.stack([dataset[index] for index in range(len(dataset))])
    their_batches, every = endless(loader), max(1, args.quality_steps // 12)
    curves: dict[str, list[tuple[int, float, float]]] = {"ours": [], "the report's": []}
    for step in range(args.quality_steps + 1):
        if step % every == 0:
            for name, network in (("ours", ours.state.generator), ("the report's", theirs.generator)):
                with eval_mode(network):
                    curves[name].append((step, *validate(network, truth)))
        if step < args.quality_steps:
            ours.step()
            theirs.pretrain(*next(their_batches))
    gray = validate(lambda lightness: lightness.new_zeros(len(lightness), 2, *lightness.shape[2:]), truth)
    curves["gray"] = [(0, *gray), (args.quality_steps, *gray)]
    half = args.quality_steps / 2  # single points go up and down
    for name, curve in curves.items():
        later = [point for point in curve if point[0] >= half]
        label = f"mean of steps {half:g} to {args.quality_steps}: {name}"
        report.add(f"validation L1, {label}", mean(l1 for _, l1, _ in later))
        report.add(f"validation PSNR, {label}", mean(decibels for _, _, decibels in later), "dB")
    report.keep({f"{name}: (step, L1, PSNR)": curve for name, curve in curves.items()})
    draw(curves, report.output.with_suffix(".png"))


@torch.inference_mode()
def validate(network: Callable[[Tensor], Tensor], truth: Tensor) -> tuple[float, float]:
    """L1 of ab, and PSNR in dB, of uint8 photos (N, 3, H, W)."""
    errors, decibels = [], []
    for photo in truth.split(4):
        lightness, ab = to_lab(photo)
        fake_ab = network(lightness).clamp(-1, 1)
        errors.append(l1_loss(fake_ab, ab).item())
        decibels.append(psnr(lab_to_rgb_in_gamut(lightness, fake_ab), photo).mean().item())
    return sum(errors) / len(errors), sum(decibels) / len(decibels)


def draw(curves: dict[str, list[tuple[int, float, float]]], path: Path) -> None:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print('no curves are drawn; they need: pip install -e ".[plots]"', file=sys.stderr)
        return
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    for axes, column, label in zip(
        figure.subplots(1, 2), (1, 2), ("validation L1", "validation PSNR, dB"), strict=True
    ):
        for name, curve in curves.items():
            style = "--" if name == "gray" else "-"
            axes.plot([point[0] for point in curve], [point[column] for point in curve], style, label=name)
        steps = curves["gray"][-1][0]
        later = [point[column] for curve in curves.values() for point in curve if point[0] >= steps / 4]
        room = (max(later) - min(later)) / 5  # random weights are far from everything that follows
        axes.set(xlabel="steps of 16 photos", ylabel=label, ylim=(min(later) - room, max(later) + room))
        axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    print(f"drawn: {path}")


if __name__ == "__main__":
    run_script(main)
