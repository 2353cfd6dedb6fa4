"""What the benchmarks share: photos to measure on, alternating runs, medians, and the table and JSON they end in."""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from statistics import median

import numpy as np
import torch
from PIL import Image
from skimage import data

from pix2pix.device import choose_precision
from pix2pix.files import write_json
from pix2pix.threads import count_cores

ROOT = Path(__file__).parent.parent
TILE = 256  # pixels of a scikit-image photo's side that a made photo is put together from


@dataclass(frozen=True)
class Line:
    """One result; `target` is the least it should be with `kind` "at least", the most with "at most"."""

    what: str
    value: float
    unit: str = ""
    kind: str = ""
    target: float | None = None

    @property
    def met(self) -> bool | None:
        """None without a target."""
        if self.target is None:
            return None
        return self.value >= self.target if self.kind == "at least" else self.value <= self.target

    def __str__(self) -> str:
        wanted = f"{self.kind} {self.target:g}: " if self.target is not None else ""
        missed = "  (missed)" if self.met is False else ""
        return f"{self.what:66} {wanted:>16}{self.value:.4g} {self.unit}{missed}".rstrip()


class Report:
    """Prints each result as it comes and keeps all for the JSON file."""

    def __init__(self, name: str, args: argparse.Namespace, device: torch.device | None = None) -> None:
        self.name, self.lines, self.runs = name, [], {}
        self.head = machine(device or torch.device("cpu"))
        self.head["flags"] = {flag: str(value) for flag, value in vars(args).items()}
        self.output = args.output or ROOT / "benchmarks" / "results" / f"{name}.json"
        print(f"{name}: {self.head['processor']}, {self.head['cores']} cores, torch {self.head['torch']}", flush=True)

    def add(
        self,
        what: str,
        value: float,
        unit: str = "",
        *,
        at_least: float | None = None,
        at_most: float | None = None,
    ) -> None:
        kind = "at least" if at_least is not None else "at most" if at_most is not None else ""
        self.lines.append(Line(what, value, unit, kind, at_least if at_least is not None else at_most))
        print(self.lines[-1], flush=True)

    def keep(self, runs: dict[str, list[float]]) -> None:
        """Every single run's seconds, for the JSON file."""
        self.runs |= runs

    def write(self) -> None:
        self.output.parent.mkdir(parents=True, exist_ok=True)
        results = [asdict(line) | {"met": line.met} for line in self.lines]
        write_json(self.output, {"name": self.name, **self.head, "results": results, "seconds": self.runs})
        print(f"written: {self.output}")


def parser(text: str, *, runs: int = 5) -> argparse.ArgumentParser:
    """A benchmark's parser with the flags that all have."""
    made = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--runs", type=int, default=runs, help=f"of each side, alternating (default: {runs})")
    made.add_argument("--output", type=Path, metavar="FILE", help="default: benchmarks/results/NAME.json")
    return made


def alternate(sides: dict[str, Callable[[], float]], runs: int) -> dict[str, list[float]]:
    """Call every side in turn, `runs` times over, after a first round that does not count.

    A side returns the seconds of what it measures. What else the machine does meanwhile falls on all sides alike.
    """
    for side in sides.values():
        side()
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(runs):
        for name, side in sides.items():
            seconds[name].append(side())
    return seconds


def speedup(seconds: dict[str, list[float]], fast: str, slow: str, *, work: tuple[float, float] = (1, 1)) -> float:
    """How many times as fast `fast` is as `slow`: of the medians; `work` is what a run of each gets done."""
    return (work[0] / median(seconds[fast])) / (work[1] / median(seconds[slow]))


def timed(work: Callable[[], object], device: torch.device | None = None) -> float:
    """The seconds that a call takes, on a GPU until it has finished there."""
    synchronize(device)
    start = time.perf_counter()
    work()
    synchronize(device)
    return time.perf_counter() - start


def synchronize(device: torch.device | None) -> None:
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device is not None and device.type == "mps":
        torch.mps.synchronize()


@dataclass(frozen=True)
class Process:
    """A finished child process: its whole time in seconds and its highest memory in bytes."""

    seconds: float
    memory: int


def run_process(*words: str | Path) -> Process:
    """Run Python with these arguments in the repository; raises RuntimeError with its output when it fails."""
    watch = (
        "import resource, subprocess, sys, time\n"
        "start = time.perf_counter()\n"
        "done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)\n"
        "seconds = time.perf_counter() - start\n"
        "if done.returncode: sys.exit(done.stdout)\n"
        "print(seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )  # a parent of its own for every child, since the system tells the highest memory of all children together
    command = [sys.executable, "-c", watch, sys.executable, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, words))} failed:\n{done.stderr}")
    seconds, memory = done.stdout.split()
    return Process(float(seconds), int(memory) * (1 if sys.platform == "darwin" else 1024))


def machine(device: torch.device) -> dict[str, object]:
    """What the numbers depend on."""
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, cwd=ROOT)
    processor = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        processor = names[0].partition(":")[2].strip() if names else processor
    return {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "commit": commit.stdout.strip(),
        "processor": processor,
        "cores": count_cores(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "precision": choose_precision(device).name,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
    }


def make_photo(width: int, height: int, seed: int) -> Image.Image:
    """A photo of any size: crops of scikit-image's photos, some mirrored, side by side at their own resolution."""
    sources = [data.astronaut(), data.coffee(), data.chelsea(), data.rocket()]
    rng = np.random.default_rng(seed)
    photo = Image.new("RGB", (width, height))
    for top in range(0, height, TILE):
        for left in range(0, width, TILE):
            source = sources[rng.integers(len(sources))]
            y, x = rng.integers(source.shape[0] - TILE + 1), rng.integers(source.shape[1] - TILE + 1)
            tile = source[y : y + TILE, x : x + TILE]
            photo.paste(Image.fromarray(tile if rng.random() < 0.5 else tile[:, ::-1].copy()), (left, top))
    return photo


def make_photos(folder: Path, count: int, width: int, height: int) -> list[Path]:
    """`count` different JPEGs in a new folder."""
    folder.mkdir(parents=True)
    paths = [folder / f"{number:05d}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        make_photo(width, height, number).save(path, quality=90)
    return paths
