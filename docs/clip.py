"""docs/images/clip.webp: a short film in gray and in color side by side, from scikit-image's free photos.

python docs/clip.py                  # with the shipped weights; needs the extra video
python docs/clip.py --weights runs/002-gan --output clip.webp
"""

from __future__ import annotations

import argparse
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image
from skimage import data

from pix2pix.errors import UserError, run_script
from pix2pix.inference import Colorizer
from pix2pix.video.colorize import colorize_film
from pix2pix.video.steadiness import move_over

SIZE = (240, 320)
RATE = 12
LARGEST = 2_000_000  # bytes
SHOTS = (  # a photo, and the first and the last frame's (left, top, width, height) in shares of it
    (data.astronaut, (0.05, 0.0, 0.75, 0.5625), (0.15, 0.05, 0.85, 0.6375)),
    (data.chelsea, (0.1, 0.1, 0.7, 0.7892), (0.3, 0.1, 0.7, 0.7892)),
    (data.rocket, (0.0, 0.2, 0.6, 0.675), (0.1, 0.05, 0.8, 0.9)),
)


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--weights", type=Path)
    flags.add_argument("--frames", type=int, default=18, help="of each of the three shots (default: 18)")
    flags.add_argument("--output", type=Path, default=Path(__file__).parent / "images" / "clip.webp")
    args = flags.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        film, new = Path(folder, "film.mkv"), Path(folder, "new.mkv")
        write_film(film, args.frames)
        colorize_film(Colorizer(args.weights), film, new, name="the clip", compare=True)
        with av.open(str(new)) as file:
            pictures = [frame.to_image() for frame in file.decode(video=0)]
    save(pictures, args.output)
    print(f"{args.output}: {len(pictures)} frames, {args.output.stat().st_size / 1e6:.2f} MB")


def write_film(path: Path, count: int) -> None:
    """The shots in gray, one after the other, `count` frames each."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("ffv1", rate=RATE, width=SIZE[1], height=SIZE[0])
        stream.pix_fmt = "gray"
        number = 0
        for photo, start, end in SHOTS:
            for frame in move_over(photo(), start, end, count, SIZE).frames:
                gray = np.asarray(Image.fromarray(frame.permute(1, 2, 0).contiguous().numpy()).convert("L"))
                picture = av.VideoFrame.from_ndarray(gray, "gray")
                picture.pts, picture.time_base = number, Fraction(1, RATE)
                file.mux(stream.encode(picture))
                number += 1
        file.mux(stream.encode(None))


def save(pictures: list[Image.Image], path: Path) -> None:
    """As an animated WebP of at most LARGEST bytes, at the best quality that gives it."""
    for quality in (80, 65, 50, 35):
        options = {"save_all": True, "append_images": pictures[1:], "duration": 1000 // RATE, "loop": 0}
        pictures[0].save(path, quality=quality, method=4, **options)
        if path.stat().st_size <= LARGEST:
            return
    raise UserError(f"{path} has more than {LARGEST / 1e6:g} MB at quality {quality}; give fewer --frames")


if __name__ == "__main__":
    run_script(main)
