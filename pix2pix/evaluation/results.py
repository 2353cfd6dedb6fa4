"""The results of an evaluation as text, JSON and CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pix2pix.evaluation.intervals import Interval
from pix2pix.evaluation.methods import TRUTH
from pix2pix.evaluation.metrics import METRICS, Metric
from pix2pix.evaluation.report_protocol import DID, MEANT
from pix2pix.evaluation.scoring import Scores
from pix2pix.evaluation.statistics import OF_TRUTH, Summary, derive
from pix2pix.files import replacing

PRINTED = [name for name in METRICS if name not in ("colorfulness_difference", "worse_ssim", "worse_ciede2000")]
TITLES = {"worse_psnr": "worse than gray", "skin_hue": "skin hue, deg"}  # shorter than elsewhere
WIDTH = 17  # of a column

Curve = list[tuple[int, str]]  # how many points, and the row that has them


@dataclass(frozen=True)
class Results:
    """All that an evaluation found: `photos` and `models` are names, `distances` the Frechet distance per method.

    `curves` are the models' rows with points, in the order of their number.
    """

    protocol: dict[str, Any]
    summary: Summary
    scores: Scores
    distances: dict[str, float]
    curves: dict[str, Curve]
    models: list[str]
    photos: list[str]


def as_json(interval: Interval) -> dict[str, float | None]:
    """JSON has no infinity and no NaN: they become null."""
    parts = {"mean": interval.mean, "low": interval.low, "high": interval.high}
    return {name: value if math.isfinite(value) else None for name, value in parts.items()}


def tables(summary: Summary, distances: dict[str, float], curves: dict[str, Curve]) -> dict[str, Any]:
    """The summary as JSON, and for each model with points its scores over their number."""
    rows: dict[str, dict[str, Any]] = {
        name: {metric: as_json(value) for metric, value in values.items()} for name, values in summary.rows.items()
    }
    for name, distance in distances.items():
        rows[name]["frechet"] = distance
    differences = [
        {
            "row": name,
            "minus": other,
            "metrics": {metric: as_json(v) | {"significant": v.significant} for metric, v in values.items()},
        }
        for (name, other), values in summary.differences.items()
    ]
    points = {
        model: [{"points": count, **{m: rows[row][m] for m in ("psnr", "ssim", "ciede2000")}} for count, row in curve]
        for model, curve in curves.items()
    }
    return {"rows": rows, "differences": differences} | ({"points": points} if points else {})


def write_csv(path: Path, scores: Scores, photos: Sequence[str]) -> None:
    """A line for each photo and method; what a method does not have there is empty, an infinite PSNR is inf."""
    columns = derive(scores)
    metrics = [metric for metric in (*METRICS, MEANT, DID) if any(metric in values for values in columns.values())]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["photo", "row", *metrics])
    for number, photo in enumerate(photos):
        for name, values in columns.items():
            found = (values[metric][number] if metric in values else math.nan for metric in metrics)
            writer.writerow([photo, name, *("" if math.isnan(value) else f"{value:.6g}" for value in found)])
    with replacing(path) as temporary:
        temporary.write_bytes(text.getvalue().encode("utf-8", "backslashreplace"))


def describe(summary: Summary, distances: dict[str, float]) -> str:
    """The means with half their intervals, and the differences; * marks those whose interval leaves 0 out."""
    metrics = [metric for metric in PRINTED if any(metric in values for values in summary.rows.values())]
    width = 2 + max(map(len, [*summary.rows, *(" - ".join(pair) for pair in summary.differences)]))
    titles = [TITLES.get(metric, METRICS[metric].title) for metric in metrics]
    lines = [_line("", titles, width) + (f"{'Frechet':>10}" if distances else "")]
    for name, values in summary.rows.items():
        exact = OF_TRUTH if name == TRUTH else {}
        cells = [
            METRICS[metric].text(exact[metric])
            if metric in exact and metric not in values
            else _cell(METRICS[metric], values.get(metric))
            for metric in metrics
        ]
        lines.append(_line(name, cells, width) + (f"{distances[name]:10.2f}" if name in distances else ""))
    lines.append("paired differences (* where their 95 % interval leaves out 0)")
    for (name, other), values in summary.differences.items():
        cells = [_cell(METRICS[metric], values.get(metric), signed=True) for metric in metrics]
        lines.append(_line(f"{name} - {other}", cells, width))
    return "\n".join([*lines, *_describe_report(summary, width)])


def _describe_report(summary: Summary, width: int) -> list[str]:
    """The two SSIMs of the report's notebook, where they were taken."""
    rows = {name: values for name, values in summary.rows.items() if MEANT in values}
    lines = [_line("SSIM by the report", ["as it meant to", "as it did"], width)] if rows else []
    for name, values in rows.items():
        lines.append(_line(name, [_cell(METRICS["ssim"], values[metric]) for metric in (MEANT, DID)], width))
    return lines


def _line(name: str, cells: Sequence[str], width: int) -> str:
    return f"{name:{width}}" + "".join(f"{cell:>{WIDTH}}" for cell in cells)


def _cell(metric: Metric, value: Interval | None, *, signed: bool = False) -> str:
    """A mean and half its interval; of a difference also whether it is more than chance."""
    if value is None or not math.isfinite(value.mean):
        return "-"
    star = ("*" if value.significant else " ") if signed else ""
    return f"{metric.text(value.mean, signed=signed)} ±{metric.text(value.half)}{star}"
