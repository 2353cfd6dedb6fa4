"""Which files are films, by their suffix, and which film a film is colorized into."""

from __future__ import annotations

from pathlib import Path

# Those whose containers hold H.264 with exact time stamps; what is read from others is written as Matroska.
KEPT = (".mp4", ".m4v", ".mov", ".mkv", ".ts", ".m2ts", ".mts", ".3gp")
FILM_SUFFIXES = (
    *KEPT,
    *(".webm", ".avi", ".mpg", ".mpeg", ".vob", ".m2v", ".wmv", ".asf", ".flv", ".ogv", ".dv", ".mxf", ".rm", ".divx"),
)


def is_film(path: Path) -> bool:
    return path.suffix.lower() in FILM_SUFFIXES


def added_suffix(path: Path) -> str:
    """What is added to a film's name for the colorized one: ".mkv" where its own container would not do, else ""."""
    return "" if path.suffix.lower() in KEPT else ".mkv"
