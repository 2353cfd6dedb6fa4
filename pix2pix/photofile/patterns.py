"""Patterns like `scans/*.jpg`, expanded where the shell has not done it."""

from __future__ import annotations

import glob
import os
from pathlib import Path


def expand(sources: list[Path], output: Path | None) -> list[Path]:
    """The sources, with each pattern replaced by what it stands for; one that stands for nothing stays as it is.

    The output folder, and what of a pattern lies in it, is left out if anything else is named.
    """
    found: list[Path] = []
    for source in sources:
        paths = [source] if os.path.lexists(source) else matches(source)
        found += [path for path in paths if not (output and is_in(path, output))] or paths or [source]
    return [path for path in found if not (output and os.path.realpath(path) == os.path.realpath(output))] or found


def matches(pattern: Path) -> list[Path]:
    """What a pattern stands for, sorted: `*`, `?`, `[abc]`, and `**` for any folders.

    A part that is there literally is taken literally, as the folder of `br[1990]/*.jpg`; so are brackets where the
    pattern has no other match.
    """
    found = [pattern.anchor or "."]
    parts = pattern.parts[1:] if pattern.anchor else pattern.parts
    for number, part in enumerate(parts):
        folders = [place for place in found if os.path.isdir(place)]  # noqa: PTH112
        found = [match for folder in folders for match in _matches_in(folder, part, last=number == len(parts) - 1)]
    return sorted({Path(path) for path in found}) if parts else []


def _matches_in(folder: str, part: str, *, last: bool) -> list[str]:
    literal = os.path.join(folder, part)  # noqa: PTH118
    if os.path.lexists(literal):
        return [literal]
    for pattern in (part, part.replace("[", "[[]")):
        if part == "**" and not last:
            pattern = "**/"  # folders alone
        found = glob.glob(os.path.join(glob.escape(folder), pattern), recursive=True)  # noqa: PTH118, PTH207
        if found:
            return found
    return []


def is_in(path: Path, folder: Path) -> bool:
    """Whether a path is the folder or lies in it, links followed."""
    real = Path(os.path.realpath(folder))
    place = Path(os.path.realpath(path))
    return real == place or real in place.parents
