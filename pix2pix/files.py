"""Files are written whole or not at all: under a temporary name beside the target, then renamed."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from pix2pix.errors import UserError

RANDOM_PART = len(".-12345678")  # what the temporary name has and the final one has not
SHORT = 40  # bytes; a name this short may grow


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, with its suffix; it takes `path`'s place when the block ends without error.

    The file has the permissions that any new file gets: they are never changed, which some disks do not allow (CIFS,
    FUSE). Threads may use this at the same time.
    """
    temporary = _new_file_beside(path)
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _new_file_beside(path: Path) -> Path:
    """An empty hidden file of its own, with a name no longer than a long name of `path` (disks have limits)."""
    stem = path.stem
    while stem and len(os.fsencode(stem)) + RANDOM_PART > max(len(os.fsencode(path.stem)), SHORT):
        stem = stem[:-1]  # whole characters: some disks want valid UTF-8
    while True:
        temporary = path.with_name(f".{stem}-{secrets.token_hex(4)}{path.suffix}")
        try:
            temporary.touch(exist_ok=False)
            return temporary
        except FileExistsError:
            continue


def refuse_special(path: Path, name: str) -> None:
    """Raises UserError for a folder, and for a pipe or a device, whose reading might never end."""
    if path.exists() and not path.is_file():
        raise UserError(f"{name} is {'a folder' if path.is_dir() else 'no regular file'}, not a file to read")


class Listing(NamedTuple):
    """What a folder holds, sorted: names of folders, paths of links to folders, names of files; whether no entry is a
    link."""

    folders: list[str]
    links: list[str]
    files: list[str]
    without_links: bool


def list_folder(place: str) -> Listing:
    """Raises OSError when the folder cannot be read."""
    folders, links, files, linked = [], [], [], False
    with os.scandir(place) as entries:
        for entry in entries:
            link = entry.is_symlink()
            linked = linked or link
            try:
                is_folder = entry.is_dir()
            except OSError:  # a link to itself
                is_folder = False
            if not is_folder:
                files.append(entry.name)
            elif link:
                links.append(entry.path)
            else:
                folders.append(entry.name)
    return Listing(sorted(folders), sorted(links), sorted(files), not linked)


def walk_files(
    folder: Path,
    problems: list[str],
    lister: Callable[[str, os.stat_result], Listing] = lambda place, stat: list_folder(place),
) -> Iterator[tuple[str, list[str]]]:
    """(folder, names of its files, sorted) for a folder and all below it; each begins with `folder.absolute()`.

    Links to folders are followed last, and no folder is searched twice: a loop ends. A folder that cannot be read is
    named in `problems`. `lister` gives what a folder holds, by its path and state.
    """
    searched: set[tuple[int, int]] = set()
    links = [str(folder.absolute())]
    while links:
        waiting = [links.pop(0)]
        while waiting:
            place = waiting.pop()
            try:
                stat = os.stat(place)  # noqa: PTH116
                if (stat.st_dev, stat.st_ino) in searched:
                    continue
                searched.add((stat.st_dev, stat.st_ino))
                listing = lister(place, stat)
            except OSError as error:
                problems.append(f"cannot read the folder {place}: {error.strerror}")
                continue
            links += listing.links
            waiting += [os.path.join(place, name) for name in reversed(listing.folders)]  # noqa: PTH118
            yield place, listing.files


def write_json(path: Path, value: Any) -> None:  # noqa: ANN401
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2) + "\n")


def append_json_line(path: Path, value: dict[str, Any]) -> None:
    with path.open("a") as file:
        file.write(json.dumps(value) + "\n")


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a file that only grows; an incomplete last line, of a run that was killed, is skipped."""
    lines = []
    for text in path.read_text().splitlines() if path.exists() else []:
        try:
            lines.append(json.loads(text))
        except ValueError:
            break
    return lines
