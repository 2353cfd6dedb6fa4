"""Which photos to colorize, and into which files, from what a command line names."""

from __future__ import annotations

import mimetypes
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from pix2pix.decoding.opening import RAW_SUFFIXES, begins_as_photo
from pix2pix.errors import UserError
from pix2pix.files import walk_files
from pix2pix.photofile.colorize import COLORIZED, COMPARED, SUFFIXES, target_of
from pix2pix.photofile.films import FILM_SUFFIXES, is_film
from pix2pix.photofile.patterns import expand, is_in
from pix2pix.photofile.write import holds_16_bits

STREAM = Path("-")  # standard input, and standard output
# Of files, not of folders, though neither Pillow nor Python may know them.
FILE_SUFFIXES = (
    ".jxl",
    ".exr",
    ".hdr",
    ".svg",
    ".dng",
    ".cr2",
    ".cr3",
    ".nef",
    ".arw",
    ".raw",
    ".txt",
    ".json",
    ".zip",
)


class Task(NamedTuple):
    """A photo or a film, and the file that it is to be colorized into; either may be STREAM."""

    source: Path
    target: Path


@dataclass
class Plan:
    """`failed` are (source, why not) of what can give no file; `remarks` tell what is left out on purpose."""

    tasks: list[Task] = field(default_factory=list)
    failed: list[tuple[Path, str]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def plan_tasks(sources: list[Path], output: Path | None, added: str = COLORIZED) -> Plan:
    """The tasks for photos, folders (searched recursively), patterns and STREAM.

    `output` is a file for a single photo, or a folder; without it results go beside the photos, `added` to their
    names. What an earlier run wrote is no source: by its name when a folder is searched, beside its photo, or in the
    output folder. Raises UserError for an `output` that cannot be.
    """
    plan = Plan()
    sources = expand(sources, output)
    to_file = names_a_file(output)
    results = {
        os.path.realpath(target_of(source, Path(source.name), None, added))
        for source in sources
        if source.is_file()
        for added in (COLORIZED, COMPARED)
    }
    for source in sources:
        if source == STREAM:
            if output and not to_file:
                raise UserError(f"a photo from standard input needs a file to be written to, not the folder {output}")
            plan.tasks.append(Task(source, output or STREAM))
        elif source.is_dir():
            if to_file:
                raise UserError(f"{output} is one file and {source} a folder; give a folder with -o")
            _plan_folder(plan, source, output, added)
        elif not os.path.lexists(source):
            plan.failed.append((source, f"there is no {source}"))
        elif os.path.realpath(source) not in results:
            target = output if output and to_file else target_of(source, Path(source.name), output, added)
            plan.tasks.append(Task(source, target))
    _drop_twins_and_clashes(plan)
    if to_file and len(plan.tasks) + len(plan.failed) > 1:
        raise UserError(f"{len(sources)} photos cannot all be written to {output}; give a folder with -o")
    return plan


def names_a_file(output: Path | None) -> bool:
    """Whether `output` is to be a file, by its suffix. Raises UserError for a kind of file that is not written."""
    if output is None or output.is_dir() or not output.suffix:
        return False
    suffix = output.suffix.lower()
    if suffix in SUFFIXES and suffix != ".gif":  # which holds too few colors
        holds_16_bits(output)  # raises UserError where this installation cannot write it
        return True
    if is_film(output):
        return True
    kind = mimetypes.guess_type(output.name)[0] or ""
    if suffix in FILE_SUFFIXES or _is_pictures(suffix) or kind[:6] in ("video/", "audio/") or os.path.lexists(output):
        raise UserError(
            f"cannot write {output}: photos are written as .jpg .png .tif .webp .avif .heic .jp2 .bmp or .ppm"
            " (a folder of that name has to be made first)"
        )
    return False


def _plan_folder(plan: Plan, folder: Path, output: Path | None, added: str) -> None:
    """Add the photos of a folder and of all below it."""
    if output and os.path.realpath(output) == os.path.realpath(folder):
        raise UserError(f"the photos of {folder} would be written over themselves; give another folder with -o")
    leave_out = output if output and not is_in(folder, output) else None
    found, results, problems = 0, 0, list[str]()
    others: Counter[str] = Counter()
    for place, files in walk_files(folder, problems):
        inner = Path(place).relative_to(folder.absolute())
        for name in (inner / file for file in files if not file.startswith(".")):
            if not is_photo_name(folder / name):
                others[name.suffix.lower()] += 1
            elif is_result_name(name) or (leave_out and is_in(folder / name, leave_out)):
                results += 1
            else:
                found += 1
                plan.tasks.append(Task(folder / name, target_of(folder / name, name, output, added)))
    plan.failed += [(folder, f"{problem}; its photos are left out") for problem in problems]
    if results and not found:
        plan.remarks.append(f"{folder} holds nothing but colorized photos ({results}): nothing to do")
    elif not found and not problems:
        plan.failed.append((folder, f"no photos in {folder} (looked for {' '.join(SUFFIXES)}, and films)"))
    if kinds := ", ".join(f"{count} {suffix}" for suffix, count in others.most_common() if _is_pictures(suffix)):
        plan.remarks.append(f"{folder}: left out, since they cannot be read: {kinds}")


def is_photo_name(path: Path) -> bool:
    """Whether a file is a photo or a film: by its suffix; where it has none, by how the file begins."""
    return path.suffix.lower() in (*SUFFIXES, *FILM_SUFFIXES) if path.suffix else begins_as_photo(str(path))


def is_result_name(name: Path) -> bool:
    """Whether an earlier run gave a file its name, which may have a second suffix, as in film-colorized.avi.mkv."""
    return any(stem.endswith((COLORIZED, COMPARED)) for stem in (name.stem, Path(name.stem).stem))


def _is_pictures(suffix: str) -> bool:
    """Whether files with this suffix are pictures that are not read."""
    kind = mimetypes.guess_type(f"a{suffix}")[0] or ""
    return suffix in RAW_SUFFIXES or suffix in Image.registered_extensions() or kind.startswith("image/")


def _drop_twins_and_clashes(plan: Plan) -> None:
    """A photo named twice, in two spellings, is one task; the second of two for one file fails; so does one over a
    photo."""
    tasks, plan.tasks = plan.tasks, []
    photos = {os.path.realpath(task.source): task.source for task in tasks}
    owners: dict[str, tuple[str, Path]] = {}
    for task in tasks:
        source, target = os.path.realpath(task.source), os.path.realpath(task.target)
        if target in photos and task.target != STREAM:
            over = "itself" if source == target else f"the photo {photos[target]}"
            reason = f"{task.source} would be written over {over}; give another file or folder with -o"
            plan.failed.append((task.source, reason))
        elif target not in owners:
            owners[target] = (source, task.source)
            plan.tasks.append(task)
        elif owners[target][0] != source:
            both = f"{owners[target][1]} and {task.source} would both be written to {task.target}"
            plan.failed.append((task.source, f"{both}; colorize the second alone, to another file with -o"))
