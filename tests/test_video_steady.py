"""Steady colors: averaged where nothing moves, new where something does, and anew at cuts."""

from concurrent.futures import Future

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon

from pix2pix.hints import Point
from pix2pix.video.points import ActivePoints, Schedule
from pix2pix.video.steadiness import Clip, color_distribution_consistency, move_over, warping_error
from pix2pix.video.steady import AT_ONCE, each_alone, steady_colors


def scene(seed, count):
    """L (1, 1, 32, 48) of frames that show the same."""
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 1, 4, 6, generator=rng) * 2 - 1
    return [torch.nn.functional.interpolate(coarse, (32, 48), mode="bilinear")] * count


def flickering(seed=0):
    """A prediction that is another one each time, around ab = 0.2."""
    rng = torch.Generator().manual_seed(seed)

    def predict(lightness, points, cut):
        return 0.2 + 0.02 * torch.randn(1, 2, 1, 1, generator=rng).expand(1, 2, *lightness.shape[2:])

    return predict


def run(colors, frames, predict):
    """The colors of frames; `predict` gives ab, not a Future of it."""

    def begin(lightness, points, cut):
        begun = Future()
        begun.set_result(predict(lightness, points, cut))
        return begun

    return torch.cat(list(colors([(lightness, ()) for lightness in frames], begin)))


def test_flicker_where_nothing_moves_is_averaged_away():
    frames = scene(0, 40)
    alone, steady = (run(colors, frames, flickering()) for colors in (each_alone, steady_colors))
    assert len(steady) == len(alone) == 40
    assert steady.diff(dim=0).abs().mean() < 0.2 * alone.diff(dim=0).abs().mean()
    assert steady[10:].mean() == pytest.approx(0.2, abs=0.02)


def test_a_cut_starts_anew():
    frames = [*scene(1, 9), *scene(2, 7)]
    cuts = []

    def predict(lightness, points, cut):
        cuts.append(cut)
        second = torch.equal(lightness, frames[-1])
        return torch.full((1, 2, 32, 48), 0.5 if second else -0.5)

    steady = run(steady_colors, frames, predict)
    assert (steady[:9] == -0.5).all() and (steady[9:] == 0.5).all()
    assert sum(cuts) == 2


def test_what_moves_gets_the_newest_color():
    """A bright square jumps within a still scene, and its color jumps with it."""
    frames, places = [], [4, 4, 4, 4, 4, 30, 30, 30, 30, 30]
    for left in places:
        lightness = scene(3, 1)[0].clone() * 0.3 - 0.5
        lightness[..., 8:24, left : left + 14] = 1
        frames.append(lightness)

    def predict(lightness, points, cut):
        return (lightness > 0.9).float().expand(-1, 2, -1, -1) * 0.6

    steady = run(steady_colors, frames, predict)
    assert steady[5, :, 12:20, 34:40].mean() > 0.5 and steady[5, :, 12:20, 8:14].mean() < 0.1


def test_a_change_of_exposure_is_no_change():
    frames = [lightness * 0.5 + (0.2 if n % 2 else 0) for n, lightness in enumerate(scene(4, 30))]
    alone, steady = (run(colors, frames, flickering()) for colors in (each_alone, steady_colors))
    assert steady.diff(dim=0).abs().mean() < 0.2 * alone.diff(dim=0).abs().mean()


@pytest.mark.parametrize("colors", [steady_colors, each_alone])
def test_predictions_are_begun_before_the_first_one_is_waited_for(colors):
    """So that the cores of a CPU have several to make."""
    frames = [lightness for seed in range(9) for lightness in scene(seed, 1)]  # all of them cuts
    begun, waited_for = [], []

    class Prediction(Future):
        def result(self, timeout=None):
            waited_for.append(len(begun))
            return torch.full((1, 2, 32, 48), begun.index(self) / 10)

    def begin(lightness, points, cut):
        begun.append(Prediction())
        return begun[-1]

    given = torch.cat(list(colors([(lightness, ()) for lightness in frames], begin)))
    assert given[:, 0, 0, 0].tolist() == pytest.approx([number / 10 for number in range(9)])
    assert waited_for == [min(AT_ONCE + number, 9) for number in range(9)]


def test_points_begin_at_their_frame_or_time_and_end_with_the_shot():
    points = [Point(5, 5, "red"), Point(9, 9, "blue", frame=2), Point(1, 1, "green", time=0.5)]
    schedule = Schedule(points)
    begun = [schedule.begin(number, number * 0.2) for number in range(5)]
    assert begun == [[points[0]], [], [points[1]], [points[2]], []]
    active = ActivePoints((20, 30))
    first, other = scene(5, 1)[0], scene(6, 1)[0]
    assert active(first, [points[0]], True) == [points[0]]
    assert active(first, [points[1]], False) == points[:2]
    assert active(first + 0.5, [], False) == []  # something else is there now
    assert active(first, [points[1]], False) == [points[1]]
    assert active(other, [], True) == []


def test_consistency_is_scipys_divergence():
    frames = torch.randint(0, 256, (6, 3, 8, 9), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    histograms = [[np.bincount(plane.ravel(), minlength=256) for plane in frame] for frame in frames.numpy()]
    means = [
        np.mean([jensenshannon(histograms[n][c], histograms[n + d][c]) ** 2 for n in range(6 - d) for c in range(3)])
        for d in (1, 2, 4)
    ]
    assert color_distribution_consistency(frames) == pytest.approx(np.mean(means), rel=1e-6)
    assert color_distribution_consistency(frames[:1].expand(6, -1, -1, -1)) == pytest.approx(0, abs=1e-12)


def test_the_warping_error_of_a_clip_itself_is_small_and_of_swapped_colors_large(real_photos):
    photo = np.repeat(np.repeat(real_photos[0], 2, axis=0), 2, axis=1)
    clip = move_over(photo, (0, 0, 0.5, 0.5), (0.2, 0.1, 0.6, 0.6), 5, (48, 64))
    assert clip.frames.shape == (5, 3, 48, 64)
    assert np.allclose(clip.parts[-1], (0.2, 0.1, 0.6, 0.6))
    own = warping_error(clip.frames, clip)
    swapped = clip.frames.clone()
    swapped[1::2] = swapped[1::2].flip(1)
    still = warping_error(clip.frames, Clip(clip.frames, [clip.parts[0]] * 5))
    assert own < 0.5 * still and own < 0.2 * warping_error(swapped, clip)
