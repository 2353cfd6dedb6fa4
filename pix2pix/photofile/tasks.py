"""Which photos to colorize, and into which files, from what a command line names."""

from __future__ import annotations

import mimetypes
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from pix2pix.errors import UserError
from pix2pix.photofile.colorize import COLORIZED, COMPARED, SUFFIXES, target_of
from pix2pix.photofile.patterns import expand, is_in
from pix2pix.photofile.points import SUFFIX as POINTS_SUFFIX
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
    to_file = names_a_file(output, sources)
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


def names_a_file(output: Path | None, sources: list[Path]) -> bool:
    """Whether `output` is to be a file, by its suffix. Raises UserError for a kind of file that is not written."""
    if output is None or output.is_dir() or not output.suffix:
        return False
    suffix = output.suffix.lower()
    if suffix in SUFFIXES:
        holds_16_bits(output)  # raises UserError where this installation cannot write it
        return True
    kind = (mimetypes.guess_type(output.name)[0] or "").partition("/")[0]
    is_known = suffix in FILE_SUFFIXES or suffix in Image.registered_extensions()
    if is_known or kind in ("image", "video", "audio") or os.path.lexists(output):
        raise UserError(
            f"cannot write {output}: photos are written as .jpg .png .tif .webp .avif .heic .jp2 .bmp or .ppm"
            " (a folder of that name has to be made first)"
        )
    return False


def _plan_folder(plan: Plan, folder: Path, output: Path | None, added: str) -> None:
    """Add the photos of a folder and the folders in it."""
    if output and os.path.realpath(output) == os.path.realpath(folder):
        raise UserError(f"the photos of {folder} would be written over themselves; give another folder with -o")
    keeps_out = output and not is_in(folder, output)
    found = results = failed = 0
    others: Counter[str] = Counter()
    for name, error in walk(folder):
        suffix = name.suffix.lower()
        if error:
            reason = f"{error.strerror}, its photos are left out"
            plan.failed.append((folder / name, f"cannot read the folder {folder / name}: {reason}"))
            failed += 1
        elif name.name.startswith(".") or name.name.endswith(POINTS_SUFFIX):
            continue
        elif suffix not in SUFFIXES:
            if not any(part.startswith(".") for part in name.parts):
                others[suffix or "without a suffix"] += 1
        elif name.stem.endswith((COLORIZED, COMPARED)) or (output and keeps_out and is_in(folder / name, output)):
            results += 1
        else:
            found += 1
            plan.tasks.append(Task(folder / name, target_of(folder / name, name, output, added)))
    if results and not found:
        plan.remarks.append(f"{folder} holds nothing but colorized photos ({results}): nothing to do")
    elif not found and not failed:
        plan.failed.append((folder, f"no photos in {folder} (looked for {' '.join(SUFFIXES)})"))
    if others:
        kinds = ", ".join(f"{count} {kind}" for kind, count in others.most_common(8))
        hint = "; a file without a suffix is colorized when it is named" if others["without a suffix"] else ""
        plan.remarks.append(f"{folder}: left out as no photos by their names: {kinds}{hint}")


def walk(folder: Path) -> Iterator[tuple[Path, OSError | None]]:
    """The files of a folder and of those in it, sorted, as paths from the folder on; and what could not be read.

    A folder that cannot be read comes with its error. Links to folders are followed, but to no folder that was seen
    before or that holds `folder` itself: a loop ends.
    """
    root, seen, waiting = os.path.realpath(folder), set(), [str(folder)]
    errors: list[OSError] = []
    while waiting:
        for place, folders, files in os.walk(waiting.pop(0), onerror=errors.append):
            seen.add(os.path.realpath(place))
            inner = Path(place).relative_to(folder)
            paths = {name: os.path.join(place, name) for name in sorted(folders)}  # noqa: PTH118
            folders[:] = [name for name, path in paths.items() if os.path.realpath(path) not in seen]
            waiting += [paths[name] for name in folders if os.path.islink(paths[name])]  # noqa: PTH114
            yield from ((inner / name, None) for name in sorted(files))
        waiting = [path for path in waiting if not _was_seen(path, root, seen)]
    for error in errors:
        yield Path(error.filename).relative_to(folder), error


def _was_seen(link: str, root: str, seen: set[str]) -> bool:
    real = os.path.realpath(link)
    return real in seen or root.startswith(os.path.join(real, ""))  # noqa: PTH118


def _drop_twins_and_clashes(plan: Plan) -> None:
    """A photo named twice, in two spellings, is one task. Two that would go to one file, or one over itself, fail."""
    owners: dict[str, tuple[str, Path]] = {}
    tasks, plan.tasks = plan.tasks, []
    for task in tasks:
        source, target = os.path.realpath(task.source), os.path.realpath(task.target)
        if source == target and task.target != STREAM:
            reason = f"{task.source} would be written over itself; give another file or folder with -o"
            plan.failed.append((task.source, reason))
        elif target not in owners:
            owners[target] = (source, task.source)
            plan.tasks.append(task)
        elif owners[target][0] != source:
            both = f"{owners[target][1]} and {task.source} would both be written to {task.target}"
            plan.failed.append((task.source, f"{both}; colorize the second alone, to another file with -o"))
