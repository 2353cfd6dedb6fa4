"""results.html: an evaluation's tables, charts and photos on one page that needs no network."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from pix2pix.evaluation.charts import MOST_DOTS, Chart, histogram, to_svg, value_range
from pix2pix.evaluation.markup import cell, escape, fill, jpeg_uri, read_template, table, tag
from pix2pix.evaluation.methods import GRAY, MEAN_COLOR, TRUTH
from pix2pix.evaluation.metrics import METRICS
from pix2pix.evaluation.report_protocol import DID, MEANT
from pix2pix.evaluation.results import Curve, Results
from pix2pix.evaluation.statistics import OF_TRUTH, Summary, derive, extremes, gain_over_gray, misjudged
from pix2pix.files import replacing

EACH = 3  # photos of the best, of the median and of the worst
MISJUDGED = 6  # photos of either kind
SHEETS = ("psnr", "ssim", "ciede2000", "ab_l1", "lpips", "colorfulness_difference")
DISTRIBUTIONS = ("psnr", "ssim", "ciede2000", "ab_l1", "lpips", "colorfulness")
CURVES = ("psnr", "ssim", "ciede2000")
TILE = 176  # pixels, where there are no more pictures than MOST_TILES; smaller where there are
MOST_TILES = 330
ROW_COLORS = 6  # for models, in results.css

Pictures = Callable[[list[int], Sequence[str]], dict[str, Tensor]]


def write_results_page(path: Path, results: Results, pictures: Pictures) -> None:
    """`pictures(numbers, names)` gives these photos as those methods and the truth show them, uint8 (n, 3, H, W)."""
    first, scores = results.models[0], results.scores
    columns = derive(scores)
    shown = [name for name in scores if name in (GRAY, MEAN_COLOR, *results.models)] + [TRUTH]
    colors = row_colors(results.models)
    misjudged_photos = [numbers[:MISJUDGED] for numbers in misjudged(scores, first).values()]
    right, wrong = misjudged_photos
    sheets = {
        metric: extremes(columns[first][metric], METRICS[metric].better, EACH)
        for metric in SHEETS
        if metric in columns[first]
    }
    groups = [right, wrong, *(numbers for sheet in sheets.values() for numbers in sheet.values())]
    figures = _photo_figures(results, groups, shown, pictures)

    def gallery(numbers: list[int]) -> str:
        return tag("div", "".join(figures[number] for number in numbers), class_="photos")

    page = fill(
        "results.html",
        title=escape(f"{', '.join(results.models)}: {results.protocol['photos']} photos"),
        style=read_template("results.css"),
        sentences="".join(tag("p", _sentence(name, results.summary)) for name in results.models),
        means=_means(results.summary, results.distances),
        differences=_differences(results.summary),
        points=_points(results.summary, results.curves, colors),
        report=_report(results.summary),
        key=_key({name: colors[name] for name in shown}),
        distributions=_distributions({name: columns[name] for name in shown}, colors),
        first=escape(first),
        scatter=to_svg(_scatter(columns[first]["ssim"], gain_over_gray(scores, first), right, wrong)),
        right=gallery(right),
        wrong=gallery(wrong),
        sheets="".join(_sheet(metric, sheet, gallery) for metric, sheet in sheets.items()),
        protocol=_definitions(results.protocol),
    )
    with replacing(path) as temporary:
        temporary.write_bytes(page.encode("utf-8", "backslashreplace"))


def row_colors(models: Sequence[str]) -> dict[str, str]:
    """A CSS color for each method; models take the style sheet's in turn."""
    own = {GRAY: "var(--row-gray)", MEAN_COLOR: "var(--row-mean)", TRUTH: "var(--ink)"}
    return own | {name: f"var(--row-{number % ROW_COLORS})" for number, name in enumerate(models)}


def _photo_figures(
    results: Results, groups: list[list[int]], shown: Sequence[str], pictures: Pictures
) -> dict[int, str]:
    """Each photo of the groups, by its number, as a figure of all methods' pictures."""
    tiles = sum(map(len, groups)) * len(shown)
    side = max(48, min(TILE, int(TILE * math.sqrt(MOST_TILES / tiles))))
    model = results.models[0]
    similarity, gain = results.scores[model]["ssim"], gain_over_gray(results.scores, model)
    figures = {}
    for number in sorted({number for numbers in groups for number in numbers}):
        images = pictures([number], shown)
        tiled = (
            tag("div", f'<img alt="" src="{jpeg_uri(images[name][0], side)}">' + tag("span", escape(name)))
            for name in shown
        )
        words = f"{results.photos[number]}: SSIM {similarity[number]:.3f}, {gain[number]:+.1f} dB over gray"
        figures[number] = fill("photo.html", tiles="".join(tiled), words=escape(words))
    return figures


def _sheet(metric: str, sheet: dict[str, list[int]], gallery: Callable[[list[int]], str]) -> str:
    title = "colorfulness nearest to the truth's" if metric == "colorfulness_difference" else METRICS[metric].title
    groups = "".join(tag("h3", word) + gallery(numbers) for word, numbers in sheet.items() if numbers)
    return fill("sheet.html", open=" open" if metric == SHEETS[0] else "", title=title, groups=groups)


def _sentence(name: str, summary: Summary) -> str:
    """One model against gray, in words."""
    less, worse = summary.differences[name, GRAY], summary.rows[name]["worse_psnr"].mean
    psnr, ssim, color = less["psnr"], less["ssim"], less["ciede2000"]
    ratio = summary.rows[name]["colorfulness"].mean / max(summary.rows[TRUTH]["colorfulness"].mean, 1e-9)
    distance = f"{abs(psnr.mean):.2f} dB {'nearer to' if psnr.mean > 0 else 'farther from'} the truth than gray"
    return (
        f"{tag('strong', escape(name))} is {distance if math.isfinite(psnr.mean) else 'beside gray'} (CIEDE2000 "
        f"{color.mean:+.2f}), its SSIM {ssim.mean:+.4f} beside gray's; its colors are {ratio:.2f} times as "
        f"strong as the truth's; {100 * worse:.0f} % of its photos are worse than gray ones (PSNR)."
    )


def _means(summary: Summary, distances: dict[str, float]) -> str:
    metrics = [metric for metric in METRICS if any(metric in values for values in summary.rows.values())]
    lines = []
    for name, values in summary.rows.items():
        exact = OF_TRUTH if name == TRUTH else {}
        cells = [
            METRICS[metric].text(exact[metric]) if metric in exact else cell(METRICS[metric], values.get(metric))
            for metric in metrics
        ]
        if distances:
            cells.append(f"{distances.get(name, 0.0):.2f}")
        lines.append([escape(name), *cells])
    heads = [METRICS[metric].title for metric in metrics] + (["Frechet distance"] if distances else [])
    return table(["", *heads], lines)


def _differences(summary: Summary) -> str:
    metrics = [metric for metric in METRICS if any(metric in values for values in summary.differences.values())]
    metrics = [metric for metric in metrics if metric != "colorfulness_difference"]  # the same as the colorfulness's
    lines = [
        [
            f"{escape(name)} less {escape(other)}",
            *(cell(METRICS[metric], values.get(metric), signed=True) for metric in metrics),
        ]
        for (name, other), values in summary.differences.items()
    ]
    return table(["", *(METRICS[metric].title for metric in metrics)], lines)


def _points(summary: Summary, curves: dict[str, Curve], colors: dict[str, str]) -> str:
    """PSNR, SSIM and CIEDE2000 over the number of points, a line per model; the numbers are evenly spaced."""
    if not curves:
        return ""
    counts = sorted({count for curve in curves.values() for count, _ in curve})
    figures = []
    for metric in CURVES:
        gray = summary.rows[GRAY][metric].mean
        lines = {
            model: [(counts.index(count), summary.rows[row][metric].mean) for count, row in curve]
            for model, curve in curves.items()
        }
        known = [value for line in lines.values() for _, value in line if math.isfinite(value)]
        known += [gray] if math.isfinite(gray) else []
        if not known:
            continue
        chart = Chart(f"{METRICS[metric].title} over the number of points", (0, len(counts) - 1), _span(known), left=44)
        if math.isfinite(gray):
            chart.line([(x, gray) for x in chart.x], colors[GRAY], dashed=True)
        for model, line in lines.items():
            chart.line(line, colors[model])
            chart.dots(line, colors[model], radius=3)
        chart.horizontal_axis("var(--soft)", [(place, str(count)) for place, count in enumerate(counts)])
        chart.vertical_axis("var(--soft)", [(value, METRICS[metric].text(value)) for value in chart.y])
        figures.append(_figure(chart, f"{METRICS[metric].title} over the number of points"))
    key = _key({name: colors[name] for name in (GRAY, *curves)})
    return fill("points.html", charts=key + tag("div", "".join(figures), class_="charts"))


def _span(values: Sequence[float]) -> tuple[float, float]:
    return min(values), max(values)


def _report(summary: Summary) -> str:
    lines = [
        [escape(name), *(cell(METRICS["ssim"], values[metric]) for metric in (MEANT, DID))]
        for name, values in summary.rows.items()
        if MEANT in values
    ]
    return fill("report.html", table=table(["", "as meant", "as it did"], lines)) if lines else ""


def _key(colors: dict[str, str]) -> str:
    items = (tag("li", tag("i", style=f"background:{color}") + escape(name)) for name, color in colors.items())
    return tag("ul", "".join(items), class_="key")


def _figure(chart: Chart, caption: str) -> str:
    return tag("figure", to_svg(chart) + tag("figcaption", caption))


def _distributions(columns: dict[str, dict[str, np.ndarray]], colors: dict[str, str]) -> str:
    figures = []
    for metric in DISTRIBUTIONS:
        rows = {name: values[metric] for name, values in columns.items() if metric in values}
        if metric == "colorfulness":
            rows.pop(GRAY, None)  # 0 for every photo
        title, digits = METRICS[metric].title, min(METRICS[metric].digits, 3)
        chart = histogram(rows, colors, title=title, digits=digits)
        if chart is not None:
            figures.append(_figure(chart, title))
    return tag("div", "".join(figures), class_="charts")


def _scatter(similarity: np.ndarray, gain: np.ndarray, right: list[int], wrong: list[int]) -> Chart:
    """A dot for each photo, at most 3,000 of them evenly spaced: SSIM to the right, gain over gray upward."""
    chart = Chart("SSIM and gain over gray", value_range(similarity), value_range(np.append(gain, 0.0)))
    chart.line([(x, 0) for x in chart.x], "var(--soft)", dashed=True)
    chart.words(chart.x[0], 0, GRAY)
    step = -(-len(similarity) // MOST_DOTS)
    chart.dots(zip(similarity[::step], gain[::step], strict=True), "var(--row-0)", opacity=0.5)
    for numbers, color in ((right, "var(--good)"), (wrong, "var(--bad)")):
        chart.dots(zip(similarity[numbers], gain[numbers], strict=True), color, radius=4)
    low, high = chart.x
    chart.horizontal_axis("var(--soft)", [(value, f"{value:.3f}") for value in (low, (low + high) / 2, high)])
    return chart


def _definitions(protocol: dict[str, Any]) -> str:
    lines = []
    for model in protocol["models"]:
        words = f"{model['weights']}, network at {model['network_size']} px, sha256 {model['sha256']}"
        lines.append((model["name"], words))
    for name, value in protocol.items():
        if name == "versions":
            value = ", ".join(f"{package} {number}" for package, number in value.items())
        if name != "models" and value not in (None, []):
            lines.append((name.replace("_", " "), value))
    return tag("dl", "".join(tag("dt", escape(name)) + tag("dd", escape(value)) for name, value in lines))
