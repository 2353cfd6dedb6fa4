"""PSNR, SSIM and colorfulness by pix2pix.evaluation.metrics against the report's loop, scikit-image photo by photo.

Then what a photo costs evaluate.py: the shipped generator, gray and the mean color, with all metrics.

python benchmarks/evaluating.py                    # under a minute on two cores
python benchmarks/evaluating.py --photos 16 --runs 1
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch
from measure import Report, alternate, make_photo, parser, speedup, timed
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from pix2pix.evaluation.methods import Batch, constant_method, generator_method, gray_method
from pix2pix.evaluation.metrics import colorfulness, psnr, ssim
from pix2pix.evaluation.models import load_models
from pix2pix.evaluation.scoring import batch_indices, score_batch
from pix2pix.runs import SHIPPED_GENERATOR
from pix2pix.threads import map_on_cores

SIZE = 256


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--photos", type=int, default=128, help="at 256x256 (default: 128)")
    args = flags.parse_args()
    report = Report("evaluating", args)
    measure(report, args)
    measure_evaluation(report, args)
    report.write()


def measure(report: Report, args: argparse.Namespace) -> None:
    truth = np.stack([np.asarray(make_photo(SIZE, SIZE, seed)) for seed in range(args.photos)])
    noise = np.random.default_rng(0).normal(0, 10, truth.shape)
    image = (truth + noise).round().clip(0, 255).astype(np.uint8)
    images, truths = (torch.from_numpy(photos).permute(0, 3, 1, 2).contiguous() for photos in (image, truth))
    ours, theirs = ours_on(images, truths), report_on(image, truth)
    assert np.allclose(ours.numpy(), theirs, rtol=1e-5), "the two sides measure different things"
    sides = {
        "pix2pix.evaluation.metrics": lambda: timed(lambda: ours_on(images, truths)),
        "scikit-image": lambda: timed(lambda: report_on(image, truth)),
    }
    seconds = alternate(sides, args.runs)
    report.keep(seconds)
    for side, values in seconds.items():
        report.add(f"PSNR, SSIM, colorfulness at {SIZE}x{SIZE}: {side}", args.photos / median(values), "photos/s")
    share = median(seconds["pix2pix.evaluation.metrics"]) / median(seconds["scikit-image"])
    report.add("time of pix2pix.evaluation.metrics / scikit-image", share, at_most=0.2)
    report.add("times as fast", speedup(seconds, "pix2pix.evaluation.metrics", "scikit-image"))


@torch.inference_mode()
def measure_evaluation(report: Report, args: argparse.Namespace) -> None:
    photos = torch.stack([torch.from_numpy(np.array(make_photo(SIZE, SIZE, seed))) for seed in range(args.photos)])
    photos = photos.permute(0, 3, 1, 2).contiguous()
    (model,) = load_models([SHIPPED_GENERATOR], Path("runs"), torch.device("cpu"))
    network = generator_method(model.name, model.loaded.network, model.loaded.size)
    methods = [gray_method(), constant_method([4.0, 8.0]), network]
    batches = [Batch.of(photos[numbers], numbers) for numbers in batch_indices(args.photos)]
    score, colorize = (
        torch.inference_mode()(work) for work in (partial(score_batch, methods=methods), network.colorize)
    )
    sides = {  # as evaluate.py does on a CPU
        "all of evaluate.py's work": lambda: timed(lambda: list(map_on_cores(score, batches))),
        "the network's part": lambda: timed(lambda: list(map_on_cores(colorize, batches))),
    }
    seconds = alternate(sides, args.runs)
    report.keep(seconds)
    for side, values in seconds.items():
        report.add(f"3,000 photos at {SIZE}x{SIZE}: {side}", 3000 / args.photos * median(values), "s")


@torch.inference_mode()
def ours_on(images: Tensor, truths: Tensor) -> Tensor:
    """(N, 3): PSNR, SSIM and colorfulness of uint8 photos (N, 3, H, W), photo by photo, as evaluate.py does."""
    return torch.cat(
        [
            torch.stack((psnr(image, truth), ssim(image, truth), colorfulness(image)), dim=1)
            for image, truth in zip(images.split(1), truths.split(1), strict=True)
        ]
    )


def report_on(images: np.ndarray, truths: np.ndarray) -> list[tuple[float, float, float]]:
    """The same of uint8 photos (N, H, W, 3), one after the other."""
    return [
        (
            peak_signal_noise_ratio(truth, image, data_range=255),
            structural_similarity(truth, image, channel_axis=-1, data_range=255),
            hasler_suesstrunk(image),
        )
        for image, truth in zip(images, truths, strict=True)
    ]


def hasler_suesstrunk(image: np.ndarray) -> float:
    red, green, blue = np.moveaxis(image.astype(np.float64), -1, 0)
    rg, yb = red - green, (red + green) / 2 - blue
    return float(np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean()))


if __name__ == "__main__":
    main()
