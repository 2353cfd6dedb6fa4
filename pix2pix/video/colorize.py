"""Colorizing a film into another one, written whole or not at all, with everything that was in it."""

from __future__ import annotations

import re
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm

from pix2pix.errors import UserError, lacks_memory
from pix2pix.files import replacing
from pix2pix.hints import Point
from pix2pix.inference import Colorizer, larger
from pix2pix.photofile.read import MAX_PIXELS
from pix2pix.video.ahead import ahead
from pix2pix.video.canvas import Canvas, beside_gray, choose_format
from pix2pix.video.planes import Coding, chroma_of, fill_chroma, luma_of, small_lightness
from pix2pix.video.points import ActivePoints, Schedule, check_film_points
from pix2pix.video.predict import predict_frame
from pix2pix.video.reading import Film, open_film
from pix2pix.video.steady import Predict, Seen, steady_colors
from pix2pix.video.writing import Encoder, Writer

if TYPE_CHECKING:
    from av import Packet, VideoFrame

AHEAD = 8  # frames that wait between two of the threads that decode, predict and encode
STOPPED = 600  # seconds after which an unfinished film that nothing was added to is one of a stopped run

Colors = Callable[[Iterable[Seen], Predict], Iterator[Tensor]]


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


def remove_unfinished(target: Path) -> list[str]:
    """Remove what a run that was killed has left of `target`, and say so."""
    pattern = re.compile(rf"\.{re.escape(target.stem)}-[0-9a-f]{{8}}{re.escape(target.suffix)}")
    found = [path for path in target.parent.glob(".*") if pattern.fullmatch(path.name)]
    left = [path for path in found if time.time() - path.stat().st_mtime > STOPPED]
    for path in left:
        path.unlink(missing_ok=True)
    return ["a stopped run's unfinished film was removed and begun anew"] if left else []


class Waiting(NamedTuple):
    """A frame whose colors are not known yet."""

    frame: VideoFrame
    coding: Coding
    lightness: Tensor


class View:
    """How the network sees a film: upright, in the shape that players show it, at its working size."""

    def __init__(self, colorizer: Colorizer, film: Film, canvas: Canvas, points: Sequence[Point]) -> None:
        """Raises UserError for points outside the frames, and with weights that take none."""
        self.colorizer, self.film, self.canvas = colorizer, film, canvas
        first = film.first
        self.turns = round(first.rotation / 90) % 4
        stretch = float(film.stream.sample_aspect_ratio or 1)
        height, width, shown_width = first.height, first.width, first.width * stretch
        if self.turns % 2:
            self.upright, shown = (width, height), (shown_width, height)
        else:
            self.upright, shown = (height, width), (height, shown_width)
        self.size = colorizer.working_size(max(round(shown[0]), 1), max(round(shown[1]), 1))
        self.points = points
        if points:
            if not colorizer.takes_points:
                raise UserError(f"{film.name} has points, but {colorizer.weights} takes none; give other weights")
            check_film_points(points, film, self.upright[1], self.upright[0])
        self.schedule = Schedule(points)
        self.active = ActivePoints(self.upright[1], self.upright[0])

    @property
    def notes(self) -> list[str]:
        return [*self.canvas.notes, *self.schedule.notes]

    def colorized(
        self, items: Iterable[Packet | VideoFrame], colors: Colors
    ) -> Iterator[tuple[VideoFrame, Coding, Tensor] | Packet]:
        """Frames to write, with the coding of their planes and small Cb and Cr (1, 2, h, w), and packets between."""
        import av

        waiting: deque[Waiting | Packet] = deque()

        def seen() -> Iterator[Seen]:
            number = 0
            for item in items:
                if not isinstance(item, av.VideoFrame):
                    waiting.append(item)
                    continue
                frame, coding = self.canvas(item)
                lightness = torch.rot90(
                    small_lightness(luma_of(frame, coding), self._turned(self.seen_size)), self.turns, (2, 3)
                )
                waiting.append(Waiting(frame, coding, lightness))
                yield lightness, self.schedule.begin(number, self._seconds(frame))
                number += 1

        for ab in colors(seen(), self.predict):
            while not isinstance(waiting[0], Waiting):
                yield waiting.popleft()
            frame, coding, lightness = waiting.popleft()
            yield frame, coding, torch.rot90(chroma_of(lightness, ab, coding), -self.turns, (2, 3))
        while waiting:
            yield waiting.popleft()

    def predict(self, lightness: Tensor, begun: Sequence[Point], cut: bool) -> Tensor:
        """The network's ab for a frame, with the points that count there."""
        points = self.active(lightness, begun, cut) if self.points else ()
        return predict_frame(self.colorizer, lightness, self.size, points, self.upright)

    @property
    def seen_size(self) -> tuple[int, int]:
        return larger(self.size)

    def _turned(self, size: tuple[int, int]) -> tuple[int, int]:
        """An upright (height, width) as it is in the planes."""
        return size[::-1] if self.turns % 2 else size

    def _seconds(self, frame: VideoFrame) -> float:
        """A frame's time since the film's first."""
        return float((frame.pts - self.film.first.pts) * self.film.stream.time_base)


def _write(
    view: View, temporary: Path, target: Path, encoder: Encoder, colors: Colors, *, compare: bool, shown: bool
) -> tuple[int, list[str]]:
    """Write the film into `temporary`; returns how many frames it has, and the notes about the file `target`.

    Decoding, the network, and filling chroma and encoding, go on at the same time, in three threads.
    """
    film = view.film
    count, writer = 0, None
    progress = tqdm(total=film.frame_count, unit="frame", desc=film.name, leave=False, disable=None if shown else True)
    with progress, ahead(film.items, AHEAD) as decoded, ahead(view.colorized(decoded, colors), AHEAD) as colorized:
        early: list[Packet] = []
        try:
            for item in colorized:
                if not isinstance(item, tuple):
                    early.append(item) if writer is None else writer.write(item)
                    continue
                frame, coding, chroma = item
                fill_chroma(frame, chroma, luma_of(frame, coding), coding)
                frame = beside_gray(frame, coding) if compare else frame
                if writer is None:
                    writer = Writer(temporary, target, film, encoder, frame, coding)
                    for packet in early:
                        writer.write(packet)
                writer.write(frame)
                count += 1
                progress.update()
            assert writer is not None
            writer.finish()
        finally:
            if writer is not None:
                writer.abandon()
    return count, writer.notes
