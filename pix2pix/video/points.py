"""Points of color in a film: from the frame that they name on, as long as what they were set on stays there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from pix2pix.errors import UserError
from pix2pix.hints import Point
from pix2pix.photofile.points import check_points
from pix2pix.video.reading import Film

GONE = 10.0  # the change of L under a point, in units of Lab, that says that something else is there now
EARLY = 1e-3  # seconds: a frame this little before a point's time is its frame


class Schedule:
    """Which points begin at which frame. A point that names no frame and no time begins at the first one."""

    def __init__(self, points: Sequence[Point]) -> None:
        self.waiting = list(points)

    def begin(self, number: int, seconds: float) -> list[Point]:
        """The points that begin at a frame, by its number (from 0) and its time since the first one."""
        now = [p for p in self.waiting if _begins(p, number, seconds)]
        self.waiting = [p for p in self.waiting if p not in now]
        return now

    @property
    def notes(self) -> list[str]:
        return [f"the point {p} comes after its last frame" for p in self.waiting]


def _begins(point: Point, number: int, seconds: float) -> bool:
    if point.frame is not None:
        return number >= point.frame
    return point.time is None or seconds >= point.time - EARLY


def check_film_points(points: Sequence[Point], film: Film, upright: tuple[int, int]) -> None:
    """Raises UserError for points outside the upright frames of (height, width) pixels, or after the film's end."""
    check_points(points, upright[1], upright[0], film.name)
    for point in points:
        if point.frame is not None and film.stream.frames and point.frame >= film.stream.frames:
            raise UserError(
                f"the point {point} is for frame {point.frame}; {film.name} has {film.stream.frames}, from 0"
            )
        if point.time is not None and film.seconds and point.time >= film.seconds:
            raise UserError(f"the point {point} is for second {point.time:g}; {film.name} lasts {film.seconds:.2f}")


@dataclass
class Held:
    """A point that counts, and the L under it when it began."""

    point: Point
    lightness: float


class ActivePoints:
    """The points that count at a frame: of its shot, and with the L under them hardly changed since they began."""

    def __init__(self, upright: tuple[int, int]) -> None:
        self.height, self.width = upright
        self.held: list[Held] = []

    def __call__(self, lightness: Tensor, begun: Sequence[Point], cut: bool) -> list[Point]:
        """The points for a frame of L (1, 1, h, w) in [-1, 1], at which some begin, and perhaps a shot."""
        kept = [] if cut else self.held
        self.held = [held for held in kept if abs(self._under(held.point, lightness) - held.lightness) < GONE]
        self.held += [Held(point, self._under(point, lightness)) for point in begun]
        return [held.point for held in self.held]

    def _under(self, point: Point, lightness: Tensor) -> float:
        """The mean L, in units of Lab, of 3x3 pixels about a point."""
        rows, columns = lightness.shape[-2:]
        row = min(int(point.y / self.height * rows), rows - 1)
        column = min(int(point.x / self.width * columns), columns - 1)
        about = lightness[..., max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
        return 50 * float(about.mean())
