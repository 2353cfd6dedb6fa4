"""How much of a folder's time is hidden: several photos are read, colorized and written at the same time.

    python benchmarks/folders.py                       # a minute or two
    python benchmarks/folders.py --device cuda         # the real network too, against the network alone

With a network that returns at once, a folder should go at the rate of the same threads that only read and write.
"""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import numpy as np
import torch
from measure import Report, alternate, make_photos, parser, speedup, timed
from PIL import Image
from torch import Tensor

from pix2pix.inference import Colorizer
from pix2pix.photofile.colorize import load_pages, write_photo
from pix2pix.photofile.folder import colorize_files
from pix2pix.photofile.tasks import Task, plan_tasks

THREADS = 1 + torch.get_num_threads()  # as many as colorize_files takes on the CPU


class InstantColorizer:
    """In place of a Colorizer: the same real photo's colors for every photo, at once."""

    takes_points, size = True, 128
    device = torch.device("cpu")

    def __init__(self, photo: Path) -> None:
        self.rgb = torch.from_numpy(np.asarray(Image.open(photo)).copy()).permute(2, 0, 1)[None]

    def colorize_lightness(self, lightness: Tensor, *_: object, **__: object) -> Tensor:
        return self.rgb


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--photos", type=int, default=200, help="in the folder (default: 200)")
    flags.add_argument("--device", help="colorize with the real network too, on this device")
    args = flags.parse_args()
    report = Report("folders", args)
    with tempfile.TemporaryDirectory() as folder:
        photos = make_photos(Path(folder, "photos"), args.photos, 640, 480)
        tasks = plan_tasks([photos[0].parent], Path(folder, "out")).tasks
        instant = InstantColorizer(photos[0])
        sides = {
            "reading and writing in threads": lambda: timed(lambda: read_and_write(tasks, instant)),
            "the folder, network at once": lambda: timed(lambda: colorize_all(instant, tasks)),
        }
        if args.device:
            colorizer = Colorizer(device=args.device)
            pages = [load_pages(task.source, name="") for task in tasks]
            sides["network and colors alone"] = lambda: timed(lambda: color(colorizer, pages))
            sides["the folder"] = lambda: timed(lambda: colorize_all(colorizer, tasks))
        seconds = alternate(sides, args.runs)
        report.keep(seconds)
        for name, values in seconds.items():
            report.add(f"{name}, {THREADS} threads", args.photos / median(values), "photos/s")
        share = speedup(seconds, "the folder, network at once", "reading and writing in threads")
        report.add("the folder, network at once / reading and writing in threads", share, at_least=0.9)
        if args.device:
            share = speedup(seconds, "the folder", "network and colors alone")
            report.add("the folder / network and colors alone", share, at_least=0.9)
    report.write()


def read_and_write(tasks: list[Task], instant: InstantColorizer) -> None:
    """What each photo takes beside the network, in as many threads."""
    picture = instant.rgb[0].permute(1, 2, 0).numpy()

    def one(task: Task) -> None:
        write_photo(load_pages(task.source, name=""), [picture], task.target, name="")

    with ThreadPoolExecutor(THREADS, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        list(pool.map(one, tasks))


def colorize_all(colorizer: Colorizer | InstantColorizer, tasks: list[Task]) -> None:
    for _, result in colorize_files(colorizer, tasks, lambda task: ((), [])):
        if isinstance(result, Exception):
            raise result


def color(colorizer: Colorizer, pages: list) -> None:
    for (page,) in pages:
        colorizer.colorize_lightness(page.lightness)


if __name__ == "__main__":
    main()
