"""Films: how steady their colors are, frames a second, and memory.

    python benchmarks/films.py                     # about ten minutes on two cores
    python benchmarks/films.py --frames 12 --size 64 --no-speed
    python benchmarks/films.py --long              # and a film of 20 minutes, whose memory has to stay flat

The clips are made here, with PyAV: pans and zooms over scikit-image's photos, whose motion is therefore known, and a
still picture, all with film grain. Every result is measured on the frames of the written film.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from statistics import median

import av
import numpy as np
import torch
from measure import Report, make_photo, parser, run_process
from skimage import data
from torch import Tensor

from pix2pix.evaluation.metrics import colorfulness
from pix2pix.inference import Colorizer
from pix2pix.video.colorize import colorize_film
from pix2pix.video.steadiness import Clip, color_distribution_consistency, move_over, warping_error
from pix2pix.video.steady import each_alone, steady_colors
from pix2pix.video.view import Colors

CLIP = (192, 256)
GRAIN = 4.0  # the standard deviation of the clips' noise, of 255
MOVES = {  # the first and the last frame's (left, top, width, height), in shares of the photo
    "slow pan": ((0.0, 0.1, 0.6, 0.6), (0.2, 0.1, 0.6, 0.6)),
    "fast pan": ((0.0, 0.1, 0.4, 0.4), (0.6, 0.1, 0.4, 0.4)),
    "zoom": ((0.25, 0.25, 0.5, 0.5), (0.05, 0.05, 0.9, 0.9)),
    "still": ((0.1, 0.1, 0.8, 0.8), (0.1, 0.1, 0.8, 0.8)),
}
SPEEDS = {(640, 480): 12.0, (1920, 1080): 4.0}  # frames a second to reach on two cores


def main() -> None:
    flags = parser(__doc__, runs=1)
    flags.add_argument("--frames", type=int, default=24, help="of each clip (default: 24)")
    flags.add_argument("--photos", type=int, default=4, help="that each clip is made from (default: 4)")
    flags.add_argument("--size", type=int, help="as colorize.py's")
    flags.add_argument("--weights", type=Path, help="as colorize.py's")
    flags.add_argument("--no-speed", action="store_true", help="steadiness alone")
    flags.add_argument("--long", action="store_true", help="a film of 20 minutes too")
    args = flags.parse_args()
    report = Report("films", args)
    with tempfile.TemporaryDirectory() as folder:
        measure_steadiness(report, args, Path(folder))
        if not args.no_speed:
            measure_speed(report, args, Path(folder))
        if args.long:
            measure_long(report, args, Path(folder))
    report.write()


def measure_steadiness(report: Report, args: argparse.Namespace, folder: Path) -> None:
    """Every frame by itself beside the averaged colors, and the photo's own colors beside both."""
    colorizer = Colorizer(args.weights, size=args.size)
    photos = [data.astronaut(), data.coffee(), data.chelsea(), data.rocket()][: args.photos]
    for name, (start, end) in MOVES.items():
        clips = [move_over(photo, start, end, args.frames, CLIP) for photo in photos]
        rows: dict[str, list[Tensor]] = {"the photo's own": [with_grain(clip.frames) for clip in clips]}
        methods: dict[str, Colors] = {"each frame alone": each_alone, "averaged": steady_colors}
        for method, colors in methods.items():
            rows[method] = [colorized(colorizer, clip, colors, folder) for clip in clips]
        for row, films in rows.items():
            consistency = np.mean([color_distribution_consistency(film) for film in films])
            warping = np.mean([warping_error(film, clip) for film, clip in zip(films, clips, strict=True)])
            strength = np.mean([float(colorfulness(film).mean()) for film in films])
            report.add(f"{name}, {row}: CDC x 10,000", 1e4 * float(consistency))
            report.add(f"{name}, {row}: warping error", float(warping), "of a and b")
            report.add(f"{name}, {row}: colorfulness", float(strength))


def with_grain(frames: Tensor) -> Tensor:
    """uint8 (N, 3, H, W) with the same noise in R, G and B, another in each frame."""
    rng = torch.Generator().manual_seed(0)
    noise = GRAIN * torch.randn((len(frames), 1, *frames.shape[2:]), generator=rng)
    return (frames + noise).round().clamp(0, 255).to(torch.uint8)


def colorized(colorizer: Colorizer, clip: Clip, colors: Colors, folder: Path) -> Tensor:
    """A clip through a gray film and `colorize_film`: uint8 (N, 3, H, W)."""
    gray = with_grain(clip.frames).float().mean(dim=1).round().to(torch.uint8)
    write_gray(folder / "clip.mkv", iter(gray.numpy()), codec="ffv1")
    colorize_film(
        colorizer, folder / "clip.mkv", folder / "new.mkv", name="clip.mkv", colors=colors, show_progress=False
    )
    with av.open(str(folder / "new.mkv")) as file:
        frames = [torch.from_numpy(frame.to_ndarray(format="rgb24")) for frame in file.decode(video=0)]
    return torch.stack(frames).permute(0, 3, 1, 2)


def write_gray(path: Path, frames: Iterable[np.ndarray], *, codec: str = "libx264", rate: int = 24) -> None:
    """A film of gray frames (H, W) uint8, in limited range."""
    with av.open(str(path), "w") as file:
        stream = None
        for number, gray in enumerate(frames):
            if stream is None:
                stream = file.add_stream(codec, rate=rate, width=gray.shape[1], height=gray.shape[0])
                assert isinstance(stream, av.VideoStream)
                stream.pix_fmt = "yuv420p"
                stream.codec_context.time_base = Fraction(1, rate)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(gray), "gray").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, rate)
            file.mux(stream.encode(frame))
        assert stream is not None
        file.mux(stream.encode(None))


def panned(width: int, height: int, count: int) -> Iterator[np.ndarray]:
    """Gray frames of a slow pan to and fro, with grain, and a cut every ten seconds."""
    rng = np.random.default_rng(0)
    for number in range(count):
        if number % 240 == 0:
            photo = np.asarray(make_photo(width + 240, height, number).convert("L")).astype(np.int16)
        left = number % 240
        noise = rng.integers(-6, 7, (height // 8, width)).repeat(8, axis=0)
        yield (photo[:height, left : left + width][: len(noise)] + noise).clip(0, 255).astype(np.uint8)


def measure_speed(report: Report, args: argparse.Namespace, folder: Path) -> None:
    """Everything included: the time of the same film with three times as many frames, less the short one's start."""
    for (width, height), wanted in SPEEDS.items():
        seconds = {}
        for count in (24, 96):
            film = folder / f"{width}-{count}.mp4"
            write_gray(film, panned(width, height, count))
            seconds[count] = median(timed_command(film, args) for _ in range(args.runs))
        rate = 72 / max(seconds[96] - seconds[24], 1e-3)
        report.add(f"{width}x{height}, a slow pan", rate, "frames/s", at_least=wanted)
    colorizer = Colorizer(args.weights, size=args.size)
    before = time.process_time()
    colorize_film(colorizer, folder / "640-96.mp4", folder / "new.mp4", name="film", show_progress=False)
    report.add("640x480, processor time", 1000 * (time.process_time() - before) / 96, "ms a frame")


def timed_command(film: Path, args: argparse.Namespace) -> float:
    words = ["colorize.py", film, "-o", film.with_name("new.mp4"), "--overwrite"]
    for flag, value in (("--size", args.size), ("--weights", args.weights)):
        words += [flag, value] if value else []
    return run_process(*map(str, words)).seconds


def measure_long(report: Report, args: argparse.Namespace, folder: Path) -> None:
    """The highest memory for one minute, and for twenty."""
    peaks = {}
    for minutes in (1, 20):
        film = folder / f"{minutes}-minutes.mp4"
        write_gray(film, panned(320, 240, minutes * 60 * 24))
        new = film.with_name("new.mp4")
        peaks[minutes] = run_process("colorize.py", film, "-o", new, "--overwrite", "--size", "32").memory / 2**20
        report.add(f"{minutes} minutes of 320x240: highest memory", peaks[minutes], "MiB")
    report.add("20 minutes / 1 minute: memory", peaks[20] / peaks[1], "times", at_most=1.1)


if __name__ == "__main__":
    os.environ.setdefault("TQDM_DISABLE", "1")
    sys.exit(main())
