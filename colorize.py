"""Colour black-and-white photos, at their own size.

python colorize.py photo.jpg                   # writes photo-colorized.jpg beside it
python colorize.py scans/ *.png                # folders (searched recursively) and several photos
python colorize.py scans/ -o coloured/         # into a folder, with the same names and subfolders
python colorize.py photo.jpg --weights runs/002-gan
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from tqdm import tqdm

from pix2pix.errors import UserError, run_script
from pix2pix.files import replacing
from pix2pix.inference import Colorizer
from pix2pix.photos import PHOTO_SUFFIXES, find_photos, read_photo

SUFFIX = "-colorized"
SAVE_OPTIONS = {
    ".jpg": {"quality": 95, "subsampling": 0},
    ".jpeg": {"quality": 95, "subsampling": 0},
    ".webp": {"quality": 95},
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("photos", type=Path, nargs="+", metavar="PHOTO", help="photos, or folders of photos")
    add("-o", "--output", type=Path, help="the file for a single photo, else a folder (default: beside each photo)")
    add("--weights", type=Path, metavar="FILE|RUN", help="default: the shipped weights, else the latest run's")
    add("--strength", type=float, default=1.0, help="of the colours, 0 (gray) to 2 (default: 1)")
    add("--overwrite", action="store_true", help="replace coloured photos that are already there")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    add("--runs", type=Path, default=Path("runs"), help="the folder of all runs")
    args = parser.parse_args()
    if not 0 <= args.strength <= 2:
        parser.error("--strength must be between 0 and 2")
    return args


def main() -> int:
    args = parse_args()
    tasks, failed = plan(args.photos, args.output)
    waiting = []
    for source, target in tasks:
        if target.exists() and not args.overwrite:
            print(f"{target} is already there, left as it is (--overwrite replaces it)")
        else:
            waiting.append((source, target))
    if waiting:
        colorizer = Colorizer(args.weights, strength=args.strength, device=args.device, runs=args.runs)
        bar = tqdm(waiting, unit="photo", disable=len(waiting) == 1)
        for source, target in bar:
            try:
                colorize_file(colorizer, source, target)
                bar.write(f"{source} -> {target}")
            except UserError as error:
                failed.append(str(error))
                bar.write(f"error: {error}", file=sys.stderr)
    if len(failed) > 1 or (failed and len(tasks) > 1):
        print(f"{len(failed)} could not be coloured:", *failed, sep="\n  ", file=sys.stderr)
    return 1 if failed else 0


def plan(sources: list[Path], output: Path | None) -> tuple[list[tuple[Path, Path]], list[str]]:
    """(photo, where its coloured version goes) for every photo of the sources, and the sources that give none.

    Coloured photos of an earlier run, by their name, are no sources when a folder is searched. Raises UserError when
    two photos would be written to one file, or one over itself.
    """
    tasks: list[tuple[Path, Path]] = []
    failed = []
    to_file = output is not None and output.suffix.lower() in PHOTO_SUFFIXES and not output.is_dir()
    for source in sources:
        if not source.is_dir():
            if not source.exists():
                failed.append(f"there is no {source}")
                print(f"error: {failed[-1]}", file=sys.stderr)
                continue
            tasks.append((source, output if to_file else target_of(source, Path(source.name), output)))
            continue
        if to_file:
            raise UserError(f"{output} is one file and {source} a folder; give a folder with -o")
        try:
            names = [Path(photo.name) for photo in find_photos([source])]
        except UserError as error:
            failed.append(str(error))
            print(f"error: {error}", file=sys.stderr)
            continue
        tasks += [(source / n, target_of(source / n, n, output)) for n in names if not n.stem.endswith(SUFFIX)]
    if to_file and len(tasks) > 1:
        raise UserError(f"{len(tasks)} photos cannot all be written to {output}; give a folder with -o")
    owner: dict[Path, Path] = {}
    for source, target in tasks:
        if target.absolute() == source.absolute():
            raise UserError(f"{source} would be written over itself; give another file or folder with -o")
        if owner.setdefault(target.absolute(), source) != source:
            raise UserError(f"{owner[target.absolute()]} and {source} would both be written to {target}")
    return list(dict.fromkeys(tasks)), failed


def target_of(source: Path, name: Path, output: Path | None) -> Path:
    """Beside the photo as NAME-colorized, or under the folder `output` with the photo's own name."""
    kept = name.suffix.lower() in PHOTO_SUFFIXES and name.suffix.lower() != ".gif"  # a GIF has too few colours
    added = "" if kept else ".png"
    if output is None:
        return source.with_name(f"{source.stem}{SUFFIX}{source.suffix}{added}")
    return output / f"{name}{added}"


def colorize_file(colorizer: Colorizer, source: Path, target: Path) -> None:
    """Write the coloured photo whole or not at all. Raises UserError, naming the photo and the reason."""
    image = read_photo(source)
    try:
        coloured = colorizer.colorize(image)
    except (MemoryError, torch.OutOfMemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "memory" not in str(error):
            raise
        raise UserError(
            f"{source} ({image.width}x{image.height}) needs more memory than there is; close other programs, use "
            "--device cpu, or colour a smaller copy"
        ) from error
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as temporary:
            coloured.save(temporary, **SAVE_OPTIONS.get(target.suffix.lower(), {}))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot write {target}: {getattr(error, 'strerror', None) or error}") from error


if __name__ == "__main__":
    run_script(main)
