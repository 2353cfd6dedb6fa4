"""Colorizing a film into another one, written whole or not at all, with everything that was in it."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from tqdm import tqdm

from pix2pix.errors import UserError, lacks_memory
from pix2pix.files import replacing
from pix2pix.hints import Point
from pix2pix.inference import Colorizer
from pix2pix.photofile.films import FILM_SUFFIXES
from pix2pix.photofile.folder import Results
from pix2pix.photofile.read import MAX_PIXELS
from pix2pix.photofile.tasks import Task
from pix2pix.threads import computing_threads
from pix2pix.video.ahead import ahead
from pix2pix.video.canvas import Canvas, beside_gray, choose_format
from pix2pix.video.planes import fill_chroma, luma_of
from pix2pix.video.reading import open_film
from pix2pix.video.steady import steady_colors
from pix2pix.video.view import Colored, Colors, View
from pix2pix.video.writing import Encoder, Writer

if TYPE_CHECKING:
    from av import Packet

AHEAD = 8  # frames that wait between two of the threads that decode, predict and encode
STOPPED = 600  # seconds after which an unfinished film that nothing was added to is one of a stopped run


def colorize_film(
    colorizer: Colorizer,
    source: Path,
    target: Path,
    *,
    name: str,
    max_pixels: int = MAX_PIXELS,
    compare: bool = False,
    points: Sequence[Point] = (),
    encoder: Encoder | None = None,
    colors: Colors = steady_colors,
    show_progress: bool = True,
) -> list[str]:
    """Colorize the film `source` into the file `target`; returns what the user should know.

    With `compare` gray and color side by side. Raises UserError, naming the film by `name` and saying the reason, and
    then leaves no `target`, or the one that was there. A run that is stopped leaves nothing: the next starts anew.
    """
    encoder = encoder or Encoder()
    if target.suffix.lower() not in FILM_SUFFIXES:
        raise UserError(
            f"films cannot be written as {target.suffix or 'files without a suffix'}; use .mp4, .mov or .mkv"
        )
    started = time.perf_counter()
    film = open_film(source, name, max_pixels)
    with closing(film.container):
        try:
            view = View(colorizer, film, Canvas(film.first, choose_format(encoder.codec, film.first), name), points)
            notes = remove_unfinished(target)
            target.parent.mkdir(parents=True, exist_ok=True)
            with replacing(target) as temporary:
                count, written = _write(view, temporary, target, encoder, colors, compare=compare, shown=show_progress)
        except (MemoryError, RuntimeError) as error:
            if not lacks_memory(error):
                raise
            raise UserError(
                f"{name} needs more memory than there is; close other programs, or use --device cpu"
            ) from error
        except OSError as error:
            raise UserError(f"cannot write {target}: {error.strerror or error}") from error
        except (KeyboardInterrupt, SystemExit):
            print(f"{target} was not finished and is not kept; the same command starts it anew", file=sys.stderr)
            raise
    seconds = time.perf_counter() - started
    return [*notes, *film.notes, *view.notes, *written, f"{count} frames, {count / seconds:.1f} a second"]


def colorize_films(
    colorizer: Colorizer,
    tasks: Iterable[Task],
    points_of: Callable[[Task], tuple[Sequence[Point], list[str]]],
    *,
    encoder: Encoder,
    max_pixels: int,
    compare: bool,
) -> Results:
    """Colorize films one after the other; gives each task with what the user should know, or with why it failed.

    `points_of` gives a task's points and what to say of them, or raises UserError.
    """
    for task in tasks:
        result: list[str] | UserError
        try:
            points, notes = points_of(task)
            result = notes + colorize_film(
                colorizer,
                task.source,
                task.target,
                name=str(task.source),
                max_pixels=max_pixels,
                compare=compare,
                points=points,
                encoder=encoder,
            )
        except UserError as error:
            result = error
        yield task, result


def remove_unfinished(target: Path) -> list[str]:
    """Remove what a run that was killed has left of `target`, and say so."""
    pattern = re.compile(rf"\.{re.escape(target.stem)}-[0-9a-f]{{8}}{re.escape(target.suffix)}")
    found = [path for path in target.parent.glob(".*") if pattern.fullmatch(path.name)]
    left = [path for path in found if time.time() - path.stat().st_mtime > STOPPED]
    for path in left:
        path.unlink(missing_ok=True)
    return ["a stopped run's unfinished film was removed and begun anew"] if left else []


def _write(
    view: View, temporary: Path, target: Path, encoder: Encoder, colors: Colors, *, compare: bool, shown: bool
) -> tuple[int, list[str]]:
    """Write the film into `temporary`; returns how many frames it has, and the notes about the file `target`.

    Decoding, steadying what the network predicts in threads of its own, and filling chroma and encoding, go on at the
    same time, in three threads.
    """
    film, cores = view.film, torch.get_num_threads()
    each = 1 if view.colorizer.device.type == "cpu" else cores  # of PyTorch's threads
    count = 0
    writer: Writer | None = None
    progress = tqdm(total=film.frame_count, unit="frame", desc=film.name, leave=False, disable=None if shown else True)
    with (
        progress,
        computing_threads(each),
        ahead(film.items, AHEAD, computing=each) as decoded,
        ahead(view.colorized(decoded, colors, cores), AHEAD, computing=each) as colorized,
    ):
        early: list[Packet] = []  # those before the first frame
        try:
            for item in colorized:
                if not isinstance(item, Colored):
                    if writer:
                        writer.write(item)
                    else:
                        early.append(item)
                    continue
                frame = item.frame
                fill_chroma(frame, item.chroma, luma_of(frame, item.coding), item.coding)
                if compare:
                    frame = beside_gray(frame, item.coding)
                if not writer:
                    writer = Writer(temporary, target, film, encoder, frame, item.coding)
                    for packet in early:
                        writer.write(packet)
                writer.write(frame)
                count += 1
                progress.update()
            assert writer
            writer.finish()
        finally:
            if writer:
                writer.abandon()
    return count, writer.notes
