"""Points of color from the command line and from files: `scan.points.json` belongs to `scan.jpg`.

{"points": [{"x": 412, "y": 230, "color": "#c0392b", "radius": 3}]}
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

from pix2pix.errors import UserError
from pix2pix.files import refuse_special, replacing
from pix2pix.hints import Point

SUFFIX = ".points.json"
KEYS = tuple(field.name for field in fields(Point))
MOST = 10_000  # points in a file


def parse_point(text: str) -> Point:
    """The point of "X,Y,COLOR", as of "412,230,#c0392b". Raises UserError for anything else."""
    try:
        x, y, color = text.split(",", 2)
        return Point(_number(x), _number(y), color.strip())
    except ValueError as error:
        reason = f": {error}" if "color" in str(error) else ""
        raise UserError(f"{text!r} is no point X,Y,COLOR, as 412,230,#c0392b is{reason}") from None


def points_beside(photo: Path) -> Path | None:
    """The points file of a photo, `scan.points.json` beside `scan.jpg`, or None."""
    path = photo.with_name(photo.stem + SUFFIX)
    return path if os.path.isfile(path) else None  # noqa: PTH113  (False where the name would be too long)


def read_points(path: Path) -> list[Point]:
    """The points of a file. Raises UserError naming the file, and the point that is wrong, for anything else."""
    refuse_special(path, str(path))
    try:
        return parse_points(path.read_text(encoding="utf-8-sig"), str(path))
    except OSError as error:
        raise UserError(f"cannot read the points of {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is no points file: it is not JSON in UTF-8") from None


def parse_points(text: str, name: str) -> list[Point]:
    """The points of a points file's text; errors, as those of `read_points`, call the file by its `name`."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise UserError(f"{name} is no points file: it is not JSON in UTF-8") from None
    if not isinstance(content, dict) or not isinstance(content.get("points"), list):
        raise UserError(f'{name} is no points file: it holds no {{"points": [...]}}')
    if len(content["points"]) > MOST:
        raise UserError(f"{name} has {len(content['points'])} points; at most {MOST} are taken")
    return [_point(entry, f"{name}, point {number}") for number, entry in enumerate(content["points"], start=1)]


def write_points(path: Path, points: Sequence[Point]) -> None:
    """The file that `read_points` reads, written whole or not at all. Raises UserError where it cannot be written."""
    entries = [{key: value for key, value in asdict(point).items() if value is not None} for point in points]
    lines = ",\n".join("  " + json.dumps(entry) for entry in entries)
    try:
        with replacing(path) as temporary:
            temporary.write_text(f'{{"points": [\n{lines}\n]}}\n', encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error


def check_points(points: Sequence[Point], width: int, height: int, name: str) -> None:
    """Raises UserError, naming the photo by `name`, when a point lies outside its `width` x `height` pixels."""
    for point in points:
        if not (0 <= point.x < width and 0 <= point.y < height):
            raise UserError(
                f"the point {point} lies outside {name}, which has {width}x{height} pixels (counted from 0 at the top "
                "left of the upright photo)"
            )


def _point(entry: object, name: str) -> Point:
    if not isinstance(entry, dict):
        raise UserError(f"{name}: {entry!r:.60} is no {{...}} with x, y and color")
    if unknown := entry.keys() - set(KEYS):
        raise UserError(f"{name}: unknown {', '.join(sorted(map(repr, unknown)))}; a point has {', '.join(KEYS)}")
    if missing := [key for key in ("x", "y", "color") if key not in entry]:
        raise UserError(f"{name}: has no {', '.join(missing)}")
    try:
        return Point(**entry)
    except ValueError as error:
        raise UserError(f"{name}: {error}") from None


def _number(text: str) -> float:
    if "_" in text:  # which Python's own numbers may have
        raise ValueError
    value = float(text)
    return int(value) if value.is_integer() else value
