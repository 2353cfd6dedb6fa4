"""Hue and chroma of skin: where the true colors are in skin's range, a method's colors beside them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

LIGHTNESS, CHROMA, HUE = (25.0, 92.0), (10.0, 40.0), (25.0, 70.0)  # of skin: L*, C* and the angle of ab in degrees
LEAST_SHARE = 0.03  # of a photo's pixels; with less skin it is not counted
LEAST_CHROMA = 1.0  # mean colors nearer to gray have no hue


def skin_mask(lab: Tensor) -> Tensor:
    """Lab (n, 3, H, W) to the pixels (n, H, W) whose color skin has, bool.

    Some wood, sand and fur have it too: for a number on people, photos of people have to be given.
    """
    lightness, a, b = lab.unbind(1)
    chroma, hue = torch.hypot(a, b), torch.rad2deg(torch.atan2(b, a))
    return _within(lightness, LIGHTNESS) & _within(chroma, CHROMA) & _within(hue, HUE)


def compare_skin(lab: Tensor, truth: Tensor) -> dict[str, Tensor]:
    """A method's Lab and the true one, (n, 3, H, W), to numbers per photo, (n,) in float64.

    `skin_hue`: how many degrees the mean hue on true skin is turned, toward yellow above 0 and toward red below; NaN
    for (nearly) gray skin. `skin_chroma`: the mean chroma there, as a share of the true one. Both are NaN for photos
    with less than 3 % of skin.
    """
    mask = skin_mask(truth)
    enough = mask.float().mean(dim=(1, 2)) >= LEAST_SHARE
    (a, b, chroma), (true_a, true_b, true_chroma) = _means(lab, mask), _means(truth, mask)
    turn = torch.rad2deg(torch.atan2(b, a) - torch.atan2(true_b, true_a))
    turn = turn - 360 * torch.round(turn / 360)
    has_hue = enough & (torch.hypot(a, b) >= LEAST_CHROMA)
    return {
        "skin_hue": torch.where(has_hue, turn, math.nan).cpu().double(),
        "skin_chroma": torch.where(enough, chroma / true_chroma, math.nan).cpu().double(),
    }


def _within(values: Tensor, bounds: tuple[float, float]) -> Tensor:
    return (values >= bounds[0]) & (values <= bounds[1])


def _means(lab: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The mean a, b and chroma over the mask, (n,) each."""
    _, a, b = lab.unbind(1)
    count = mask.sum(dim=(1, 2)).clamp(min=1)
    a_mean, b_mean, chroma = ((plane * mask).sum(dim=(1, 2)) / count for plane in (a, b, torch.hypot(a, b)))
    return a_mean, b_mean, chroma
