"""Colorize black-and-white photos, at their own size.

%(prog)s photo.jpg                     # writes photo-colorized.jpg beside it
%(prog)s scans/ "more/*.tif"           # folders (searched recursively), patterns and several photos
%(prog)s scans/ -o color/              # into a folder, with the same names and subfolders
%(prog)s - < photo.jpg > color.jpg
%(prog)s photo.jpg --point 412,230,#c0392b --point 90,300,navy     # these colors at these pixels
%(prog)s photo.jpg --weights runs/002-gan --strength 1.3 --compare
torchrun --nproc_per_node=2 colorize.py scans/ -o color/    # the photos shared out to two processes
%(prog)s film.mp4 --crf 14             # films too, with their sound: writes film-colorized.mp4
%(prog)s --serve                       # a page in the browser to drop photos on, at http://127.0.0.1:7860

A file scan.points.json beside scan.jpg holds points of color for it, and is used without a flag:
{"points": [{"x": 412, "y": 230, "color": "#c0392b"}]}
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from pix2pix.distributed import World, join_world
from pix2pix.errors import UserError, run_script
from pix2pix.hints import Point
from pix2pix.inference import Colorizer
from pix2pix.photofile.colorize import COLORIZED, COMPARED, colorize_file
from pix2pix.photofile.films import is_film
from pix2pix.photofile.folder import Results, colorize_files
from pix2pix.photofile.outcomes import Outcomes
from pix2pix.photofile.points import parse_point, points_beside, read_points
from pix2pix.photofile.read import MAX_PIXELS, format_of
from pix2pix.photofile.tasks import STREAM, Task, plan_tasks
from pix2pix.video.colorize import colorize_films
from pix2pix.video.writing import Encoder

# What standard output gets for a photo from standard input: the same format, or else PNG.
STREAM_SUFFIXES = {"JPEG": ".jpg", "MPO": ".jpg", "TIFF": ".tif", "WEBP": ".webp", "BMP": ".bmp"}

NOT_OF_THE_PAGE = ("output", "point", "points", "no_points", "compare", "overwrite", "json", "codec", "crf")


def run() -> None:
    """The command `pix2pix-colorize`."""
    run_script(main)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("photos", type=Path, nargs="*", metavar="PHOTO", help="photos, folders, patterns, or - for standard input")
    add("-o", "--output", type=Path, help="the file for a single photo, else a folder (default: beside each photo)")
    add("--weights", type=Path, metavar="FILE|RUN", help="default: the shipped weights, else the latest run's")
    add("--strength", type=float, default=1.0, help="of the colors, 0 (gray) to 2 (default: 1)")
    add("--point", action="append", default=[], metavar="X,Y,COLOR", help="ask for a color, #rrggbb or a CSS name, at "
        "this pixel of the upright photo, from its top left; repeatable")  # fmt: skip
    add("--points", type=Path, metavar="FILE", help="a points file, instead of PHOTO.points.json beside each photo")
    add("--no-points", action="store_true", help="leave points files beside the photos unused")
    add("--size", type=int, help="short side in pixels that the network sees (default: as trained); a larger one sees "
        "smaller things, is slower, and far from the default gives worse colors")  # fmt: skip
    add("--compare", action="store_true", help="write gray and color side by side")
    add("--overwrite", action="store_true", help="replace colorized photos that are already there")
    add("--json", action="store_true", help="print one line of JSON for each photo, for programs")
    add("--max-pixels", type=float, default=MAX_PIXELS / 1e6, metavar="MILLIONS", help="refuse larger photos")
    add("--codec", help="of films: an encoder of FFmpeg, as libx265 or libvpx-vp9 (default: libx264)")
    add("--crf", type=float, help="of films: the encoder's quality, lower is better (default: 16 with libx264, "
        "near-transparent)")  # fmt: skip
    add("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    add("--runs", type=Path, default=Path("runs"), help="the folder of all runs")
    add("--serve", action="store_true", help="a page in the browser instead, to drop photos on")
    add("--host", default="127.0.0.1", help="the address it listens on; 0.0.0.0 lets others in (default: 127.0.0.1)")
    add("--port", type=int, default=7860, help="its port (default: 7860)")
    args = parser.parse_args()
    if bool(args.photos) == args.serve:
        parser.error("name photos to colorize, or give --serve alone")
    given = [name for name in NOT_OF_THE_PAGE if getattr(args, name) != parser.get_default(name)]
    if args.serve and given:
        parser.error(f"--serve takes no --{given[0].replace('_', '-')}: the page has its own ways")
    if not 1 <= args.port <= 65535:
        parser.error("--port must be between 1 and 65535")
    if not 0 <= args.strength <= 2:
        parser.error("--strength must be between 0 and 2")
    if args.size is not None and not 32 <= args.size <= 4096:
        parser.error("--size must be between 32 and 4096")
    if not 0 < args.max_pixels < math.inf:
        parser.error("--max-pixels must be above 0, and a number")
    if args.crf is not None and not 0 <= args.crf <= 63:
        parser.error("--crf must be between 0 and 63")
    if STREAM in args.photos and (len(args.photos) > 1 or args.json):
        parser.error("- is a single photo from standard input: name no others with it, and no --json")
    return args


@dataclass(frozen=True)
class AskedPoints:
    """The points that the flags give, for every photo, and whether points files beside the photos count."""

    given: tuple[Point, ...]
    beside: bool

    @classmethod
    def of(cls, args: argparse.Namespace) -> AskedPoints:
        """Raises UserError for what is no point, and for a points file that cannot be read."""
        given = tuple(parse_point(text) for text in args.point)
        if args.points:
            given = (*read_points(args.points), *given)
        return cls(given, beside=not (args.points or args.no_points))

    def file_of(self, source: Path) -> Path | None:
        return points_beside(source) if self.beside and source != STREAM else None

    def __call__(self, task: Task) -> tuple[Sequence[Point], list[str]]:
        """A task's points and what to say of them. Raises UserError for a points file that cannot be read."""
        file = self.file_of(task.source)
        if file is None:
            return self.given, []
        points = read_points(file)
        return (*points, *self.given), [f"with {len(points)} point{'s' * (len(points) != 1)} of {file.name}"]


def main() -> int:
    args = parse_args()
    if args.serve:
        return serve_page(args)
    world = join_world()
    points = AskedPoints.of(args)
    outcomes = Outcomes(as_json=args.json)
    plan = plan_tasks(args.photos, args.output, COMPARED if args.compare else COLORIZED)
    if (args.codec or args.crf is not None) and not any(is_film(task.source) for task in plan.tasks):
        raise UserError("--codec and --crf are for films, and none is named")
    if world.is_main:
        for source, reason in plan.failed:
            outcomes.add(source, None, "failed", reason)
        for remark in plan.remarks:
            outcomes.remark(remark)
    waiting = []
    for task in plan.tasks[world.rank :: world.size]:  # of all, whichever of them are done already
        if args.overwrite or not is_done(task, points):
            waiting.append(task)
        else:
            how = "colorizes it again, with these points" if points.given else "replaces it"
            note = f"already there, left as it is (--overwrite {how})"
            outcomes.add(task.source, task.target, "skipped", note)
    if waiting:
        hidden = len(waiting) == 1 or not world.is_main or None  # None: shown on terminals alone
        progress = tqdm(total=len(waiting), unit="photo", disable=hidden)
        with progress:
            for task, result in colorize(waiting, points, args, world):
                if isinstance(result, UserError):
                    outcomes.add(task.source, task.target, "failed", str(result))
                else:
                    outcomes.add(task.source, task.target, "done", "; ".join(result))
                progress.update()
    outcomes.summarize()
    return 1 if outcomes.failed else 0


def is_done(task: Task, points: AskedPoints) -> bool:
    """Whether a task's target is there and no older than the points file that it depends on."""
    if task.target == STREAM or not os.path.lexists(task.target):
        return False
    file = points.file_of(task.source)
    return file is None or file.stat().st_mtime_ns < os.lstat(task.target).st_mtime_ns


def colorize(tasks: list[Task], points: AskedPoints, args: argparse.Namespace, world: World) -> Results:
    """Load the network and colorize; raises UserError where that cannot be done for any task."""
    device = device_of(world, args.device)
    colorizer = Colorizer(args.weights, strength=args.strength, size=args.size, device=device, runs=args.runs)
    if points.given and not colorizer.takes_points:
        raise UserError(f"the weights {colorizer.weights} take no points of color; give others with --weights")
    options = {"max_pixels": round(args.max_pixels * 1e6), "compare": args.compare}
    if tasks[0].source == STREAM:
        yield tasks[0], colorize_stream(colorizer, tasks[0].target, points=points.given, **options)
    else:
        photos, films = ([task for task in tasks if is_film(task.source) is kind] for kind in (False, True))
        yield from colorize_files(colorizer, photos, points, **options)
        yield from colorize_films(colorizer, films, points, encoder=Encoder(args.codec, args.crf), **options)


def colorize_stream(colorizer: Colorizer, target: Path, **options: Any) -> list[str]:  # noqa: ANN401
    """Colorize the photo from standard input, with `colorize_file`'s options, into `target`, which may be STREAM."""
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


def device_of(world: World, name: str) -> str:
    """The device called `name`; of several processes on a machine, each takes the next of its GPUs."""
    if world.size > 1 and name in ("auto", "cuda") and torch.cuda.is_available():
        return f"cuda:{world.local_rank % torch.cuda.device_count()}"
    return name


def serve_page(args: argparse.Namespace) -> int:
    from pix2pix.web.page import serve  # needs an extra

    colorizer = Colorizer(args.weights, size=args.size, device=args.device, runs=args.runs)
    serve(colorizer, host=args.host, port=args.port, max_pixels=round(args.max_pixels * 1e6), strength=args.strength)
    return 0
