"""What the scores of photos come to: means with intervals, paired differences, and the photos SSIM is wrong about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pix2pix.evaluation.intervals import Interval, bootstrap
from pix2pix.evaluation.methods import GRAY, TRUTH
from pix2pix.evaluation.metrics import METRICS
from pix2pix.evaluation.scoring import Scores, finite_psnr

OF_TRUTH = {"ssim": 1.0, "ciede2000": 0.0, "ab_l1": 0.0, "lpips": 0.0, "colorfulness_difference": 0.0}
OF_TRUTH |= {"skin_hue": 0.0, "skin_chroma": 1.0}  # what the truth itself scores
COMPARED_WITH_GRAY = ("psnr", "ssim", "ciede2000")


@dataclass(frozen=True)
class Summary:
    """`rows[name][metric]`; `differences[name, other][metric]` is name minus other, photo by photo; all with intervals.

    Beyond METRICS the rows have those that the scores have, the report's SSIMs for instance.
    """

    rows: dict[str, dict[str, Interval]]
    differences: dict[tuple[str, str], dict[str, Interval]]


def derive(scores: Scores) -> dict[str, dict[str, np.ndarray]]:
    """The scores (N,) and what follows from them: the colorfulness less the truth's, and 1 for worse than gray."""
    found = {name: {metric: values.numpy() for metric, values in columns.items()} for name, columns in scores.items()}
    for name, columns in found.items():
        if name == TRUTH:
            continue
        columns["colorfulness_difference"] = columns["colorfulness"] - found[TRUTH]["colorfulness"]
        for metric in COMPARED_WITH_GRAY if name != GRAY else ():
            sign = METRICS[metric].better
            columns[f"worse_{metric}"] = (sign * columns[metric] < sign * found[GRAY][metric]).astype(np.float64)
    return found


def summarize(scores: Scores, pairs: Sequence[tuple[str, str]], *, seed: int) -> Summary:
    """Means of `derive`'s columns, and for each pair of names the first one's scores less the second one's.

    PSNR's are over the photos where no method is without any error (infinite PSNR, as gray's on a gray photo).
    """
    columns = derive(scores)
    finite = finite_psnr(scores).numpy()
    for values in columns.values():
        if "psnr" in values:
            values["psnr"] = np.where(finite, values["psnr"], np.nan)
    wanted = {("", name, metric): column for name, values in columns.items() for metric, column in values.items()}
    for name, other in pairs:
        for metric in columns[name].keys() & columns[other].keys():
            with np.errstate(invalid="ignore"):
                wanted[name, other, metric] = columns[name][metric] - columns[other][metric]
    found = bootstrap(wanted, seed=seed)
    rows = {name: {metric: found["", name, metric] for metric in values} for name, values in columns.items()}
    differences = {
        (name, other): {m: found[name, other, m] for m in columns[name] if (name, other, m) in found}
        for name, other in pairs
    }
    return Summary(rows, differences)


def gain_over_gray(scores: Scores, model: str) -> np.ndarray:
    """How many dB of PSNR a model is above gray, (N,); 0 where either is infinite: a gray photo has nothing to gain."""
    with np.errstate(invalid="ignore"):
        gain = (scores[model]["psnr"] - scores[GRAY]["psnr"]).numpy()
    return np.where(np.isfinite(gain), gain, 0.0)


def misjudged(scores: Scores, model: str) -> dict[str, list[int]]:
    """The photos whose SSIM says the opposite of their colors.

    Of the quarter with the lowest SSIM, those whose PSNR is highest above gray's first: they look right all the same.
    Of the quarter with the highest, those whose PSNR is lowest beside gray's first: they do not.
    """
    gain = gain_over_gray(scores, model)
    order = scores[model]["ssim"].argsort(stable=True).tolist()
    quarter = max(1, len(order) // 4)
    return {
        "low SSIM, colors right": sorted(order[:quarter], key=lambda number: -gain[number]),
        "high SSIM, colors wrong": sorted(order[-quarter:], key=lambda number: gain[number]),
    }


def extremes(values: np.ndarray, better: int, count: int) -> dict[str, list[int]]:
    """The photos with the best, median and worst of `values`, up to `count` each, none twice.

    `better` is 1 where more is better and -1 where less is; with 0 what is nearest to 0 is best.
    """
    rank = np.abs(values) if better == 0 else -better * values
    order = np.argsort(rank, kind="stable").tolist()  # NaN comes last
    count = min(count, max(1, len(order) // 3))
    middle = (len(order) - count) // 2
    groups = {"best": order[:count], "median": order[middle : middle + count], "worst": order[::-1][:count]}
    seen: set[int] = set()
    for name, numbers in groups.items():
        groups[name] = [number for number in numbers if number not in seen]
        seen.update(numbers)
    return groups
