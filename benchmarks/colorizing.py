"""colorize.py's start, its time and memory on large photos, its folders, and other colorizers' networks.

    python benchmarks/colorizing.py                    # a few minutes
    python benchmarks/colorizing.py --megapixels 2 --photos 20 --runs 1

Whole processes are compared with `import torch`, with Pillow's decoding and encoding of the same file (at the quality
that colorize.py writes), and a folder with its slowest part alone.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from pathlib import Path
from statistics import median

import torch
from ddcolor import DDColorTiny
from measure import Report, alternate, make_photo, make_photos, parser, run_process, speedup, timed
from PIL import Image
from siggraph17 import Siggraph17Generator

from pix2pix.inference import Colorizer
from pix2pix.photofile.read import read_pages
from pix2pix.photofile.write import QUALITY, write_pages
from pix2pix.prediction import predict_ab

SIZE = 256  # of the photos that the networks are compared on


def main() -> None:
    flags = parser(__doc__)
    flags.add_argument("--megapixels", type=float, nargs="+", default=[12, 50], help="large photos (default: 12 50)")
    flags.add_argument("--photos", type=int, default=200, help="in the folder (default: 200)")
    args = flags.parse_args()
    report = Report("colorizing", args)
    with tempfile.TemporaryDirectory() as folder:
        measure_start(report, args, Path(folder))
        for megapixels in args.megapixels:
            measure_large(report, args, Path(folder), megapixels)
        measure_folder(report, args, Path(folder))
    measure_networks(report, args)
    report.write()


def measure_start(report: Report, args: argparse.Namespace, folder: Path) -> None:
    """The whole process for a small photo."""
    photo = folder / "small.jpg"
    make_photo(512, 384, 0).save(photo)
    sides = {
        "import torch": lambda: run_process("-c", "import torch").seconds,
        "small photo": lambda: run_process("colorize.py", photo, "-o", folder / "small-out.jpg", "--overwrite").seconds,
    }
    seconds = alternate(sides, args.runs)
    report.keep(seconds)
    report.add("python -c 'import torch'", median(seconds["import torch"]), "s")
    ratio = speedup(seconds, "import torch", "small photo")
    report.add("cold start for a 512x384 photo / import torch", ratio, "times", at_most=1.4)


def measure_large(report: Report, args: argparse.Namespace, folder: Path, megapixels: float) -> None:
    """A large JPEG's time and memory beyond those of importing torch."""
    height = round(math.sqrt(megapixels * 1e6 * 3 / 4))
    width = round(megapixels * 1e6 / height)
    photo, written, name = folder / "large.jpg", folder / "large-out.jpg", f"{megapixels:g} megapixels"
    make_photo(width, height, 1).save(photo, quality=90)
    memory: dict[str, list[int]] = {"torch": [], "colorize": []}

    def child(kind: str, *words: str | Path) -> float:
        done = run_process(*words)
        memory[kind].append(done.memory)
        return done.seconds

    def pillow() -> None:
        with Image.open(photo) as image:
            image.load()
            image.save(written, **QUALITY["JPEG"])

    sides = {
        f"{name}: import torch": lambda: child("torch", "-c", "import torch"),
        f"{name}: colorize.py": lambda: child("colorize", "colorize.py", photo, "-o", written, "--overwrite"),
        f"{name}: Pillow": lambda: timed(pillow),
    }
    seconds = alternate(sides, args.runs)
    report.keep(seconds)
    torch_alone, whole, pillow_alone = (median(values) for values in seconds.values())
    report.add(f"{name}, JPEG of {photo.stat().st_size / 1e6:.1f} MB: Pillow alone", pillow_alone, "s")
    report.add(f"{name}: beyond importing torch", whole - torch_alone, "s")
    report.add(f"{name}: beyond importing torch / Pillow", (whole - torch_alone) / pillow_alone, "times", at_most=4)
    used = (median(memory["colorize"]) - median(memory["torch"])) / (width * height)
    report.add(f"{name}: peak memory beyond importing torch", used, "bytes a pixel", at_most=12)
    photo.unlink()


def measure_folder(report: Report, args: argparse.Namespace, folder: Path) -> None:
    """`colorize.py FOLDER`, less the start, against reading, coloring and writing each alone."""
    photos = make_photos(folder / "photos", args.photos, 640, 480)
    colorizer, out = Colorizer(device="cpu"), folder / "out"
    out.mkdir()
    pages = [read_pages(photo, photo.name) for photo in photos]
    colored = [colorizer.colorize_lightness(page[0].lightness)[0].permute(1, 2, 0).numpy() for page in pages]

    def read() -> None:
        for photo in photos:
            read_pages(photo, photo.name)

    def network() -> None:
        for page in pages:
            colorizer.colorize_lightness(page[0].lightness)

    def write() -> None:
        for photo, page, rgb in zip(photos, pages, colored, strict=True):
            write_pages(page, [rgb], out / photo.name)

    one = photos[0]
    sides = {
        "reading alone": lambda: timed(read),
        "network and colors alone": lambda: timed(network),
        "writing alone": lambda: timed(write),
        "one photo, whole process": lambda: run_process("colorize.py", one, "-o", out / "0.jpg", "--overwrite").seconds,
        "folder, whole process": lambda: run_process("colorize.py", one.parent, "-o", out, "--overwrite").seconds,
    }
    seconds = alternate(sides, min(args.runs, 3))
    report.keep(seconds)
    parts = {name: median(values) for name, values in seconds.items() if name.endswith("alone")}
    for name, part in parts.items():
        report.add(f"folder of {args.photos}: {name}", args.photos / part, "photos/s")
    whole = median(seconds["folder, whole process"]) - median(seconds["one photo, whole process"])
    rate = (args.photos - 1) / whole
    report.add(f"folder of {args.photos}: all of it", rate, "photos/s")
    report.add("folder: of what the slowest part reaches alone", rate * max(parts.values()) / args.photos, at_least=0.8)


@torch.inference_mode()
def measure_networks(report: Report, args: argparse.Namespace) -> None:
    """The networks alone at 256x256, one photo at a time, in float32 (colorize.py takes bf16 where faster)."""
    lightness = torch.rand(1, 1, SIZE, SIZE) * 2 - 1
    colorizer = Colorizer(device="cpu")
    colorizer.generator.float()
    others = {
        "SIGGRAPH17 (Zhang et al. 2017)": Siggraph17Generator().eval(),
        "DDColor-tiny (Kang et al. 2023)": DDColorTiny().eval(),
    }
    try:
        from report_pipeline import dynamic_unet

        others["the report's DynamicUnet"] = dynamic_unet().eval()
    except ImportError:
        print('the report\'s DynamicUnet is left out; it needs: pip install -e ".[fastai]"', file=sys.stderr)
    for network in others.values():
        network.to(memory_format=torch.channels_last)
    working = (colorizer.size, colorizer.size)
    sides = {
        "ours, working at 128": lambda: timed(lambda: predict_ab(colorizer.generator, lightness, working)),
        "ours, working at 256": lambda: timed(lambda: colorizer.generator(lightness)),
    }
    sides |= {name: lambda net=network: timed(lambda: net(lightness)) for name, network in others.items()}
    seconds = alternate(sides, max(args.runs, 5))
    report.keep(seconds)
    for name, values in seconds.items():
        report.add(f"network at {SIZE}x{SIZE}: {name}", 1 / median(values), "photos/s")
    for name in others:
        for own in ("ours, working at 128", "ours, working at 256"):
            report.add(f"{own} / {name}", speedup(seconds, own, name), "times")


if __name__ == "__main__":
    main()
