"""Colors that do not flicker: predicted for some frames, mixed between them, and averaged over time.

No motion is estimated. What is steady in a film are places whose L does not change: there the colors of all frames are
averaged. Where L changes something moved, and the newest prediction counts. After a cut everything starts anew.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from typing import NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from pix2pix.color import AB_SCALE
from pix2pix.hints import Point

LONGEST_GAP = 4  # frames from one prediction to the next, at most
MOVED_CORRELATION, MOVED_CHANGE = 0.9, 1.0  # less like the last predicted frame, and as much changed: predict again
CLOSE = 2.0  # the change of L at which a frame's place has little of a neighboring prediction's color
SAME = 4.0  # the change of L at which little of a place's older colors is kept
FAR = 25.0  # and the change of ab: thin things that moved, in the dark, change L too little
MEMORY = 0.85  # the share of older colors where nothing changes
CUT_CORRELATION, CUT_CHANGE = 0.4, 4.0  # a frame less like the one before it, and as much changed, is a new shot
BLUR = 5  # pixels: grain is no change

AT_ONCE = 5  # predictions that are begun before the colors of the first are used; full-size frames wait meanwhile

# L (1, 1, h, w) of a frame, the points that begin at it, and whether a shot does: begins to predict ab (1, 2, h, w)
Predict = Callable[[Tensor, Sequence[Point], bool], Future[Tensor]]
Seen = tuple[Tensor, Sequence[Point]]
Item = TypeVar("Item")


class Frame(NamedTuple):
    """What colors depend on: L, L without grain and changes of exposure in units of Lab, the points that begin here."""

    lightness: Tensor
    calm: Tensor
    points: Sequence[Point]
    cut: bool


class Group(NamedTuple):
    """The calm L of some frames, and the ab that is being predicted for the last of them.

    `anew` says that they owe nothing to the frames before them; it is then a single frame.
    """

    calm: list[Tensor]
    ab: Future[Tensor]
    anew: bool


def each_alone(frames: Iterable[Seen], predict: Predict) -> Iterator[Tensor]:
    """Every frame's own prediction, to compare with."""
    begun = (predict(lightness, points, number == 0) for number, (lightness, points) in enumerate(frames))
    for prediction in _some_begun(begun):
        yield prediction.result()


def steady_colors(frames: Iterable[Seen], predict: Predict) -> Iterator[Tensor]:
    """Each frame's L (1, 1, h, w) in [-1, 1], and the points that begin at it, to its ab (1, 2, h, w).

    The results come in the order of the frames, less than AT_ONCE * LONGEST_GAP frames later. A frame where points
    begin starts anew, as after a cut, so that they are seen at once.
    """
    average = Average()
    key: tuple[Tensor, Tensor] | None = None
    for group in _some_begun(_groups(frames, predict)):
        if group.anew:
            average, key = Average(), None
        newest = group.calm[-1], group.ab.result()
        for number, calm in enumerate(group.calm[:-1], start=1):
            assert key is not None
            yield average(calm, mix(calm, key, newest, number / len(group.calm)))
        yield average(*newest)
        key = newest


def _groups(frames: Iterable[Seen], predict: Predict) -> Iterator[Group]:
    """The frames up to each one that is predicted; which these are depends on L and the points alone."""
    waiting: list[Frame] = []
    key: Tensor | None = None  # the calm L of the frame that was predicted last
    last: Tensor | None = None

    def settled() -> Group:
        newest = waiting[-1]
        ab = predict(newest.lightness, newest.points, newest.cut)
        return Group([frame.calm for frame in waiting], ab, key is None)

    for lightness, points in frames:
        calm = calm_lightness(lightness)
        cut = last is None or is_cut(last, calm)
        if cut or points:
            if waiting:
                yield settled()
            waiting, key = [], None
        waiting.append(Frame(lightness, calm, points, cut))
        if key is None or len(waiting) >= LONGEST_GAP or has_moved(key, calm):
            yield settled()
            waiting, key = [], calm
        last = calm
    if waiting:
        yield settled()


def _some_begun(predictions: Iterable[Item]) -> Iterator[Item]:
    """The predictions, of which AT_ONCE are begun before the first of them is used."""
    begun: deque[Item] = deque()
    for prediction in predictions:
        begun.append(prediction)
        if len(begun) == AT_ONCE:
            yield begun.popleft()
    yield from begun


def calm_lightness(lightness: Tensor) -> Tensor:
    """L (1, 1, h, w) in [-1, 1] as units of Lab, less its mean, without grain."""
    edge = BLUR // 2
    padded = F.pad(50 * lightness, (edge, edge, edge, edge), mode="replicate")
    blurred = F.avg_pool2d(padded, BLUR, stride=1)
    return blurred - blurred.mean()


def is_cut(before: Tensor, after: Tensor) -> bool:
    """Whether two frames that follow each other, by their calm L, show different things."""
    return _correlation(before, after) < CUT_CORRELATION and _change(before, after) > CUT_CHANGE


def has_moved(before: Tensor, after: Tensor) -> bool:
    """Whether a frame, by its calm L, needs a prediction of its own since the last predicted one."""
    return _correlation(before, after) < MOVED_CORRELATION and _change(before, after) > MOVED_CHANGE


def _correlation(before: Tensor, after: Tensor) -> float:
    return float((before * after).mean() / (before.square().mean() * after.square().mean()).sqrt().clamp(min=1e-6))


def _change(before: Tensor, after: Tensor) -> float:
    return float((after - before).abs().mean())


def mix(calm: Tensor, before: tuple[Tensor, Tensor], after: tuple[Tensor, Tensor], place: float) -> Tensor:
    """The colors of a frame at `place` in (0, 1) between two predicted ones, given as their calm L and ab.

    At each pixel the nearer one counts more, and the one whose L is more alike.
    """
    weights = [
        share * (torch.exp(-(((calm - other) / CLOSE) ** 2)) + 1e-3)
        for share, other in ((1 - place, before[0]), (place, after[0]))
    ]
    return (weights[0] * before[1] + weights[1] * after[1]) / (weights[0] + weights[1])


class Average:
    """The running mean of ab over time, forgotten where L changes, or ab a lot."""

    def __init__(self) -> None:
        self.calm: Tensor | None = None
        self.ab: Tensor | None = None

    def __call__(self, calm: Tensor, ab: Tensor) -> Tensor:
        """The next frame's calm L (1, 1, h, w) and ab (1, 2, h, w) to its averaged ab."""
        if self.calm is not None and self.ab is not None:
            turned = AB_SCALE * (ab - self.ab).norm(dim=1, keepdim=True)
            kept = MEMORY * torch.exp(-(((calm - self.calm) / SAME) ** 2) - (turned / FAR) ** 2)
            ab = torch.lerp(ab, self.ab, kept)
        self.calm, self.ab = calm, ab
        return ab
