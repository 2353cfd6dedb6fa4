"""The results of an evaluation as text, JSON and CSV."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from typing import Any

from pix2pix.evaluation.intervals import Interval
from pix2pix.evaluation.metrics import METRICS
from pix2pix.evaluation.report_protocol import DID, MEANT
from pix2pix.evaluation.scoring import Scores
from pix2pix.evaluation.statistics import TRUTH, Summary, derive
from pix2pix.files import replacing

PRINTED = ("psnr", "ssim", "ciede2000", "ab_l1", "lpips", "colorfulness", "worse_psnr")


def tables(summary: Summary, distances: dict[str, float]) -> dict[str, Any]:
    """The summary as JSON."""
    rows = {row: {name: as_json(value) for name, value in values.items()} for row, values in summary.rows.items()}
    for row, distance in distances.items():
        rows[row]["frechet"] = distance
    differences = [
        {
            "row": row,
            "minus": other,
            "metrics": {name: as_json(v) | {"significant": v.significant} for name, v in values.items()},
        }
        for (row, other), values in summary.differences.items()
    ]
    return {"rows": rows, "differences": differences}


def write_csv(path: Path, scores: Scores, photos: list[str]) -> None:
    """A line for each photo and row; what a row does not have is empty, an infinite PSNR is inf."""
    columns = derive(scores)
    names = [name for name in (*METRICS, MEANT, DID) if any(name in values for values in columns.values())]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["photo", "row", *names])
    for number, photo in enumerate(photos):
        for row, values in columns.items():
            writer.writerow([photo, row, *(f"{values[n][number]:.6g}" if n in values else "" for n in names)])
    with replacing(path) as temporary:
        temporary.write_bytes(text.getvalue().encode("utf-8", "backslashreplace"))


def describe(summary: Summary, distances: dict[str, float]) -> str:
    """The means with half their intervals, and the differences; * marks those whose interval leaves 0 out."""
    names = [name for name in PRINTED if any(name in values for values in summary.rows.values())]
    width = 2 + max(map(len, [*summary.rows, *(" - ".join(pair) for pair in summary.differences)]))
    head = "".join(f"{'worse than gray' if n == 'worse_psnr' else METRICS[n].title:>17}" for n in names)
    lines = [f"{'':{width}}{head}" + (f"{'Frechet':>10}" if distances else "")]
    for row, values in summary.rows.items():
        cells = []
        for name in names:
            if name in values and math.isfinite(values[name].mean):
                cells.append(f"{METRICS[name].text(values[name].mean)} ±{METRICS[name].text(values[name].half)}")
            else:
                cells.append(METRICS[name].text(TRUTH[name]) if row == "truth" and name in TRUTH else "-")
        line = f"{row:{width}}" + "".join(f"{cell:>17}" for cell in cells)
        lines.append(line + (f"{distances[row]:10.2f}" if row in distances else ""))
    lines.append("paired differences (* where their 95 % interval leaves out 0)")
    for (row, other), values in summary.differences.items():
        cells = []
        for name in names:
            if name not in values or not math.isfinite(values[name].mean):
                cells.append("-")
                continue
            value = values[name]
            cells.append(f"{METRICS[name].text(value.mean, signed=True)} ±{METRICS[name].text(value.half)}")
            cells[-1] += "*" if value.significant else " "
        lines.append(f"{row + ' - ' + other:{width}}" + "".join(f"{cell:>17}" for cell in cells))
    if any(MEANT in values for values in summary.rows.values()):
        lines.append(f"{'SSIM by the report':{width}}{'as it meant to':>17}{'as it did':>17}")
        for row, values in summary.rows.items():
            if MEANT in values:
                cells = [f"{values[name].mean:.4f} ±{values[name].half:.4f}" for name in (MEANT, DID)]
                lines.append(f"{row:{width}}" + "".join(f"{cell:>17}" for cell in cells))
    return "\n".join(lines)


def as_json(interval: Interval) -> dict[str, float | None]:
    """JSON has no infinity and no NaN: they become null."""
    parts = {"mean": interval.mean, "low": interval.low, "high": interval.high}
    return {name: value if math.isfinite(value) else None for name, value in parts.items()}
