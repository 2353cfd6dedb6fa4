"""From 1,000 to 1,000,000 photos: memory, start-up with a warm cache, an epoch's cost; and two processes against one.

    python benchmarks/growth.py                        # to 100,000 photos, a few minutes on two cores
    python benchmarks/growth.py --counts 1000 10000 100000 1000000     # needs 3 GB and a million files
    python benchmarks/growth.py --counts 200 400 --photos 64 --runs 1

The photos are links to a few small ones. They are cached at 32 px, and a child process starts from that cache as
train.py does, then goes through an epoch of batches: reading, crops, and Lab, the parts that see every photo.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from measure import ROOT, Report, make_photos, parser, run_process

from pix2pix.data.cache import PhotoSet, prepare_photos
from pix2pix.data.dataset import ColorizationDataset
from pix2pix.data.photos import find_photos
from pix2pix.errors import run_script
from pix2pix.threads import count_cores

SIZE, BATCH = 32, 32
LINKS = 1000  # photos in a folder


def main() -> None:
    flags = parser(__doc__, runs=3)
    flags.add_argument("--counts", type=int, nargs="+", default=[1000, 10_000, 100_000], help="of photos")
    flags.add_argument("--photos", type=int, default=512, help="for train.py by one and two processes (default: 512)")
    flags.add_argument("--epoch-of", type=Path, metavar="FOLDER", help=argparse.SUPPRESS)
    args = flags.parse_args()
    if args.epoch_of:
        go_through(args.epoch_of)
        return
    report = Report("growth", args)
    measure_counts(report, args)
    with tempfile.TemporaryDirectory() as name:
        measure_processes(report, args, Path(name))
    report.write()


def measure_counts(report: Report, args: argparse.Namespace) -> None:
    figures: dict[int, dict[str, float]] = {}
    for count in args.counts:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            link_photos(folder, count)
            with contextlib.redirect_stderr(io.StringIO()):
                open_cache(folder)
            runs = [child(folder) for _ in range(args.runs)]
        figures[count] = {key: median(run[key] for run in runs) for key in runs[0]}
        report.keep({f"{count} photos: {key}": [run[key] for run in runs] for key in runs[0]})
        report.add(f"{count} photos: start-up with a warm cache", figures[count]["start"], "s", at_most=2)
        report.add(f"{count} photos: an epoch of reading, crops and Lab", figures[count]["epoch"], "s")
        report.add(f"{count} photos: peak memory with the mapped cache", figures[count]["memory"] / 1e6, "MB")
        report.add(f"{count} photos: memory without it", figures[count]["private"] / 1e6, "MB")
    few, many = figures[args.counts[0]], figures[args.counts[-1]]
    grown = args.counts[-1] / args.counts[0]
    report.add("cost of a photo in an epoch, most / fewest photos", many["epoch"] / few["epoch"] / grown, at_most=1.1)
    report.add("memory without the cache, most / fewest photos", many["private"] / few["private"], at_most=1.1)
    per_photo = (many["private"] - few["private"]) / (args.counts[-1] - args.counts[0])
    report.add("memory that a photo more takes", per_photo, "bytes")


def link_photos(folder: Path, count: int) -> None:
    """`count` photos in folders of a thousand: hard links to a thousand different ones."""
    first = make_photos(folder / "made", min(LINKS, count), 64, 48)
    for number in range(count):
        inner = folder / "photos" / f"{number // LINKS:04d}"
        if number % LINKS == 0:
            inner.mkdir(parents=True)
        os.link(first[number % LINKS], inner / f"{number % LINKS:03d}.jpg")


def open_cache(folder: Path) -> PhotoSet:
    """The photos as train.py finds them, and their cache, built the first time."""
    cache = folder / "cache"
    return prepare_photos(find_photos([folder / "photos"], cache=cache), SIZE, cache=cache, workers=count_cores())


def child(folder: Path) -> dict[str, float]:
    """The figures of a fresh process on the photos and the cache in `folder`."""
    done = run_process("benchmarks/growth.py", "--epoch-of", folder)
    return json.loads((folder / "figures.json").read_text()) | {"memory": done.memory}


def go_through(folder: Path) -> None:
    """The child process: open the cache, then make all batches of an epoch ready for the network."""
    import torch  # what is imported counts neither as start-up nor as epoch

    from pix2pix.color import to_lab
    from pix2pix.data.augment import augment, draw_augmentation
    from pix2pix.data.dataset import batches, epoch_order

    start = time.perf_counter()
    dataset = ColorizationDataset(open_cache(folder))
    opened = time.perf_counter()
    draws = torch.Generator().manual_seed(0)
    for batch in batches(dataset, epoch_order(len(dataset), BATCH, seed=0, epoch=0)):
        to_lab(augment(batch, draw_augmentation(BATCH, draws, crop=True), SIZE))
    figures = {"start": opened - start, "epoch": time.perf_counter() - opened, "private": private_memory()}
    (folder / "figures.json").write_text(json.dumps(figures))


def private_memory() -> float:
    """Bytes that this process holds without the mapped cache, whose pages the system takes back when it needs them.

    NaN where the system does not tell (anywhere but on Linux).
    """
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((float(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon")), math.nan)


def measure_processes(report: Report, args: argparse.Namespace, folder: Path) -> None:
    """train.py itself: photos a second in its second epoch, by one process with one thread, by two, and by one with
    two threads."""
    make_photos(folder / "photos", args.photos, 320, 240)
    kinds = {"one process, one thread": (1, 1), "two processes, one thread each": (2, 1)}
    kinds["one process, two threads"] = (1, 2)
    rates: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(args.runs):
        for name, (processes, threads) in kinds.items():
            rates[name].append(train_rate(folder, processes, threads))
    for name, values in rates.items():
        report.keep({f"{name} (photos/s)": values})
        report.add(f"train.py at 128 px: {name}", median(values), "photos/s")
    one, two, threads = (median(values) for values in rates.values())
    report.add("efficiency of two processes: / two times one with one thread", two / (2 * one))
    report.add("two processes / one with two threads", two / threads)


def train_rate(folder: Path, processes: int, threads: int) -> float:
    words = ["train.py", "--stage", "pretrain", "--data", folder / "photos", "--size", 128, "--epochs", 2]
    words += ["--encoder", "none", "--device", "cpu", "--cache", folder / "cache", "--runs", folder / "runs"]
    start = ["-m", "torch.distributed.run", f"--nproc_per_node={processes}"] if processes > 1 else []
    command = [sys.executable, *map(str, start + words)]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(ROOT)}
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    run = max((folder / "runs").iterdir())
    return json.loads((run / "history.jsonl").read_text().splitlines()[-1])["photos_per_second"]


if __name__ == "__main__":
    run_script(main)
