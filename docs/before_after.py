"""Draw the README's picture and the model card's into docs/images: python docs/before_after.py [--weights FILE]

The photos are scikit-image's samples, cut to squares: astronaut, hubble_deep_field (both NASA, public domain), coffee
(Rachel Michetti, CC0), chelsea (Stefan van der Walt, CC0), rocket (SpaceX, CC0), retina (Haggstrom, Medical gallery
2014, CC0) and immunohistochemistry (CMMI, no known copyright restrictions). The network sees their lightness alone.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from skimage import data

from pix2pix.errors import run_script
from pix2pix.evaluation.figures import draw_sheet
from pix2pix.inference import Colorizer, gray_batch

SIDE = 256
IMAGES = Path(__file__).parent / "images"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="default: the shipped weights")
    colorizer = Colorizer(parser.parse_args().weights, device="cpu")
    everyday = [data.astronaut(), data.coffee(), data.chelsea(), data.rocket()]
    draw(colorizer, everyday, IMAGES / "before_after.png")
    unlike = [data.retina(), data.immunohistochemistry(), data.hubble_deep_field()]
    draw(colorizer, unlike, IMAGES / "unlike_the_training_photos.png")


def draw(colorizer: Colorizer, photos: list[np.ndarray], path: Path) -> None:
    real = torch.stack([square(photo) for photo in photos])
    gray = gray_batch(real)
    draw_sheet([("gray", gray), ("colorized", colorizer.colorize(gray)), ("real", real)], [{}] * len(photos), path)


def square(photo: np.ndarray) -> torch.Tensor:
    height, width = photo.shape[:2]
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    cut = Image.fromarray(photo).crop((left, top, left + side, top + side)).resize((SIDE, SIDE))
    return torch.from_numpy(np.array(cut)).permute(2, 0, 1)


if __name__ == "__main__":
    run_script(main)
