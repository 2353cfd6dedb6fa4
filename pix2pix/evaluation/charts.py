"""Small charts: lines, dots and words on a plane, written as inline SVG or drawn with Pillow.

Colors are CSS colors. In a page they may be variables that its style sheet sets, `var(--row-0)`; those that are drawn
have to be plain ones.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import ImageColor, ImageDraw, ImageFont

WIDTH, HEIGHT = 360, 170
LEFT, RIGHT, TOP, BOTTOM = 8, 8, 8, 22  # margins around the plane
MOST_BINS = 40
MOST_DOTS = 3000
FONT = 11  # pixels
SMOOTH = 3  # times as large a chart is drawn before it is reduced, since Pillow's lines have hard edges

Place = tuple[float, float]  # in the chart's pixels, from the top left


@dataclass(frozen=True)
class Line:
    places: list[Place]
    color: str
    dashed: bool = False


@dataclass(frozen=True)
class Dots:
    places: list[Place]
    color: str
    radius: float
    opacity: float = 1.0


@dataclass(frozen=True)
class Words:
    place: Place
    text: str
    anchor: str = "start"  # start, middle or end, as in SVG


class Chart:
    """A plane with the ranges `x` and `y`, (low, high) each; what is outside is drawn on its border."""

    def __init__(self, title: str, x: Place, y: Place, *, left: float = LEFT, top: float = TOP) -> None:
        self.title, self.x, self.y, self.left, self.top = title, _wide(x), _wide(y), left, top
        self.marks: list[Line | Dots | Words] = []

    def place(self, x: float, y: float) -> Place:
        across, up = (
            (min(max(value, low), high) - low) / (high - low)
            for value, (low, high) in ((float(x), self.x), (float(y), self.y))
        )
        height = HEIGHT - self.top - BOTTOM
        return self.left + across * (WIDTH - self.left - RIGHT), HEIGHT - BOTTOM - up * height

    def line(self, pairs: Iterable[Place], color: str, *, dashed: bool = False) -> None:
        """A line through (x, y) pairs."""
        self.marks.append(Line([self.place(x, y) for x, y in pairs], color, dashed))

    def dots(self, pairs: Iterable[Place], color: str, *, radius: float = 1.2, opacity: float = 1) -> None:
        self.marks.append(Dots([self.place(x, y) for x, y in pairs], color, radius, opacity))

    def words(self, x: float, y: float, text: str, *, up: float = 4, anchor: str = "start") -> None:
        """Words `up` pixels above a place."""
        across, down = self.place(x, y)
        self.marks.append(Words((across, down - up), text, anchor))

    def horizontal_axis(self, color: str, ticks: Sequence[tuple[float, str]]) -> None:
        self.line([(x, self.y[0]) for x in self.x], color)
        for number, (value, text) in enumerate(ticks):
            anchor = {0: "start", len(ticks) - 1: "end"}.get(number, "middle")
            self.marks.append(Words((self.place(value, self.y[0])[0], HEIGHT - 6), text, anchor))

    def vertical_axis(self, color: str, ticks: Sequence[tuple[float, str]]) -> None:
        self.line([(self.x[0], y) for y in self.y], color)
        for value, text in ticks:
            self.marks.append(Words((self.left - 4, self.place(self.x[0], value)[1] + 4), text, "end"))


def to_svg(chart: Chart) -> str:
    marks = "".join(map(_svg_mark, chart.marks))
    title = html.escape(chart.title)
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">{marks}</svg>'


def _svg_mark(mark: Line | Dots | Words) -> str:
    if isinstance(mark, Words):
        x, y = mark.place
        return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{mark.anchor}">{html.escape(mark.text)}</text>'
    style = f'fill="none" style="stroke:{mark.color}"'
    if isinstance(mark, Line):
        path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in mark.places)
        return (
            f'<path {style} stroke-width="1.6"{" stroke-dasharray=" + repr("4 3") if mark.dashed else ""} d="{path}"/>'
        )
    path = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in mark.places)
    width = f'stroke-width="{2 * mark.radius:g}" stroke-linecap="round" opacity="{mark.opacity:g}"'
    return f'<path {style} {width} d="{path}"/>'


def draw(chart: Chart, canvas: ImageDraw.ImageDraw, left: int, top: int, scale: int = SMOOTH) -> None:
    """Draw it on an RGB canvas with its top left corner at (left, top), `scale` times its size."""
    font = ImageFont.load_default(size=FONT * scale)

    def on_canvas(place: Place) -> Place:
        return left + place[0] * scale, top + place[1] * scale

    for mark in chart.marks:
        if isinstance(mark, Words):
            anchor = {"start": "ls", "middle": "ms", "end": "rs"}[mark.anchor]
            canvas.text(on_canvas(mark.place), mark.text, fill="black", font=font, anchor=anchor)
            continue
        color, places = ImageColor.getrgb(mark.color), [on_canvas(place) for place in mark.places]
        if isinstance(mark, Dots):
            for x, y in places:
                radius = mark.radius * scale
                canvas.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color)
        elif mark.dashed:
            for dash in _dashes(places, 4 * scale, 3 * scale):
                canvas.line(dash, fill=color, width=2 * scale)
        else:
            canvas.line(places, fill=color, width=2 * scale, joint="curve")


def _dashes(places: list[Place], dash: float, gap: float) -> list[list[Place]]:
    """Straight pieces of a line, `dash` long with `gap` between them along it."""
    x, y = np.array(places).T
    along = np.append(0.0, np.hypot(np.diff(x), np.diff(y)).cumsum())
    ends = [(start, min(start + dash, along[-1])) for start in np.arange(0.0, along[-1], dash + gap)]
    return [[(float(np.interp(at, along, x)), float(np.interp(at, along, y))) for at in pair] for pair in ends]


def histogram(columns: dict[str, np.ndarray], colors: dict[str, str], *, title: str, digits: int) -> Chart | None:
    """One outline for each method's values (N,), NaN left out; what lies beyond the 0.5 and 99.5 percentiles is in the
    end bins. None where there is no value."""
    known = {name: values[np.isfinite(values)] for name, values in columns.items()}
    known = {name: values for name, values in known.items() if len(values)}
    if not known:
        return None
    low, high = value_range(np.concatenate(list(known.values())))
    bins = min(MOST_BINS, max(8, int(2 * len(next(iter(known.values()))) ** 0.5)))
    edges = np.linspace(low, high, bins + 1)
    shares = {name: np.histogram(v.clip(low, high), edges)[0] / len(v) for name, v in known.items()}
    chart = Chart(title, (low, high), (0, max(float(share.max()) for share in shares.values())))
    for name, share in shares.items():
        steps = np.concatenate(([0], share.repeat(2), [0]))
        chart.line(zip(edges.repeat(2), steps, strict=True), colors[name])
    chart.horizontal_axis("var(--soft)", [(value, f"{value:.{digits}f}") for value in (low, (low + high) / 2, high)])
    return chart


def value_range(values: np.ndarray) -> Place:
    """The 0.5 and 99.5 percentiles."""
    low, high = (float(value) for value in np.percentile(values, [0.5, 99.5]))
    return low, high


def _wide(ends: Place) -> Place:
    """A range that is no single value."""
    low, high = map(float, ends)
    return (low, high) if high > low else (low - 0.5, low + 0.5)
