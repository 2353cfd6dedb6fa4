"""What an evaluation compares: methods, each of which colors photos and gets one row of every table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from pix2pix.color import AB_SCALE, lab_to_rgb_in_gamut, rgb_to_lab, split_lab
from pix2pix.inference import gray_photos
from pix2pix.prediction import predict_ab

GRAY, MEAN_COLOR, TRUTH = "gray", "mean color", "truth"


@dataclass(frozen=True)
class Batch:
    """Photos of a set: uint8 (n, 3, H, W), their numbers in the set, and their L and ab in [-1, 1].

    `lab` (n, 3, H, W) is in Lab's own units.
    """

    photos: Tensor
    numbers: tuple[int, ...]
    lab: Tensor
    lightness: Tensor
    ab: Tensor

    @classmethod
    def of(cls, photos: Tensor, numbers: Sequence[int]) -> Batch:
        lab = rgb_to_lab(photos.float() / 255)
        lightness, ab = split_lab(lab)
        return cls(photos, tuple(numbers), lab, lightness, ab)


Measure = Callable[[Batch, Tensor], dict[str, Tensor]]  # of a method's photos as Lab (n, 3, H, W): metric to (n,)


@dataclass(frozen=True)
class Method:
    """A way to color photos: `colorize` gives uint8 (n, 3, H, W).

    `bases` are the methods whose scores this one's are compared with, photo by photo. `measures` are taken besides the
    metrics that every method has. `points` is how many points the colors come with.
    """

    name: str
    colorize: Callable[[Batch], Tensor]
    bases: tuple[str, ...] = ()
    measures: tuple[Measure, ...] = ()
    points: int = 0


def gray_method() -> Method:
    """What doing nothing gives: ab = 0."""
    return Method(GRAY, lambda batch: gray_photos(batch.lightness))


def constant_method(mean_ab: Sequence[float]) -> Method:
    """The same a and b, in Lab's units, everywhere."""

    def colorize(batch: Batch) -> Tensor:
        ab = batch.ab.new_tensor(mean_ab).view(1, 2, 1, 1) / AB_SCALE
        return lab_to_rgb_in_gamut(batch.lightness, ab.expand_as(batch.ab))

    return Method(MEAN_COLOR, colorize)


def generator_method(name: str, generator: nn.Module, size: int, strength: float = 1.0) -> Method:
    """A generator in eval mode that works at `size` x `size`; its ab are multiplied by `strength`."""
    return Method(name, lambda batch: predict_photos(generator, size, strength, batch), bases=(GRAY,))


def predict_photos(
    generator: nn.Module,
    size: int,
    strength: float,
    batch: Batch,
    *,
    seen: Tensor | None = None,
    hints: Tensor | None = None,
) -> Tensor:
    """uint8 (n, 3, H, W) with the batch's own L and the colors that the generator gives for the L it sees."""
    seen = batch.lightness if seen is None else seen
    ab = predict_ab(generator, seen, (size, size), hints, strength=strength)
    return lab_to_rgb_in_gamut(batch.lightness, ab)
