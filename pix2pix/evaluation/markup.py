"""What the pages are made of: templates, tags, tables, and photos inside the page."""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Iterable, Sequence
from importlib.resources import files
from string import Template

import numpy as np
from PIL import Image
from torch import Tensor

from pix2pix.evaluation.intervals import Interval
from pix2pix.evaluation.metrics import Metric


def read_template(name: str) -> str:
    """A file of the folder `templates`."""
    return (files("pix2pix.evaluation") / "templates" / name).read_text("utf-8")


def fill(template: str, **parts: object) -> str:
    """A template with its $names replaced by HTML."""
    return Template(read_template(template)).substitute(parts)


def escape(words: object) -> str:
    return html.escape(str(words))


def tag(name: str, content: str = "", **attributes: str) -> str:
    """An HTML element; `class_` stands for class. Attributes are escaped, the content is HTML."""
    words = "".join(f' {key.rstrip("_")}="{html.escape(value)}"' for key, value in attributes.items())
    return f"<{name}{words}>{content}</{name}>"


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table of HTML cells; the first cell of every line is its name."""
    heads = "".join(tag("th", word, scope="col") for word in head)
    rows = (
        tag("tr", tag("th", first, scope="row") + "".join(tag("td", cell) for cell in rest)) for first, *rest in lines
    )
    content = tag("thead", tag("tr", heads)) + tag("tbody", "".join(rows))
    return tag("div", tag("table", content), class_="wide")


def cell(metric: Metric, value: Interval | None, *, signed: bool = False) -> str:
    """A mean and half its interval; of a difference also whether it is more than chance."""
    if value is None or not math.isfinite(value.mean):
        return "-"
    star = " *" if signed and value.significant else ""
    return f"{metric.text(value.mean, signed=signed)} {tag('small', '±' + metric.text(value.half))}{star}"


def jpeg_uri(photo: Tensor, side: int, quality: int = 82) -> str:
    """A uint8 photo (3, H, W) as a data URI, a JPEG of at most `side` pixels."""
    image = Image.fromarray(np.ascontiguousarray(photo.permute(1, 2, 0).cpu().numpy()))
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    image.save(content, "JPEG", quality=quality, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode()
