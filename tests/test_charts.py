"""Charts: the places of what is drawn, as SVG and in pixels."""

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import Image, ImageDraw

from pix2pix.evaluation.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Chart, draw, histogram, to_svg


def test_places_by_hand():
    chart = Chart("title", (0, 10), (-1, 1))
    assert chart.place(0, -1) == (LEFT, HEIGHT - BOTTOM)
    assert chart.place(10, 1) == (WIDTH - RIGHT, TOP)
    assert chart.place(5, 0) == pytest.approx((WIDTH / 2, (HEIGHT - BOTTOM + TOP) / 2))
    assert chart.place(99, -5) == (WIDTH - RIGHT, HEIGHT - BOTTOM)  # what is outside is on the border
    assert Chart("one value", (3, 3), (0, 0)).place(3, 0) == pytest.approx((WIDTH / 2, (HEIGHT - BOTTOM + TOP) / 2))


def test_svg_is_well_formed_and_escaped():
    chart = Chart('<a> & "b"', (0, 1), (0, 1))
    chart.line([(0, 0), (1, 1)], "var(--row-0)", dashed=True)
    chart.dots([(0.5, 0.5)], "var(--good)", radius=3)
    chart.words(0, 0, "<words>")
    root = ElementTree.fromstring(to_svg(chart))  # noqa: S314
    assert root.attrib["aria-label"] == '<a> & "b"' and [child.tag for child in root] == ["path", "path", "text"]
    assert root[0].attrib["stroke-dasharray"] == "4 3" and root[2].text == "<words>"
    assert root[0].attrib["d"] == f"M{LEFT:.1f} {HEIGHT - BOTTOM:.1f}L{WIDTH - RIGHT:.1f} {TOP:.1f}"


def test_the_drawn_chart_has_its_lines_where_the_svg_has_them():
    chart = Chart("title", (0, 1), (0, 1))
    chart.line([(0, 0.5), (1, 0.5)], "#ff0000")
    chart.line([(0, 0.25), (1, 0.25)], "#0000ff", dashed=True)
    chart.dots([(0.5, 0.75)], "#00ff00", radius=3)
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    draw(chart, ImageDraw.Draw(image), 0, 0, scale=1)
    pixels = np.asarray(image).astype(int)

    def is_color(place, color):
        x, y = (round(value) for value in place)
        return (np.abs(pixels[y - 1 : y + 2, x - 1 : x + 2] - color).sum(axis=2) == 0).any()

    assert all(is_color(chart.place(x, 0.5), (255, 0, 0)) for x in (0.1, 0.5, 0.9))
    assert is_color(chart.place(0.5, 0.75), (0, 255, 0))
    left, right = (round(chart.place(x, 0)[0]) for x in (0, 1))
    blue = (pixels[round(chart.place(0, 0.25)[1])] == (0, 0, 255)).all(axis=1)[left:right]
    assert 0.4 < blue.mean() < 0.85  # dashes of 4 with gaps of 3


def test_a_histogram_shows_the_shares():
    values = np.array([0.0] * 30 + [1.0] * 10)
    chart = histogram({"one": values, "none": np.array([np.nan])}, {"one": "red"}, title="title", digits=1)
    line = chart.marks[0].places
    bottom, top = HEIGHT - BOTTOM, TOP
    assert line[1][1] == pytest.approx(top) and line[-2][1] == pytest.approx(bottom - (bottom - top) / 3)
    assert re.findall(r"<text[^>]*>([^<]*)</text>", to_svg(chart)) == ["0.0", "0.5", "1.0"]
    assert histogram({"none": np.array([np.inf])}, {}, title="", digits=0) is None
