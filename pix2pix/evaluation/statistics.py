"""What the scores of photos come to: means with intervals, paired differences, and the photos SSIM is wrong about."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pix2pix.evaluation.intervals import Interval, bootstrap
from pix2pix.evaluation.metrics import METRICS
from pix2pix.evaluation.scoring import Scores, finite_psnr

TRUTH = {"ssim": 1.0, "ciede2000": 0.0, "ab_l1": 0.0, "lpips": 0.0, "colorfulness_difference": 0.0}


@dataclass(frozen=True)
class Summary:
    """`rows[row][metric]`; `differences[row, other][metric]` is row minus other, photo by photo; all with intervals.

    Beyond METRICS the rows have those that scores had besides, the report's SSIMs for instance.
    """

    rows: dict[str, dict[str, Interval]]
    differences: dict[tuple[str, str], dict[str, Interval]]


def derive(scores: Scores) -> dict[str, dict[str, np.ndarray]]:
    """The scores (N,) and what follows from them: the colorfulness less the truth's, and 1 for worse than gray."""
    found = {row: {name: values.numpy() for name, values in columns.items()} for row, columns in scores.items()}
    for row, columns in found.items():
        if row == "truth":
            continue
        columns["colorfulness_difference"] = columns["colorfulness"] - found["truth"]["colorfulness"]
        for name in ("psnr", "ssim", "ciede2000") if row != "gray" else ():
            gain = METRICS[name].better * columns[name], METRICS[name].better * found["gray"][name]
            columns[f"worse_{name}"] = (gain[0] < gain[1]).astype(np.float64)
    return found


def summarise(scores: Scores, models: list[str], *, seed: int) -> Summary:
    """Means of `derive`'s columns; every model less gray, and every later model less the first.

    PSNR's are over the photos where no row is without any error (infinite PSNR, as gray's on a gray photo).
    """
    columns = derive(scores)
    finite = finite_psnr(scores).numpy()
    for values in columns.values():
        if "psnr" in values:
            values["psnr"] = np.where(finite, values["psnr"], np.nan)
    pairs = [(model, "gray") for model in models] + [(model, models[0]) for model in models[1:]]
    wanted = {("", row, name): column for row, values in columns.items() for name, column in values.items()}
    for row, other in pairs:
        for name in columns[row].keys() & columns[other].keys():
            with np.errstate(invalid="ignore"):
                wanted[row, other, name] = columns[row][name] - columns[other][name]
    found = bootstrap(wanted, seed=seed)
    rows = {row: {name: found["", row, name] for name in values} for row, values in columns.items()}
    differences = {
        (row, other): {name: found[row, other, name] for name in columns[row] if (row, other, name) in found}
        for row, other in pairs
    }
    return Summary(rows, differences)


def gain_over_gray(scores: Scores, model: str) -> np.ndarray:
    """How many dB of PSNR a model is above gray, (N,); 0 where either is infinite: a gray photo has nothing to gain."""
    with np.errstate(invalid="ignore"):
        gain = (scores[model]["psnr"] - scores["gray"]["psnr"]).numpy()
    return np.where(np.isfinite(gain), gain, 0.0)


def misjudged(scores: Scores, model: str) -> dict[str, list[int]]:
    """The photos whose SSIM says the contrary of their colours.

    Of the quarter with the lowest SSIM, those whose PSNR is highest above gray's first: they look right all the same.
    Of the quarter with the highest, those whose PSNR is lowest beside gray's first: they do not.
    """
    gain = gain_over_gray(scores, model)
    order = scores[model]["ssim"].argsort(stable=True).tolist()
    quarter = max(1, len(order) // 4)
    return {
        "low SSIM, colours right": sorted(order[:quarter], key=lambda row: -gain[row]),
        "high SSIM, colours wrong": sorted(order[-quarter:], key=lambda row: gain[row]),
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
    for name, rows in groups.items():
        groups[name] = [row for row in rows if row not in seen]
        seen.update(rows)
    return groups
