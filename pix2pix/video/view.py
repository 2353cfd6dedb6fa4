"""How the network sees a film: upright, in the shape that players show, small; and what it makes of that."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from pix2pix.errors import UserError
from pix2pix.hints import Point, hint_planes
from pix2pix.inference import Colorizer
from pix2pix.prediction import larger, predict_small_ab
from pix2pix.video.canvas import Canvas
from pix2pix.video.planes import Coding, chroma_of, luma_of, small_lightness
from pix2pix.video.points import ActivePoints, Schedule, check_film_points
from pix2pix.video.reading import Film
from pix2pix.video.steady import AT_ONCE, Predict, Seen

if TYPE_CHECKING:
    from av import Packet, VideoFrame

Colors = Callable[[Iterable[Seen], Predict], Iterator[Tensor]]


class Waiting(NamedTuple):
    """A frame whose colors are not known yet, and the L (1, 1, h, w) that the network sees of it."""

    frame: VideoFrame
    coding: Coding
    lightness: Tensor


class Colored(NamedTuple):
    """A frame whose chroma is still to be filled in: Cb and Cr (1, 2, h, w), small, in [-0.5, 0.5]."""

    frame: VideoFrame
    coding: Coding
    chroma: Tensor


class View:
    """A film as the network sees it. `notes` tell what the user should know."""

    def __init__(self, colorizer: Colorizer, film: Film, canvas: Canvas, points: Sequence[Point]) -> None:
        """Raises UserError for points outside the frames, and with weights that take none."""
        self.colorizer, self.film, self.canvas, self.points = colorizer, film, canvas, points
        first = film.first
        self.turns = round(first.rotation / 90) % 4  # quarters, against the clock
        shown = first.height, max(round(first.width * (film.stream.sample_aspect_ratio or 1)), 1)
        self.upright = self._turned((first.height, first.width))
        self.size = colorizer.working_size(*self._turned(shown))
        if points:
            if not colorizer.takes_points:
                raise UserError(f"{film.name} has points, but {colorizer.weights} takes none; give other weights")
            check_film_points(points, film, self.upright)
        self.schedule = Schedule(points)
        self.active = ActivePoints(self.upright)

    @property
    def notes(self) -> list[str]:
        return [*self.canvas.notes, *self.schedule.notes]

    def colorized(self, items: Iterable[Packet | VideoFrame], colors: Colors, cores: int) -> Iterator[Colored | Packet]:
        """The frames to write, in their order, and between them the packets of other streams as they came.

        On a CPU, which computes with `cores` threads, up to AT_ONCE frames are predicted at the same time.
        """
        import av

        waiting: deque[Waiting | Packet] = deque()

        def seen() -> Iterator[Seen]:
            number = 0
            for item in items:
                if isinstance(item, av.VideoFrame):
                    frame = self._look(item)
                    waiting.append(frame)
                    yield frame.lightness, self.schedule.begin(number, self.film.seconds_to(item))
                    number += 1
                else:
                    waiting.append(item)

        at_once = min(cores, AT_ONCE) if self.colorizer.device.type == "cpu" else 1
        with ThreadPoolExecutor(at_once, initializer=torch.set_num_threads, initargs=(cores // at_once,)) as pool:
            for ab in colors(seen(), partial(self.predict, pool)):
                while not isinstance(item := waiting.popleft(), Waiting):
                    yield item
                chroma = chroma_of(item.lightness, ab, item.coding)
                yield Colored(item.frame, item.coding, torch.rot90(chroma, -self.turns, (2, 3)))
        for item in waiting:
            assert not isinstance(item, Waiting)
            yield item

    def predict(self, pool: ThreadPoolExecutor, lightness: Tensor, begun: Sequence[Point], cut: bool) -> Future[Tensor]:
        """Begin to predict a frame's ab, with the points that count there."""
        points = self.active(lightness, begun, cut) if self.points else ()
        return pool.submit(self._predict, lightness, points)

    @torch.inference_mode()
    def _predict(self, lightness: Tensor, points: Sequence[Point]) -> Tensor:
        hints = hint_planes(points, self.upright, larger(self.size)) if points else None
        network, strength = self.colorizer.generator, self.colorizer.strength
        return predict_small_ab(network, lightness, self.size, hints, strength=strength)

    def _look(self, decoded: VideoFrame) -> Waiting:
        frame, coding = self.canvas(decoded)
        lightness = small_lightness(luma_of(frame, coding), self._turned(larger(self.size)))
        return Waiting(frame, coding, torch.rot90(lightness, self.turns, (2, 3)))

    def _turned(self, size: tuple[int, int]) -> tuple[int, int]:
        """The (height, width) of planes as upright, or the other way round."""
        return (size[1], size[0]) if self.turns % 2 else size
