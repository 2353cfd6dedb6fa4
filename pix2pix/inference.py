"""Colouring photos: the network works at its own resolution, the colours are joined to the photo's full-size L."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import overload

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor, nn

from pix2pix.checkpoint import find_generator, load_generator
from pix2pix.color import lab_to_rgb_in_gamut, lightness_to_gray, to_lab
from pix2pix.data.photos import to_rgb
from pix2pix.device import choose_device, choose_precision

LONGEST_SIDE = 4  # times the working size, for panoramas
LARGER = 1.5  # times the working size: the second size that the network sees a photo at
STRIP = 1 << 19  # pixels converted at a time: a large photo then needs little more memory than itself, and is faster


def predict_small_ab(generator: nn.Module, lightness: Tensor, size: tuple[int, int]) -> Tensor:
    """L (N, 1, H, W) to ab (N, 2, h, w), both in [-1, 1], with (h, w) half as large again as `size` (height, width).

    The mean of four predictions: of the photo and of its mirror image, at `size` and at (h, w). Only the small photos
    go to the generator's device; the result is on the device of `lightness`.
    """
    device = next(generator.parameters()).device
    large = tuple(round(LARGER * side) for side in size)
    total = torch.zeros((), device=device)
    for view in (size, large):
        small = F.interpolate(lightness, view, mode="bilinear", align_corners=False, antialias=True).to(device)
        ab, mirrored = generator(torch.cat((small, small.flip(3)))).chunk(2)
        total = total + F.interpolate(ab + mirrored.flip(3), large, mode="bicubic", align_corners=False)
    return (total / 4).clamp(-1, 1).to(lightness.device)


def predict_ab(generator: nn.Module, lightness: Tensor, size: tuple[int, int]) -> Tensor:
    """`predict_small_ab`, enlarged bicubically to ab (N, 2, H, W)."""
    small_ab = predict_small_ab(generator, lightness, size)
    return F.interpolate(small_ab, lightness.shape[-2:], mode="bicubic", align_corners=False).clamp_(-1, 1)


def enlarge(small_ab: Tensor, height: int, width: int, rows: int) -> Iterator[Tensor]:
    """ab (1, 2, h, w) enlarged to (1, 2, height, width) as by `predict_ab`, `rows` rows at a time from the top.

    The whole of a large photo's ab would take more memory than anything else, and longer.
    """
    wide = F.interpolate(small_ab, (small_ab.shape[2], width), mode="bicubic", align_corners=False)
    identity = torch.eye(small_ab.shape[2])[None, None]
    weights = F.interpolate(identity, (height, small_ab.shape[2]), mode="bicubic", align_corners=False)[0, 0]
    for part in weights.split(rows):
        used = part.any(dim=0).nonzero()
        near = slice(int(used[0]), int(used[-1]) + 1)
        yield (part[:, near] @ wide[:, :, near]).clamp_(-1, 1)


def colorize_batch(generator: nn.Module, photos: Tensor, size: int) -> Tensor:
    """uint8 photos (N, 3, H, W), whose colours are not looked at, to coloured uint8 photos of the same L.

    The network's working size is `size` x `size`. Call with the generator in eval mode.
    """
    lightness, _ = to_lab(photos)
    return lab_to_rgb_in_gamut(lightness, predict_ab(generator, lightness, (size, size)))


def gray_photos(lightness: Tensor) -> Tensor:
    """L (N, 1, H, W) to the gray uint8 photos (N, 3, H, W) of that L (ab = 0)."""
    return to_uint8(lightness_to_gray(lightness)).expand(-1, 3, -1, -1)


def gray_batch(photos: Tensor) -> Tensor:
    """uint8 photos (N, 3, H, W) to the gray uint8 photos of the same L (ab = 0)."""
    return gray_photos(to_lab(photos)[0])


def to_uint8(rgb: Tensor) -> Tensor:
    return (rgb * 255).round().clamp(0, 255).to(torch.uint8)


class Colorizer:
    """Colours photos with a generator file: `Colorizer().colorize(photo)`.

    `weights` is a generator file or a run's folder; without it the weights shipped with the package, else the latest
    run under `runs`. `strength` multiplies the colours: 0 is gray. `size` is the short side in pixels that the network
    sees, by default what it was trained at. A Colorizer does not change once it is made: threads may share it. Raises
    UserError when there are no weights or they cannot be read.
    """

    def __init__(
        self,
        weights: str | Path | None = None,
        *,
        strength: float = 1.0,
        size: int | None = None,
        device: str = "auto",
        runs: Path = Path("runs"),
    ) -> None:
        self.weights = find_generator(weights and Path(weights), runs=runs)
        self.device = choose_device(device)
        loaded = load_generator(self.weights)
        self.size = size or loaded.size
        self.strength = strength
        # bf16 is three times as fast where the device computes in it, and 0.05 of Lab's units off in a and b
        precision = torch.bfloat16 if choose_precision(self.device).name == "bf16" else torch.float32
        self.generator = loaded.network.to(self.device, precision, memory_format=torch.channels_last).eval()

    def with_strength(self, strength: float) -> Colorizer:
        """The same Colorizer, its network not loaded again, with colours of another strength."""
        other = copy.copy(self)
        other.strength = strength
        return other

    @overload
    def colorize(self, photo: Image.Image) -> Image.Image: ...
    @overload
    def colorize(self, photo: np.ndarray) -> np.ndarray: ...
    @overload
    def colorize(self, photo: Tensor) -> Tensor: ...

    def colorize(self, photo: Image.Image | np.ndarray | Tensor) -> Image.Image | np.ndarray | Tensor:
        """A photo, or a batch of them, as 8-bit RGB of the same size and kind; what colours it has are replaced.

        - a Pillow image of any mode, turned upright by its EXIF orientation; its colour profile is not looked at;
        - a uint8 array (H, W), (H, W, 1), or (H, W, 3): gives (H, W, 3);
        - a uint8 tensor (N, 1, H, W) or (N, 3, H, W) on any device: gives (N, 3, H, W) there.

        Raises TypeError or ValueError for anything else.
        """
        if isinstance(photo, Image.Image):
            return Image.fromarray(self.colorize(np.array(to_rgb(ImageOps.exif_transpose(photo)))))
        if isinstance(photo, np.ndarray):
            planes = photo[..., None] if photo.ndim == 2 else photo
            if planes.dtype != np.uint8 or planes.ndim != 3 or planes.shape[2] not in (1, 3) or not planes.size:
                raise ValueError(f"expected uint8 (H, W), (H, W, 1) or (H, W, 3), got {photo.dtype} {photo.shape}")
            batch = torch.from_numpy(planes.copy()).permute(2, 0, 1)[None]  # torch refuses flipped views
            return self.colorize(batch)[0].permute(1, 2, 0).contiguous().numpy()
        if not isinstance(photo, Tensor):
            raise TypeError(f"expected a Pillow image, an array or a tensor, got {type(photo).__name__}")
        if photo.dtype != torch.uint8 or photo.ndim != 4 or photo.shape[1] not in (1, 3) or not photo.numel():
            raise ValueError(f"expected uint8 (N, 1, H, W) or (N, 3, H, W), got {photo.dtype} {tuple(photo.shape)}")
        colored = [self.colorize_lightness(photo_lightness(one[None])).to(photo.device) for one in photo]
        return torch.cat(colored)

    @torch.inference_mode()
    def colorize_lightness(self, lightness: Tensor, *, deep: bool = False) -> Tensor:
        """L (1, 1, H, W) in [-1, 1] to RGB (1, 3, H, W) on the CPU: uint8, or uint16 with `deep`."""
        height, width = lightness.shape[-2:]
        size = self._working_size(height, width)
        small_ab = predict_small_ab(self.generator, lightness, size)
        kind = torch.uint16 if deep else torch.uint8
        rgb = torch.empty((1, 3, height, width), dtype=kind, memory_format=torch.channels_last)
        strips = (x.split(_rows_of(width), dim=2) for x in (rgb, lightness))
        for target, part, ab in zip(*strips, enlarge(small_ab, height, width, _rows_of(width)), strict=True):
            ab.mul_(self.strength)
            target.copy_(lab_to_rgb_in_gamut(part.to(self.device), ab.to(self.device), kind))
        return rgb

    def _working_size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) with the short side at the working size and the photo's aspect."""
        scale = self.size / min(height, width)
        longest = LONGEST_SIDE * self.size
        return min(max(round(height * scale), 1), longest), min(max(round(width * scale), 1), longest)


def _rows_of(width: int) -> int:
    """How many rows of a photo make a strip."""
    return max(1, STRIP // width)


def photo_lightness(photo: Tensor) -> Tensor:
    """uint8 (1, 1 or 3, H, W) to L (1, 1, H, W) in [-1, 1] on the CPU, a strip of rows at a time."""
    strips = photo.cpu().expand(-1, 3, -1, -1).split(_rows_of(photo.shape[-1]), dim=2)
    return torch.cat([to_lab(strip)[0] for strip in strips], dim=2)
