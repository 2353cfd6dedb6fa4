"""Explore one photo: `python -m pix2pix.exploration photo.jpg [-o photo-exploration.png]`.

Prints the smallest and largest L, a and b of the photo, and draws one figure: the photo and its Lab planes, then its
lightness as it is and under four contrast treatments, each over its histogram. The networks are trained on untreated
photos; the figure shows how far each treatment moves the lightness that they would see. Needs the `plots` extra.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from skimage import exposure

from pix2pix.color import rgb_to_lab
from pix2pix.data.photos import read_photo
from pix2pix.errors import UserError, run_script
from pix2pix.files import replacing

SMALLEST_SIDE = 8  # adaptive equalization cuts each side into eight
LEAST_CONTRAST = 1e-6  # far below one 8-bit level, far above the rounding of equal pixels
LARGEST_DRAWN_SIDE = 1024  # more than a panel of the figure can show
BAND = 256  # rows converted at once: a 24-megapixel photo in float64 would take gigabytes
FIGURE_TITLE = "pix2pix exploration"  # in the PNG's metadata: tells an earlier figure from a picture to keep


def lab_ranges(rgb: np.ndarray) -> dict[str, tuple[float, float]]:
    """(min, max) of L, a and b over the whole photo. rgb: (H, W, 3) uint8."""
    bands = [_lab(rgb[top : top + BAND]).reshape(-1, 3) for top in range(0, len(rgb), BAND)]
    lows = np.min([band.min(axis=0) for band in bands], axis=0)
    highs = np.max([band.max(axis=0) for band in bands], axis=0)
    return {name: (float(low), float(high)) for name, low, high in zip("Lab", lows, highs, strict=True)}


def lab_planes(rgb: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 sRGB to (H, W, 3) float64 Lab scaled for the eye: (Lab + [0, 128, 128]) / [100, 255, 255]."""
    return np.clip((_lab(rgb) + np.array([0, 128, 128])) / [100, 255, 255], 0, 1)


def contrast_treatments(gray: np.ndarray) -> dict[str, np.ndarray]:
    """The report's four treatments of a photo's contrast, by name. gray and each result: (H, W) float in [0, 1].

    Raises UserError below 8x8 pixels. A photo of one level has no contrast to treat and comes back as it is; so does
    one whose 2nd and 98th percentiles are equal, from the stretching.
    """
    if min(gray.shape) < SMALLEST_SIDE:
        size = f"{gray.shape[1]}x{gray.shape[0]}"
        raise UserError(f"the photo is {size} pixels; its contrast figure needs {SMALLEST_SIDE} or more on each side")
    low, high = np.percentile(gray, (2, 98))
    unstretchable = high - low < LEAST_CONTRAST
    flat = np.ptp(gray) < LEAST_CONTRAST
    return {
        "Low contrast": gray if flat else 0.25 + gray / 2,
        "Contrast stretching": gray if unstretchable else exposure.rescale_intensity(gray, in_range=(low, high)),
        "Histogram equalization": gray if flat else exposure.equalize_hist(gray),
        "Adaptive equalization": gray if flat else exposure.equalize_adapthist(gray, clip_limit=0.03),
    }


def draw_exploration(rgb: np.ndarray, path: Path) -> None:
    """Draw the photo, its Lab planes, and the treatments of its L with their histograms. rgb: (H, W, 3) uint8.

    A photo over 1024 pixels is drawn, and its histograms counted, at 1024. The PNG is written whole or not at all.
    Raises UserError without matplotlib and below 8x8 pixels.
    """
    try:
        from matplotlib.colors import LinearSegmentedColormap
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise UserError('drawing needs matplotlib: pip install -e ".[plots]"') from error
    rgb = _reduced(rgb)
    planes = lab_planes(rgb)
    treatments = {"Original": planes[..., 0]} | contrast_treatments(planes[..., 0])
    green_magenta = LinearSegmentedColormap.from_list("a", ["#00a878", "#f2f2f2", "#d4007f"])
    blue_yellow = LinearSegmentedColormap.from_list("b", ["#0061d1", "#f2f2f2", "#d9a800"])

    tall = 3.15 * float(np.clip(rgb.shape[0] / rgb.shape[1], 0.25, 1.6))  # inches of a picture that is 3.15 wide
    figure = Figure(figsize=(16, 2 * tall + 4.3), dpi=100, layout="constrained")
    halves: Any = figure.subfigures(2, 1, height_ratios=(tall + 0.5, tall + 3.8))
    top, bottom = halves

    pictures = (rgb, planes, *np.moveaxis(planes, 2, 0))
    titles = ("Photo", "Lab, scaled to [0, 1]", "L: dark to light", "a: green to magenta", "b: blue to yellow")
    maps = (None, None, "gray", green_magenta, blue_yellow)
    for axes, picture, title, cmap in zip(top.subplots(1, 5), pictures, titles, maps, strict=True):
        axes.imshow(picture, cmap=cmap, vmin=0, vmax=1)
        axes.set_title(title)
        axes.axis("off")

    grid = bottom.subplots(2, len(treatments), height_ratios=(tall, 2.6))
    for column, (name, gray) in enumerate(treatments.items()):
        picture, histogram = grid[:, column]
        picture.imshow(gray, cmap="gray", vmin=0, vmax=1)
        picture.set_title(name)
        picture.axis("off")
        counts, edges = np.histogram(gray, bins=256, range=(0, 1))
        histogram.stairs(100 * counts / gray.size, edges, fill=True, color="0.25")
        histogram.set(xlim=(-0.02, 1.02), xlabel="lightness, L / 100")
        cumulative = histogram.twinx()
        cumulative.plot(edges[1:], 100 * np.cumsum(counts) / gray.size, color="red")
        cumulative.set_ylim(0, 103)
        cumulative.tick_params(axis="y", colors="red")
        if column == 0:
            histogram.set_ylabel("pixels in each of 256 bins, %")
        if column == len(treatments) - 1:
            cumulative.set_ylabel("pixels up to this lightness, %", color="red")

    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Title": FIGURE_TITLE})


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m pix2pix.exploration", description="Print the Lab ranges of a photo and draw its exploration."
    )
    parser.add_argument("photo", type=Path, help="the photo to explore")
    parser.add_argument("-o", "--output", type=Path, help="PNG to write (default: PHOTO-exploration.png, here)")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    output = args.output or Path(f"{args.photo.stem}-exploration.png")
    rgb = np.array(read_photo(args.photo))
    _check_output(output, args.photo)
    print(f"Image dimensions: {rgb.shape}", "Channels:", sep="\n")
    for name, (low, high) in lab_ranges(rgb).items():
        print(f"{name} : min={low:.4f}, max={high:.4f}")
    draw_exploration(rgb, output)
    print(f"wrote {output}")


def _lab(rgb: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 sRGB to (H, W, 3) float64 Lab."""
    batch = torch.tensor(rgb).permute(2, 0, 1)[None].double() / 255
    return rgb_to_lab(batch)[0].permute(1, 2, 0).numpy()


def _reduced(rgb: np.ndarray) -> np.ndarray:
    """The photo at no more than 1024 pixels on its long side; a strip that has 8 rows or columns keeps 8."""
    factor = LARGEST_DRAWN_SIDE / max(rgb.shape[:2])
    if factor >= 1:
        return rgb
    height, width = (max(round(side * factor), min(side, SMALLEST_SIDE)) for side in rgb.shape[:2])
    return np.array(Image.fromarray(rgb).resize((width, height), Image.Resampling.LANCZOS))


def _check_output(output: Path, photo: Path) -> None:
    """Refuse an output that cannot be written as a PNG or that would replace anything but an earlier exploration."""
    if output.suffix.lower() != ".png":
        raise UserError(f"{output}: the figure is a PNG; give a name that ends in .png")
    if not output.parent.is_dir():
        raise UserError(f"{output.parent} is not a folder; create it first")
    if not output.exists():
        return
    if output.samefile(photo):
        raise UserError(f"{output} is the photo itself; give another name with -o")
    with contextlib.suppress(OSError, Image.DecompressionBombError), Image.open(output) as earlier:
        if earlier.info.get("Title") == FIGURE_TITLE:
            return
    raise UserError(f"{output} exists and is no exploration figure; move it or give another name with -o")


if __name__ == "__main__":
    run_script(main)
