"""Building the cache by threads against Pillow alone, decoding and resizing in as many processes: one per core.

python benchmarks/cache_building.py                # about a minute on two cores
python benchmarks/cache_building.py --photos 200 --runs 1
"""

from __future__ import annotations

import argparse
import contextlib
import io
import multiprocessing
import shutil
import tempfile
import time
from pathlib import Path
from statistics import median

from measure import Report, alternate, make_photos, parser, speedup, timed
from PIL import Image

from pix2pix.data.cache import prepare_photos
from pix2pix.data.photos import find_photos
from pix2pix.threads import count_cores

TARGET = 0.8


def main() -> None:
    flags = parser(__doc__, runs=3)
    flags.add_argument("--photos", type=int, default=1000, help="different ones, each used --times (default: 1000)")
    flags.add_argument("--times", type=int, default=4, help="how often each photo is there (default: 4)")
    flags.add_argument("--size", type=int, default=256, help="of the decoded photos (default: 256)")
    args = flags.parse_args()
    report = Report("cache_building", args)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_photos(folder / "photos" / "0", args.photos, 640, 480)
        for number in range(1, args.times):
            shutil.copytree(folder / "photos" / "0", folder / "photos" / str(number))
        measure(report, args, folder)
    report.write()


def measure(report: Report, args: argparse.Namespace, folder: Path) -> None:
    photos, cores = find_photos([folder / "photos"]), count_cores()

    def build(workers: int) -> float:
        shutil.rmtree(folder / "cache", ignore_errors=True)
        with contextlib.redirect_stderr(io.StringIO()):  # the progress bar
            return timed(lambda: prepare_photos(photos, args.size, cache=folder / "cache", workers=workers))

    def pillow_alone() -> float:
        """Without the start of its processes."""
        tasks = [(photo.file, args.size) for photo in photos]
        with multiprocessing.get_context("spawn").Pool(cores) as pool:
            pool.map(decode, tasks[:cores], chunksize=1)
            start = time.perf_counter()
            pool.map(decode, tasks, chunksize=16)
            return time.perf_counter() - start

    sides = {"the cache": lambda: build(cores), "Pillow alone": pillow_alone}
    seconds = alternate(sides, args.runs)
    report.keep(seconds)
    for side, values in seconds.items():
        report.add(
            f"{len(photos)} photos of 640x480 to {args.size} px: {side}", len(photos) / median(values), "photos/s"
        )
    report.add("the cache / Pillow alone", speedup(seconds, "the cache", "Pillow alone"), "", at_least=TARGET)


def decode(task: tuple[str, int]) -> None:
    path, size = task
    with Image.open(path) as image:
        image.convert("RGB").resize((size, size), Image.Resampling.BICUBIC)


if __name__ == "__main__":
    main()
