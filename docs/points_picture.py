"""Draw docs/images/points.png, a photo colorized with a few points: python docs/points_picture.py [--weights FILE]

The photo is scikit-image's astronaut (NASA, public domain). Her suit is orange, which no lightness can tell. The
weights have to take points.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image, ImageColor, ImageDraw
from skimage import data

from pix2pix import Colorizer, Point
from pix2pix.errors import run_script

PICTURE = Path(__file__).parent / "images" / "points.png"
POINTS = [Point(110, 395, "#d2622a"), Point(325, 330, "#d2622a"), Point(310, 150, "#a8a39a")]
SIDE, GAP, RING = 320, 8, 7  # pixels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="default: the shipped weights")
    colorizer = Colorizer(parser.parse_args().weights, device="cpu")
    photo = Image.fromarray(data.astronaut()).convert("L")
    pictures = [
        with_rings(photo.convert("RGB").resize((SIDE, SIDE)), SIDE / photo.width),
        colorizer.colorize(photo).resize((SIDE, SIDE)),
        colorizer.colorize(photo, points=POINTS).resize((SIDE, SIDE)),
    ]
    sheet = Image.new("RGB", (3 * SIDE + 2 * GAP, SIDE), "white")
    for column, picture in enumerate(pictures):
        sheet.paste(picture, (column * (SIDE + GAP), 0))
    sheet.save(PICTURE, optimize=True)
    print(f"wrote {PICTURE}")


def with_rings(picture: Image.Image, scale: float) -> Image.Image:
    """The picture with a ring in its point's color at every point."""
    draw = ImageDraw.Draw(picture)
    for point in POINTS:
        x, y = point.x * scale, point.y * scale
        box = (x - RING, y - RING, x + RING, y + RING)
        draw.ellipse(box, fill=ImageColor.getrgb(point.color), outline="white", width=2)
    return picture


if __name__ == "__main__":
    run_script(main)
