"""Histograms and a scatter plot as inline SVG, in colours that a page's style sheet sets (`--row-0`, `--ink`...)."""

from __future__ import annotations

import numpy as np

MOST_BINS = 40
WIDTH, HEIGHT, LEFT, BOTTOM = 360, 170, 8, 22
MOST_DOTS = 3000


def histogram(columns: dict[str, np.ndarray], colors: dict[str, str], *, title: str, digits: int) -> str:
    """One outline for each row's values (N,); what lies beyond the 0.5 and 99.5 percentiles is in the end bins."""
    known = {row: values[np.isfinite(values)] for row, values in columns.items()}
    known = {row: values for row, values in known.items() if len(values)}
    if not known:
        return ""
    low, high = _range(np.concatenate(list(known.values())))
    bins = min(MOST_BINS, max(8, int(2 * len(next(iter(known.values()))) ** 0.5)))
    edges = np.linspace(low, high, bins + 1)
    shares = {row: np.histogram(values.clip(low, high), edges)[0] / len(values) for row, values in known.items()}
    top = max(share.max() for share in shares.values())
    lines = []
    for row, share in shares.items():
        y = [f"{HEIGHT - BOTTOM - s / top * (HEIGHT - BOTTOM - 8):.1f}" for s in share]
        path = f"M{LEFT} {HEIGHT - BOTTOM}" + "".join(
            f"V{level}H{_x(right, low, high):.1f}" for level, right in zip(y, edges[1:], strict=True)
        )
        path += f"V{HEIGHT - BOTTOM}"
        lines.append(f'<path class="outline" style="stroke:{colors[row]}" d="{path}"/>')
    return _frame("".join(lines), low, high, title=title, digits=digits)


def scatter(x: np.ndarray, y: np.ndarray, marked: dict[str, list[int]], *, title: str) -> str:
    """A dot for each photo, at most 3,000 of them evenly spaced, those of `marked` in the class that it names.

    The line is y = 0; dots beyond the 0.5 and 99.5 percentiles lie on the border.
    """
    low, high = _range(x)
    bottom, top = _range(np.append(y, 0.0))

    def place(row: int) -> tuple[str, str]:
        down = (top - np.clip(y[row], bottom, top)) / (top - bottom) * (HEIGHT - BOTTOM - 12) + 6
        return f"{_x(float(np.clip(x[row], low, high)), low, high):.1f}", f"{down:.1f}"

    step = -(-len(x) // MOST_DOTS)
    dots = "".join("M{} {}h0".format(*place(row)) for row in range(0, len(x), step))
    zero = top / (top - bottom) * (HEIGHT - BOTTOM - 12) + 6
    content = f'<path class="zero" d="M{LEFT} {zero:.1f}H{WIDTH - LEFT}"/><path class="dots" d="{dots}"/>'
    content += f'<text x="{LEFT}" y="{zero - 4:.1f}">gray</text>'
    for name, rows in marked.items():
        circles = ('<circle cx="{}" cy="{}" r="4"/>'.format(*place(row)) for row in rows)
        content += f'<g class="{name}">{"".join(circles)}</g>'
    return _frame(content, low, high, title=title, digits=3)


def _range(values: np.ndarray) -> tuple[float, float]:
    low, high = (float(value) for value in np.percentile(values, [0.5, 99.5]))
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _x(value: float, low: float, high: float) -> float:
    return LEFT + (value - low) / (high - low) * (WIDTH - 2 * LEFT)


def _frame(content: str, low: float, high: float, *, title: str, digits: int) -> str:
    base, ticks = HEIGHT - BOTTOM, ((low, "start"), ((low + high) / 2, "middle"), (high, "end"))
    axis = f'<path class="axis" d="M{LEFT} {base}H{WIDTH - LEFT}"/>' + "".join(
        f'<text x="{_x(value, low, high):.1f}" y="{HEIGHT - 6}" text-anchor="{anchor}">{value:.{digits}f}</text>'
        for value, anchor in ticks
    )
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">{content}{axis}</svg>'
