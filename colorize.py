"""Colour black-and-white photos, at their own size.

python colorize.py photo.jpg                   # writes photo-colorized.jpg beside it
python colorize.py scans/ "more/*.tif"         # folders (searched recursively), patterns and several photos
python colorize.py scans/ -o coloured/         # into a folder, with the same names and subfolders
python colorize.py - < photo.jpg > coloured.jpg
python colorize.py photo.jpg --weights runs/002-gan --strength 1.3 --compare
torchrun --nproc_per_node=2 colorize.py scans/ -o coloured/    # the photos shared out to two processes
python colorize.py --serve                     # a page in the browser to drop photos on, at http://127.0.0.1:7860
"""

from __future__ import annotations

import argparse
import glob
import json
import math
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import torch
from tqdm import tqdm

from pix2pix.data.photos import find_photos
from pix2pix.distributed import World, join_world
from pix2pix.errors import UserError, one_line, run_script
from pix2pix.inference import Colorizer
from pix2pix.photofile.colorize import COLORIZED, COMPARED, SUFFIXES, colorize_file, target_of
from pix2pix.photofile.read import MAX_PIXELS, format_of

STREAM = Path("-")  # standard input, and standard output, which is written in the same format or as PNG
STREAM_SUFFIXES = {"JPEG": ".jpg", "MPO": ".jpg", "TIFF": ".tif", "WEBP": ".webp", "BMP": ".bmp"}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("photos", type=Path, nargs="*", metavar="PHOTO", help="photos, folders, patterns, or - for standard input")
    add("-o", "--output", type=Path, help="the file for a single photo, else a folder (default: beside each photo)")
    add("--weights", type=Path, metavar="FILE|RUN", help="default: the shipped weights, else the latest run's")
    add("--strength", type=float, default=1.0, help="of the colours, 0 (gray) to 2 (default: 1)")
    add("--size", type=int, help="short side in pixels that the network sees (default: as trained); a larger one sees "
        "smaller things, is slower, and far from the default colours worse")  # fmt: skip
    add("--compare", action="store_true", help="write gray and colour side by side")
    add("--overwrite", action="store_true", help="replace coloured photos that are already there")
    add("--json", action="store_true", help="print one line of JSON a photo, for programs")
    add("--max-pixels", type=float, default=MAX_PIXELS / 1e6, metavar="MILLIONS", help="refuse larger photos")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    add("--runs", type=Path, default=Path("runs"), help="the folder of all runs")
    add("--serve", action="store_true", help="a page in the browser instead, to drop photos on")
    add("--host", default="127.0.0.1", help="the address it listens on; 0.0.0.0 lets others in (default: 127.0.0.1)")
    add("--port", type=int, default=7860, help="its port (default: 7860)")
    args = parser.parse_args()
    if bool(args.photos) == args.serve:
        parser.error("name photos to colour, or give --serve alone")
    if not 1 <= args.port <= 65535:
        parser.error("--port must be between 1 and 65535")
    if not 0 <= args.strength <= 2:
        parser.error("--strength must be between 0 and 2")
    if args.size is not None and not 32 <= args.size <= 4096:
        parser.error("--size must be between 32 and 4096")
    if not 0 < args.max_pixels < math.inf:
        parser.error("--max-pixels must be above 0, and a number")
    if STREAM in args.photos and (len(args.photos) > 1 or args.json):
        parser.error("- is a single photo from standard input: name no others with it, and no --json")
    return args


def main() -> int:
    args = parse_args()
    if args.serve:
        return serve_page(args)
    world = join_world()
    report = Report(as_json=args.json)
    tasks, failed = plan(args.photos, args.output, COMPARED if args.compare else COLORIZED)
    if world.is_main:
        for source, reason in failed:
            report(source, None, "failed", reason)
    waiting = []
    for source, target in tasks[world.rank :: world.size]:  # of all, whichever of them are done already
        if target != STREAM and target.exists() and not args.overwrite:
            report(source, target, "skipped", "already there, left as it is (--overwrite replaces it)")
        else:
            waiting.append((source, target))
    if waiting:
        device = device_of(world, args.device)
        colorizer = Colorizer(args.weights, strength=args.strength, size=args.size, device=device, runs=args.runs)
        for source, target in tqdm(waiting, unit="photo", disable=len(waiting) == 1 or not world.is_main):
            try:
                notes = colorize_one(colorizer, source, target, args)
                report(source, target, "done", "; ".join(notes))
            except UserError as error:
                report(source, target, "failed", str(error))
    report.summarize()
    return 1 if report.failed else 0


def device_of(world: World, name: str) -> str:
    """The device called `name`; of several processes on a machine, each takes the next of its GPUs."""
    if world.size > 1 and name in ("auto", "cuda") and torch.cuda.is_available():
        return f"cuda:{world.local_rank % torch.cuda.device_count()}"
    return name


class Report:
    """Tells what became of every photo, for people or, as JSON lines, for programs; and counts."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.counts: Counter[str] = Counter()
        self.failed: list[str] = []
        self.started = time.perf_counter()

    def __call__(self, source: Path, target: Path | None, status: str, note: str = "") -> None:
        """`status` is "done", "skipped" or "failed"; `note` says why."""
        self.counts[status] += 1
        if status == "failed":
            self.failed.append(note)
        if self.as_json:
            line = {"status": status, "photo": str(source), "written": str(target) if status == "done" else None}
            tqdm.write(json.dumps(line | {"note": note}))
        elif status == "failed":
            tqdm.write(f"error: {note}", file=sys.stderr)
        elif target != STREAM:
            arrow = f"{source} -> {target}" if status == "done" else f"{target}"
            tqdm.write(one_line(arrow + (f": {note}" if note else "")))

    def summarize(self) -> None:
        """For more than one photo: the counts, the time, and once more what failed."""
        if sum(self.counts.values()) < 2:
            return
        seconds = time.perf_counter() - self.started
        print(
            f"{self.counts['done']} coloured, {self.counts['skipped']} already there, {self.counts['failed']} failed, "
            f"in {seconds:.0f} s",
            file=sys.stderr,
        )
        if self.failed:
            print("failed:", *self.failed, sep="\n  ", file=sys.stderr)


def plan(
    sources: list[Path], output: Path | None, added: str
) -> tuple[list[tuple[Path, Path]], list[tuple[Path, str]]]:
    """(photo, where its coloured version goes) of every photo, and (source, why not) of the sources that give none.

    What an earlier run wrote is no source: by its name when a folder is searched, beside its photo, or in the output
    folder. Raises UserError when two photos would be written to one file, or one over itself.
    """
    tasks: list[tuple[Path, Path]] = []
    failed: list[tuple[Path, str]] = []
    to_file = output is not None and output.suffix.lower() in SUFFIXES and not output.is_dir()
    sources = expand(sources, output)
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
            tasks.append((source, output or STREAM))
        elif not source.is_dir():
            if not source.exists():
                failed.append((source, f"there is no {source}"))
            elif os.path.realpath(source) not in results:
                tasks.append((source, output if to_file else target_of(source, Path(source.name), output, added)))
        elif to_file:
            raise UserError(f"{output} is one file and {source} a folder; give a folder with -o")
        else:
            try:
                names = [Path(photo.name) for photo in find_photos([source], SUFFIXES)]
            except UserError as error:
                failed.append((source, str(error)))
                continue
            names = [name for name in names if not name.stem.endswith((COLORIZED, COMPARED))]
            if output and not is_in(source, output):
                names = [name for name in names if not is_in(source / name, output)]
            tasks += [(source / name, target_of(source / name, name, output, added)) for name in names]
    unique: dict[tuple[str, str], tuple[Path, Path]] = {}  # a photo may be named twice, in two spellings
    for source, target in tasks:
        unique.setdefault((os.path.realpath(source), os.path.realpath(target)), (source, target))
    if to_file and len(unique) > 1:
        raise UserError(f"{len(unique)} photos cannot all be written to {output}; give a folder with -o")
    owner: dict[str, Path] = {}
    for (real_source, real_target), (source, target) in unique.items():
        if target != STREAM and real_target == real_source:
            raise UserError(f"{source} would be written over itself; give another file or folder with -o")
        if owner.setdefault(real_target, source) != source:
            raise UserError(f"{owner[real_target]} and {source} would both be written to {target}")
    return list(unique.values()), failed


def expand(sources: list[Path], output: Path | None) -> list[Path]:
    """The sources, patterns replaced by what they stand for, where the shell has not done it.

    The output folder, and what of a pattern lies in it, is left out if anything else is named.
    """
    found = []
    for source in sources:
        matches = [] if source == STREAM or source.exists() else sorted(glob.glob(str(source), recursive=True))  # noqa: PTH207
        paths = [Path(match) for match in matches]
        found += [path for path in paths if not (output and is_in(path, output))] or paths or [source]
    return [path for path in found if not (output and os.path.realpath(path) == os.path.realpath(output))] or found


def is_in(path: Path, folder: Path) -> bool:
    """Whether a path is the folder or lies in it, links followed."""
    real = Path(os.path.realpath(folder))
    place = Path(os.path.realpath(path))
    return real == place or real in place.parents


def colorize_one(colorizer: Colorizer, source: Path, target: Path, args: argparse.Namespace) -> list[str]:
    """Colour a task's photo; returns what the user should know of it. Raises UserError naming it and the reason."""
    options = {"max_pixels": round(args.max_pixels * 1e6), "compare": args.compare}
    if source != STREAM:
        return colorize_file(colorizer, source, target, name=str(source), **options)
    if sys.stdin is None or sys.stdout is None:
        raise UserError("standard input and output are needed for -, and one of them is closed")
    content, name = sys.stdin.buffer.read(), "standard input"
    if target != STREAM:
        return colorize_file(colorizer, content, target, name=name, **options)
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder, f"photo{STREAM_SUFFIXES.get(format_of(content, name), '.png')}")
        notes = colorize_file(colorizer, content, written, name=name, **options)
        sys.stdout.buffer.write(written.read_bytes())
    return notes


def serve_page(args: argparse.Namespace) -> int:
    from pix2pix.web.page import serve  # needs an extra

    colorizer = Colorizer(args.weights, size=args.size, device=args.device, runs=args.runs)
    serve(colorizer, host=args.host, port=args.port, max_pixels=round(args.max_pixels * 1e6), strength=args.strength)
    return 0


if __name__ == "__main__":
    run_script(main)
