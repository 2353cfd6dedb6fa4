"""Colorizing photos: the network's colors, predicted at its own resolution, are joined to the full-size L."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from pix2pix.checkpoint import load_generator
from pix2pix.color import lab_to_rgb_in_gamut, lightness_to_gray, to_lab
from pix2pix.decoding.measure import lightness_of, lightness_of_pixels
from pix2pix.decoding.samples import MOST_THREADS
from pix2pix.device import choose_device, choose_precision
from pix2pix.errors import UserError
from pix2pix.hints import Point, hint_planes
from pix2pix.photofile.points import check_points
from pix2pix.prediction import bicubic_weights, enlarged_rows, larger, predict_ab, predict_small_ab, widen
from pix2pix.runs import find_generator
from pix2pix.threads import computing_threads, map_on_cores
from pix2pix.unet import fold_batch_norm

LONGEST_SIDE = 4  # times the working size, for panoramas
STRIP = 1 << 18  # pixels colored at a time by a thread, at least
STRIPS = 48  # of a large photo: larger strips wait less for Python's lock, and are still little beside the photo


def colorize_batch(generator: nn.Module, photos: Tensor, size: int, hints: Tensor | None = None) -> Tensor:
    """uint8 photos (N, 3, H, W), whose colors are not looked at, to colorized uint8 photos of the same L.

    The network's working size is `size` x `size`; `hints` are (N, 3, any height, any width). Call with the generator in
    eval mode.
    """
    lightness, _ = to_lab(photos)
    return lab_to_rgb_in_gamut(lightness, predict_ab(generator, lightness, (size, size), hints))


def gray_photos(lightness: Tensor) -> Tensor:
    """L (N, 1, H, W) to the gray uint8 photos (N, 3, H, W) of that L (ab = 0)."""
    return to_uint8(lightness_to_gray(lightness)).expand(-1, 3, -1, -1)


def gray_batch(photos: Tensor) -> Tensor:
    """uint8 photos (N, 3, H, W) to the gray uint8 photos of the same L (ab = 0)."""
    return gray_photos(to_lab(photos)[0])


def to_uint8(rgb: Tensor) -> Tensor:
    return (rgb * 255).round().clamp(0, 255).to(torch.uint8)


class Colorizer:
    """Colorizes photos with a generator file.

    >>> from PIL import Image
    >>> from pix2pix import Colorizer, Point
    >>> colorizer = Colorizer(size=64, strength=1.2, device="cpu")
    >>> photo = Image.linear_gradient("L")
    >>> colorizer.colorize(photo).mode
    'RGB'
    >>> red, _, blue = colorizer.colorize(photo, points=[Point(128, 160, "#c0392b")]).getpixel((128, 160))
    >>> red > blue + 60
    True

    `weights` is a generator file or a run's folder; without it the weights shipped with the package, else the latest
    run under `runs`. `strength` multiplies the colors, but those of points: 0 is gray. `size` is the short side in
    pixels that the network sees, by default what it was trained at. `device` is "auto", "cpu", "cuda", "cuda:N" or
    "mps". A Colorizer does not change once it is made: threads may share it. Raises UserError when there are no
    weights or they cannot be read.
    """

    def __init__(
        self,
        weights: str | Path | None = None,
        *,
        size: int | None = None,
        strength: float = 1.0,
        device: str = "auto",
        runs: Path = Path("runs"),
    ) -> None:
        self.weights = find_generator(None if weights is None else Path(weights), runs=runs)
        self.device = choose_device(device)
        # bf16 is three times as fast where the device computes in it, and 0.05 of Lab's units off in a and b
        precision = torch.bfloat16 if choose_precision(self.device).name == "bf16" else torch.float32
        with computing_threads(1):  # the thread that loads is often not the one that computes
            loaded = load_generator(self.weights)
            network = loaded.network.eval()
            fold_batch_norm(network)
            self.generator = network.to(self.device, precision).to(memory_format=torch.channels_last)
        self.size = size or loaded.size
        self.strength = strength
        self.takes_points = loaded.network.takes_hints

    def with_strength(self, strength: float) -> Colorizer:
        """The same Colorizer, its network not loaded again, with colors of another strength.

        >>> from PIL import Image
        >>> gray = Colorizer(size=64, device="cpu").with_strength(0).colorize(Image.linear_gradient("L"))
        >>> gray.getpixel((0, 100))
        (100, 100, 100)
        """
        other = copy.copy(self)
        other.strength = strength
        return other

    @overload
    def colorize(self, photo: Image.Image, points: Sequence[Point] | None = None) -> Image.Image: ...
    @overload
    def colorize(self, photo: np.ndarray, points: Sequence[Point] | None = None) -> np.ndarray: ...
    @overload
    def colorize(self, photo: Tensor, points: Sequence[Sequence[Point] | None] | None = None) -> Tensor: ...
    @overload
    def colorize(self, photo: list[Any], points: Sequence[Any] | None = None) -> list[Any]: ...

    def colorize(self, photo: Any, points: Any = None) -> Any:
        """A photo, or several, as 8-bit RGB of the same size and kind; what colors it has are replaced.

        - a Pillow image of any mode, turned upright by its EXIF orientation; its color profile is honored;
        - a uint8 array (H, W), (H, W, 1), or (H, W, 3): gives (H, W, 3);
        - a uint8 tensor (N, 1, H, W) or (N, 3, H, W) on any device: gives (N, 3, H, W) there;
        - a list of any of these, of any sizes: gives a list.

        `points` are the photo's Points, in pixels of the upright photo; for a tensor or a list of photos one such
        list (or None) for each.

        >>> import numpy as np
        >>> colorizer = Colorizer(size=64, device="cpu")
        >>> small, large = np.zeros((40, 50), np.uint8), np.full((80, 60, 3), 128, np.uint8)
        >>> [photo.shape for photo in colorizer.colorize([small, large], points=[None, [Point(30, 40, "red")]])]
        [(40, 50, 3), (80, 60, 3)]

        Raises TypeError or ValueError for any other kind of photo, UserError for a point outside the photo and for
        points with weights that take none.
        """
        if isinstance(photo, list):
            return [self.colorize(one, its) for one, its in zip(photo, _for_each(photo, points), strict=True)]
        if isinstance(photo, Image.Image):
            colorized = self.colorize_lightness(lightness_of(photo), points)
            return Image.fromarray(colorized[0].permute(1, 2, 0).numpy())
        if isinstance(photo, np.ndarray):
            planes = photo if photo.ndim == 3 else photo[..., None]
            if photo.dtype != np.uint8 or planes.ndim != 3 or planes.shape[2] not in (1, 3) or not photo.size:
                raise ValueError(f"expected uint8 (H, W), (H, W, 1) or (H, W, 3), got {photo.dtype} {photo.shape}")
            batch = torch.from_numpy(planes.copy()).permute(2, 0, 1)[None]  # torch refuses flipped views
            return self.colorize(batch, [points])[0].permute(1, 2, 0).contiguous().numpy()
        if not isinstance(photo, Tensor):
            raise TypeError(f"expected a Pillow image, an array, a tensor or a list, got {type(photo).__name__}")
        if photo.dtype != torch.uint8 or photo.ndim != 4 or photo.shape[1] not in (1, 3) or not photo.numel():
            raise ValueError(f"expected uint8 (N, 1, H, W) or (N, 3, H, W), got {photo.dtype} {tuple(photo.shape)}")
        return torch.cat(
            [
                self.colorize_lightness(lightness_of_pixels(_as_pixels(one)), its).to(photo.device)
                for one, its in zip(photo, _for_each(photo, points), strict=True)
            ]
        )

    @torch.inference_mode()
    def colorize_lightness(
        self, lightness: Tensor, points: Sequence[Point] | None = None, *, deep: bool = False, name: str = "the photo"
    ) -> Tensor:
        """L (1, 1, H, W) in [-1, 1] to RGB (1, 3, H, W) on the CPU: uint8, or uint16 with `deep`.

        `name` is what an error about its points calls the photo.

        >>> Colorizer(size=64, device="cpu").colorize_lightness(torch.zeros(1, 1, 60, 90), deep=True).dtype
        torch.uint16
        """
        height, width = lightness.shape[-2:]
        small_ab = self.small_ab(lightness, points, name=name)
        kind = torch.uint16 if deep else torch.uint8
        rgb = torch.empty((1, 3, height, width), dtype=kind, memory_format=torch.channels_last)
        rows = max(1, max(STRIP, height * width // STRIPS) // width)
        wide, weights = widen(small_ab.float(), width), bicubic_weights(small_ab.shape[2], height)

        def fill(strip: tuple[Tensor, Tensor, Tensor]) -> None:
            target, light, its_weights = strip
            with torch.inference_mode(), torch.autocast("cpu", enabled=False):  # both are each thread's own
                ab = enlarged_rows(wide, its_weights)
                if self.device.type == "cpu":
                    lab_to_rgb_in_gamut(light, ab, out=target)
                else:
                    target.copy_(lab_to_rgb_in_gamut(light.to(self.device), ab.to(self.device), kind))

        strips = zip(rgb.split(rows, dim=2), lightness.split(rows, dim=2), weights.split(rows), strict=True)
        threads = MOST_THREADS if self.device.type == "cpu" and height > rows else 1
        for _ in map_on_cores(fill, strips, most=threads):
            pass
        return rgb

    @torch.inference_mode()
    def small_ab(self, lightness: Tensor, points: Sequence[Point] | None = None, *, name: str = "the photo") -> Tensor:
        """L (N, 1, H, W) to ab (N, 2, h, w), both in [-1, 1] and on the CPU, to be enlarged to the photos' size.

        The points go to all N. Raises UserError for points outside the photo or with weights that take none.

        >>> Colorizer(size=64, device="cpu").small_ab(torch.zeros(2, 1, 60, 90)).shape
        torch.Size([2, 2, 96, 144])
        """
        height, width = lightness.shape[-2:]
        size = self.working_size(height, width)
        hints = None
        if points:
            check_points(points, width, height, name)
            if not self.takes_points:
                raise UserError(
                    f"{name} ({width}x{height}) has the point {points[0]}, but {self.weights} takes no points; give "
                    "weights that were trained with them"
                )
            hints = hint_planes(points, (height, width), larger(size)).expand(len(lightness), -1, -1, -1)
        return predict_small_ab(self.generator, lightness, size, hints, strength=self.strength)

    def working_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) with the short side at the working size and the photo's aspect, at most 4 to 1."""
        scale = self.size / min(height, width)
        longest = LONGEST_SIDE * self.size
        return min(max(round(height * scale), 1), longest), min(max(round(width * scale), 1), longest)


def _for_each(photos: Sequence[Any] | Tensor, points: Sequence[Any] | None) -> Sequence[Any]:
    """One list of points, or None, for each photo."""
    if points is None:
        return [None] * len(photos)
    if len(points) != len(photos) or any(isinstance(its, Point) for its in points):
        raise ValueError(f"{len(photos)} photos need {len(photos)} lists of points, one (or None) for each")
    return points


def _as_pixels(photo: Tensor) -> np.ndarray:
    """uint8 (1 or 3, H, W) to (H, W) or (H, W, 3) on the CPU."""
    return (photo[0] if len(photo) == 1 else photo.permute(1, 2, 0)).cpu().numpy()
