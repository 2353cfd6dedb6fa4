"""What the network makes of photos: from two views of each, at its own resolution, and enlarged from there."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pix2pix.guided_filter import guided_filter
from pix2pix.hints import hold_at_points, resize_hints

LARGER = 1.5  # times the working size: the second size that the network sees a photo at
USUAL_CHROMA = 0.1  # of a photo, as `evening` measures it
EVENNESS = 0.25  # the power of a photo's ratio to it that is made up for
CUBIC = -0.75  # the parameter of the cubic kernel (Keys 1981) that `F.interpolate` takes
WEAKEST = 0.5  # the strength down to which hints are given to the network the stronger the weaker all colors are


def predict_small_ab(
    generator: nn.Module,
    lightness: Tensor,
    size: tuple[int, int],
    hints: Tensor | None = None,
    *,
    strength: float = 1.0,
) -> Tensor:
    """L (N, 1, H, W) to ab (N, 2, h, w), both in [-1, 1], with (h, w) = `larger(size)` half as large again as `size`.

    The mean of two predictions, of the photo at `size` (height, width) and of its mirror image at (h, w), times
    `strength` and `evening`, smoothed along the edges of L. `hints` (N, 3, any height, any width), ab and a mask, come
    out as they are whatever the strength. Only the small photos go to the generator's device; the result is on the
    device of `lightness`.
    """
    device = next(generator.parameters()).device
    large = larger(size)
    views = [[_resize(lightness, view).to(device)] for view in (size, large)]
    plain = generator(*views[0])
    factor = strength * evening(plain)
    if hints is not None:
        hints = hints.to(device)
        for given, view in zip(views, (size, large), strict=True):
            given.append(asked_of_network(resize_hints(hints, view), factor))
        plain = generator(*views[0])
    mirrored = generator(*(planes.flip(3) for planes in views[1])).flip(3)
    total = F.interpolate(plain, large, mode="bicubic", align_corners=False) + mirrored
    small = views[1][0]
    ab = guided_filter((total * (factor / 2)).clamp(-1, 1), small)
    if hints is not None:
        ab = hold_at_points(ab, resize_hints(hints, large), small)
    return ab.to(lightness.device)


def evening(ab: Tensor) -> Tensor:
    """The factors (N, 1, 1, 1) for ab (N, 2, h, w) by which dull photos get livelier and vivid ones calmer.

    They bring a photo's chroma a quarter of the way, by ratios, to that of a usual photo: vivid predictions are too
    vivid more often than pale ones (docs/experiments.md, 30 November 2026).
    """
    chroma = ab.square().sum(dim=1, keepdim=True).sqrt()
    typical = chroma.sqrt().mean(dim=(2, 3), keepdim=True).square()  # small vivid things count less than in a mean
    return (USUAL_CHROMA / typical.clamp(min=USUAL_CHROMA / 10)) ** EVENNESS


def _resize(lightness: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(lightness, size, mode="bilinear", align_corners=False, antialias=True)


def larger(size: tuple[int, int]) -> tuple[int, int]:
    """The second size (height, width) that the network sees a photo at, and of what it predicts."""
    return round(LARGER * size[0]), round(LARGER * size[1])


def asked_of_network(hints: Tensor, factor: Tensor) -> Tensor:
    """The hints that give those asked for once all colors are multiplied by `factor` (N, 1, 1, 1)."""
    asked = (hints[:, :2] / factor.clamp(min=WEAKEST)).clamp(-1, 1)
    return torch.cat((asked, hints[:, 2:]), dim=1)


def predict_ab(
    generator: nn.Module,
    lightness: Tensor,
    size: tuple[int, int],
    hints: Tensor | None = None,
    *,
    strength: float = 1.0,
) -> Tensor:
    """`predict_small_ab`, enlarged bicubically to ab (N, 2, H, W)."""
    small_ab = predict_small_ab(generator, lightness, size, hints, strength=strength)
    return F.interpolate(small_ab, lightness.shape[-2:], mode="bicubic", align_corners=False).clamp_(-1, 1)


def widen(small_ab: Tensor, width: int) -> Tensor:
    """ab (1, 2, h, w) to (2, h, width): enlarged as by `predict_ab`, but its rows alone. float32, on the CPU."""
    return F.interpolate(small_ab, (small_ab.shape[2], width), mode="bicubic", align_corners=False)[0]


def enlarged_rows(wide: Tensor, weights: Tensor) -> Tensor:
    """Some rows of the enlarged ab, (1, 2, rows, width), from `widen`'s (2, h, width) and their `bicubic_weights`.

    The whole of a large photo's ab would take more memory than anything else, and longer.
    """
    used = weights.any(dim=0).nonzero()
    near = slice(int(used[0]), int(used[-1]) + 1)
    rows = wide.new_empty((1, 2, len(weights), wide.shape[2]))
    for plane, target in zip(wide, rows[0], strict=True):
        torch.mm(weights[:, near], plane[near], out=target)
    return rows.clamp_(-1, 1)


def bicubic_weights(before: int, after: int) -> Tensor:
    """(after, before): how much each of `before` pixels in a row counts for each of `after`; as `F.interpolate`'s."""
    place = (torch.arange(after, dtype=torch.float64) + 0.5) * (before / after) - 0.5
    taps = place.floor()[:, None] + torch.arange(-1, 3)
    away = (place[:, None] - taps).abs()
    near = ((CUBIC + 2) * away - (CUBIC + 3)) * away.square() + 1
    far = ((CUBIC * away - 5 * CUBIC) * away + 8 * CUBIC) * away - 4 * CUBIC
    columns = taps.clamp(0, before - 1).long()
    return torch.zeros(after, before).scatter_add_(1, columns, torch.where(away <= 1, near, far).float())
