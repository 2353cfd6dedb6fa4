"""Draw docs/images/before_after.png, the README's picture: python docs/before_after.py [--weights FILE]

The photos are scikit-image's samples: astronaut (NASA, public domain), coffee (Rachel Michetti, CC0), chelsea (Stefan
van der Walt, CC0) and rocket (SpaceX, CC0), cut to squares. What the network sees is their lightness alone.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from skimage import data

from pix2pix.errors import run_script
from pix2pix.figures import draw_sheet
from pix2pix.inference import Colorizer, gray_batch

SIDE = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="default: the shipped weights")
    colorizer = Colorizer(parser.parse_args().weights, device="cpu")
    photos = [square(photo) for photo in (data.astronaut(), data.coffee(), data.chelsea(), data.rocket())]
    real = torch.stack([as_tensor(photo) for photo in photos])
    gray = gray_batch(real)
    coloured = [colorizer.colorize(Image.fromarray(photo.permute(1, 2, 0).numpy())) for photo in gray]
    columns = [("gray", gray), ("coloured", torch.stack([as_tensor(photo) for photo in coloured])), ("real", real)]
    draw_sheet(columns, [{}] * len(photos), Path(__file__).parent / "images" / "before_after.png")


def square(photo: np.ndarray) -> Image.Image:
    height, width = photo.shape[:2]
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    return Image.fromarray(photo).crop((left, top, left + side, top + side)).resize((SIDE, SIDE))


def as_tensor(photo: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(photo)).permute(2, 0, 1)


if __name__ == "__main__":
    run_script(main)
