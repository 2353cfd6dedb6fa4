"""results.html: an evaluation's tables, distributions and photos on one page that needs no network."""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from pix2pix.evaluation.charts import histogram, scatter
from pix2pix.evaluation.intervals import Interval
from pix2pix.evaluation.metrics import METRICS, Metric
from pix2pix.evaluation.report_protocol import DID, MEANT
from pix2pix.evaluation.scoring import Scores
from pix2pix.evaluation.statistics import TRUTH, Summary, derive, extremes, gain_over_gray, misjudged
from pix2pix.files import replacing

EACH = 3  # photos of the best, of the median and of the worst
MISJUDGED = 6  # photos of either kind
SHEETS = ("psnr", "ssim", "ciede2000", "ab_l1", "lpips", "colorfulness_difference")
DISTRIBUTIONS = ("psnr", "ssim", "ciede2000", "ab_l1", "lpips", "colorfulness")
TILE = 176  # pixels, where there are no more pictures than MOST_TILES; smaller where there are
MOST_TILES = 330
PALETTE = (("#1d5fd0", "#7db1ff"), ("#b4480a", "#ffa25e"), ("#1a7f45", "#5fd592"), ("#8a2bb8", "#d79bf5"))
PALETTE += (("#b3124f", "#ff86ae"), ("#0f7485", "#5fd0e2"))

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1d21; --soft: #565c66; --line: #d5d9df; --card: #f5f6f8;
  --good: #1a7f45; --bad: #b3124f; LIGHT }
@media (prefers-color-scheme: dark) { :root { --paper: #14161a; --ink: #e9ebef; --soft: #a9b0bb; --line: #3a404a;
  --card: #1e2127; --good: #5fd592; --bad: #ff86ae; DARK } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 1rem; max-width: 76rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere }
h1 { font-size: 1.5rem; line-height: 1.25 } h2 { font-size: 1.2rem; margin: 2.2rem 0 .5rem }
h3 { font-size: 1rem; margin: 1rem 0 .4rem } p { margin: .4rem 0 } .soft, figcaption, dt { color: var(--soft) }
.wide { overflow-x: auto } table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem }
th, td { padding: .3rem .45rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap }
th { font-weight: 600 } tr > :first-child { text-align: left; position: sticky; left: 0; background: var(--paper);
  max-width: 11rem; white-space: normal } td small { color: var(--soft) } th[scope=row] { min-width: 7rem }
thead th { white-space: normal; vertical-align: bottom; overflow-wrap: normal }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); gap: 1rem }
.charts figure, .scatter { margin: 0; padding: .6rem; background: var(--card); border-radius: .5rem }
.scatter { max-width: 34rem } svg { display: block; width: 100%; height: auto }
svg text { fill: var(--soft); font: 11px system-ui, sans-serif } .axis, .zero { stroke: var(--soft); fill: none }
.zero { stroke-dasharray: 4 3 } .outline { fill: none; stroke-width: 1.6 }
.dots { stroke: var(--row-0); stroke-width: 2.4; stroke-linecap: round; opacity: .5 }
.right circle { fill: var(--good) } .wrong circle { fill: var(--bad) }
.right { color: var(--good) } .wrong { color: var(--bad) }
.key { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; padding: 0; margin: .3rem 0 .8rem; list-style: none }
.key i { display: inline-block; width: 1.4rem; height: .25rem; margin-right: .4rem; vertical-align: middle }
.photo { margin: 0 0 .9rem; padding: .6rem; background: var(--card); border-radius: .5rem }
.photos { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 32rem), 1fr)); gap: 0 1rem }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(5rem, 1fr)); gap: .4rem }
.tiles img { display: block; width: 100%; border-radius: .25rem } .tiles span { font-size: .8rem; color: var(--soft) }
figcaption { font-size: .85rem; margin-top: .3rem }
details { border-top: 1px solid var(--line); padding: .5rem 0 } summary { cursor: pointer; font-weight: 600 }
dl { display: grid; grid-template-columns: minmax(6rem, max-content) 1fr; gap: .2rem 1rem; font-size: .9rem }
dd { margin: 0 }
"""


def write_results_page(
    path: Path,
    protocol: dict[str, Any],
    summary: Summary,
    distances: dict[str, float],
    scores: Scores,
    *,
    names: list[str],
    photos: list[str],
    pictures: Callable[[list[int], list[str]], dict[str, Tensor]],
) -> None:
    """`names` are the models' rows, `photos` the photos' names, `pictures(photos, rows)` the uint8 pictures of them."""
    columns = derive(scores)
    shown = [row for row in scores if row != "truth"] + ["truth"]
    colors = row_colors(names)
    wrong = {kind: rows[:MISJUDGED] for kind, rows in misjudged(scores, names[0]).items()}
    sheets = {
        name: extremes(columns[names[0]][name], METRICS[name].better, EACH)
        for name in SHEETS
        if name in columns[names[0]]
    }
    groups = [*wrong.values(), *(rows for sheet in sheets.values() for rows in sheet.values())]
    tiles = sum(map(len, groups)) * len(shown)
    side = max(48, min(TILE, int(TILE * math.sqrt(MOST_TILES / tiles))))
    wanted = sorted({row for rows in groups for row in rows})
    images = {row: _thumbnails(pictures([row], shown), side) for row in wanted}

    def figure(row: int) -> str:
        similarity, gain = columns[names[0]]["ssim"][row], gain_over_gray(scores, names[0])[row]
        words = f"{_text(photos[row])}: SSIM {similarity:.3f}, {gain:+.1f} dB over gray"
        cells = "".join(
            f'<div><img alt="" src="{images[row][name]}"><span>{_text(name)}</span></div>' for name in shown
        )
        return f'<figure class="photo"><div class="tiles">{cells}</div><figcaption>{words}</figcaption></figure>'

    def group(rows: list[int]) -> str:
        return f'<div class="photos">{"".join(map(figure, rows))}</div>'

    title = f"{', '.join(names)}: {protocol['photos']} photos"
    first = _text(names[0])
    lower, higher = wrong.values()
    parts = [
        f"<h1>{_text(title)}</h1>",
        *(f"<p>{_sentence(name, summary)}</p>" for name in names),
        "<h2>Means</h2>",
        '<p class="soft">± is half of the 95 % interval over photos. Gray does nothing: read every row beside it.</p>',
        _means(summary, distances),
        "<h2>Paired differences</h2>",
        '<p class="soft">Photo by photo, then the mean. * marks an interval that leaves out 0: more than chance.</p>',
        _differences(summary),
        _report(summary),
        "<h2>Distributions</h2>",
        _key({row: colors[row] for row in shown}),
        _distributions(columns, colors),
        "<h2>What SSIM does not see</h2>",
        f"<p>Each dot is a photo as {first} colours it: its SSIM to the right, its colours' gain over gray upwards (dB "
        "of PSNR). Gray has every edge of the photo and no colour at all, and SSIM looks at edges: so it hardly tells "
        "the two kinds of photos below apart, or gets them the wrong way round.</p>",
        '<figure class="scatter">'
        + scatter(
            columns[names[0]]["ssim"],
            gain_over_gray(scores, names[0]),
            {"right": lower, "wrong": higher},
            title="SSIM and gain over gray",
        )
        + "</figure>",
        '<h3 class="right">Low SSIM, yet they look right</h3>'
        '<p class="soft">Of the quarter with the lowest SSIM, those most above gray.</p>',
        group(lower),
        '<h3 class="wrong">High SSIM, yet they do not</h3>'
        '<p class="soft">Of the quarter with the highest SSIM, those least above gray, or most below.</p>',
        group(higher),
        f"<h2>Best, median and worst of {first}</h2>",
    ]
    for name, sheet in sheets.items():
        metric = "colorfulness nearest to the truth's" if name == "colorfulness_difference" else METRICS[name].title
        content = "".join(f"<h3>{word}</h3>{group(rows)}" for word, rows in sheet.items() if rows)
        parts.append(
            f"<details{' open' if name == SHEETS[0] else ''}><summary>by {metric}</summary>{content}</details>"
        )
    parts += ["<h2>Protocol</h2>", f"<dl>{_definitions(protocol)}</dl>"]
    page = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>{_style(names)}</style>\n</head>\n<body>\n"
        + "\n".join(part for part in parts if part)
        + "\n</body>\n</html>\n"
    )
    with replacing(path) as temporary:
        temporary.write_bytes(page.encode("utf-8", "backslashreplace"))


def jpeg_uri(photo: Tensor, side: int, quality: int = 82) -> str:
    """A uint8 photo (3, H, W) as a data URI, a JPEG of at most `side` pixels."""
    image = Image.fromarray(np.ascontiguousarray(photo.permute(1, 2, 0).cpu().numpy()))
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    image.save(content, "JPEG", quality=quality, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode()


def row_colors(names: list[str]) -> dict[str, str]:
    """A CSS colour for each row; models take the palette's in turn."""
    own = {"gray": "var(--row-gray)", "mean colour": "var(--row-mean)", "truth": "var(--ink)"}
    return own | {name: f"var(--row-{number % len(PALETTE)})" for number, name in enumerate(names)}


def _style(names: list[str]) -> str:
    gray_and_mean = (("#7a818c", "#8f97a3"), ("#8a6d00", "#d8b740"))
    keys = ("gray", "mean", *map(str, range(len(PALETTE))))
    light, dark = (
        " ".join(f"--row-{key}: {pair[mode]};" for key, pair in zip(keys, (*gray_and_mean, *PALETTE), strict=True))
        for mode in (0, 1)
    )
    return STYLE.replace("LIGHT", light).replace("DARK", dark)


def _thumbnails(images: dict[str, Tensor], side: int) -> dict[str, str]:
    return {name: jpeg_uri(photos[0], side) for name, photos in images.items()}


def _text(words: object) -> str:
    return html.escape(str(words))


def _sentence(name: str, summary: Summary) -> str:
    """One model against gray, in words."""
    less, worse = summary.differences[name, "gray"], summary.rows[name]["worse_psnr"].mean
    psnr, ssim, color = less["psnr"], less["ssim"], less["ciede2000"]
    ratio = summary.rows[name]["colorfulness"].mean / max(summary.rows["truth"]["colorfulness"].mean, 1e-9)
    distance = f"{abs(psnr.mean):.2f} dB {'nearer to' if psnr.mean > 0 else 'farther from'} the truth than gray"
    return (
        f"<strong>{_text(name)}</strong> is {distance if math.isfinite(psnr.mean) else 'beside gray'} (CIEDE2000 "
        f"{color.mean:+.2f}), its SSIM {ssim.mean:+.4f} beside gray's; its colours are {ratio:.2f} times as "
        f"strong as the truth's; {100 * worse:.0f} % of its photos are worse than gray ones (PSNR)."
    )


def _cell(metric: Metric, value: Interval | None, *, signed: bool = False) -> str:
    if value is None or not math.isfinite(value.mean):
        return "<td>-</td>"
    star = " *" if signed and value.significant else ""
    return f"<td>{metric.text(value.mean, signed=signed)} <small>±{metric.text(value.half)}</small>{star}</td>"


def _table(head: list[str], lines: list[str]) -> str:
    heads = "".join(f'<th scope="col">{word}</th>' for word in head)
    return f'<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'


def _means(summary: Summary, distances: dict[str, float]) -> str:
    names = [name for name in METRICS if any(name in values for values in summary.rows.values())]
    lines = []
    for row, values in summary.rows.items():
        cells = ""
        for name in names:
            exact = row == "truth" and name in TRUTH
            cells += f"<td>{METRICS[name].text(TRUTH[name])}</td>" if exact else _cell(METRICS[name], values.get(name))
        if distances:
            cells += f"<td>{distances[row]:.2f}</td>" if row in distances else "<td>0</td>"
        lines.append(f'<tr><th scope="row">{_text(row)}</th>{cells}</tr>')
    heads = ["", *(METRICS[name].title for name in names), *(["Frechet distance"] if distances else [])]
    return _table(heads, lines)


def _differences(summary: Summary) -> str:
    names = [name for name in METRICS if any(name in values for values in summary.differences.values())]
    names = [name for name in names if name != "colorfulness_difference"]  # the same as the colorfulness's
    lines = [
        f'<tr><th scope="row">{_text(row)} less {_text(other)}</th>'
        + "".join(_cell(METRICS[name], values.get(name), signed=True) for name in names)
        + "</tr>"
        for (row, other), values in summary.differences.items()
    ]
    return _table(["", *(METRICS[name].title for name in names)], lines)


def _report(summary: Summary) -> str:
    metric = METRICS["ssim"]
    lines = [
        f'<tr><th scope="row">{_text(row)}</th>{_cell(metric, values[MEANT])}{_cell(metric, values[DID])}</tr>'
        for row, values in summary.rows.items()
        if MEANT in values
    ]
    if not lines:
        return ""
    return (
        "<h2>SSIM by the report's notebook</h2>"
        '<p class="soft">As it meant to: the data range of the photo, eval mode. As it did: the data range of the '
        "prediction, and train mode after the first batch of 16.</p>" + _table(["", "as meant", "as it did"], lines)
    )


def _key(colors: dict[str, str]) -> str:
    items = "".join(f'<li><i style="background:{color}"></i>{_text(row)}</li>' for row, color in colors.items())
    return f'<ul class="key">{items}</ul>'


def _distributions(columns: dict[str, dict[str, np.ndarray]], colors: dict[str, str]) -> str:
    figures = []
    for name in DISTRIBUTIONS:
        rows = {row: values[name] for row, values in columns.items() if name in values}
        if name == "colorfulness":
            rows.pop("gray", None)  # 0 for every photo
        if rows:
            title, digits = METRICS[name].title, min(METRICS[name].digits, 3)
            drawn = histogram(rows, colors, title=title, digits=digits)
            figures.append(f"<figure>{drawn}<figcaption>{title}</figcaption></figure>")
    return f'<div class="charts">{"".join(figures)}</div>'


def _definitions(protocol: dict[str, Any]) -> str:
    lines = []
    for model in protocol["models"]:
        words = f"{model['weights']}, network at {model['network_size']} px, sha256 {model['sha256']}"
        lines.append((model["name"], words))
    for name, value in protocol.items():
        if name == "versions":
            value = ", ".join(f"{package} {number}" for package, number in value.items())
        if name != "models" and value is not None:
            lines.append((name.replace("_", " "), value))
    return "".join(f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>" for name, value in lines)
