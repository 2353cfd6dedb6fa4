"""Photos decoded and resized once, into a memory-mapped uint8 file that later runs use again.

The cache of a list of photos at one size is a folder of two files: `index.json` (near-gray and broken photos) and
`photos.npy` (N, size, size, 3). It is written under a temporary name and renamed: it is whole or absent, and two runs
may build it at once. One that was damaged later is built again.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from pix2pix.data.photos import Photo, read_photo
from pix2pix.errors import UserError
from pix2pix.locks import built_in

CACHE_VERSION = 2
NEAR_GRAY = 5.0  # mean of max(R, G, B) - min(R, G, B), of 255, under which a photo has next to no colour
MOST_BROKEN = 0.05
IN_PROCESS = 64  # as many photos are decoded faster than worker processes start
QUEUED = 2048  # photos given to the worker processes at a time, which bounds the memory
_main_hidden = threading.Lock()


@dataclass(frozen=True)
class PhotoSet:
    """Photos of one size: the usable ones in the order given, and where their pixels are.

    `near_gray` names those with next to no colour, `broken` maps unreadable ones to the reason (they are not among
    `photos`), `pixels` is the memory-mapped cache (N, size, size, 3) uint8, or None where it would not fit the disk.
    """

    photos: list[Photo]
    size: int
    near_gray: frozenset[str]
    broken: dict[str, str]
    pixels: np.ndarray | None

    def colored(self) -> np.ndarray:
        """The rows of the photos that are not near-gray."""
        return np.array([row for row, photo in enumerate(self.photos) if photo.name not in self.near_gray], dtype=int)


def prepare_photos(photos: list[Photo], size: int, *, cache: Path, workers: int, label: str = "") -> PhotoSet:
    """Decode and resize every photo once, or open what an earlier run left in `cache`.

    Broken photos are named and left out. Where the pixels would not fit the disk only the index is kept, and this is
    said. Raises UserError when no photo is usable.
    """
    cache = cache.expanduser()
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / f"{size}px-{_key(photos, size)}"
    room = shutil.disk_usage(cache).free > 1.05 * _bytes(photos, size)
    found = _identity(folder)
    index, pixels = _open(folder, len(photos), size)
    if index is None or (room and pixels is None) or _mended(photos, index["broken"], size):
        del pixels  # Windows does not replace a file that is mapped
        with built_in(cache):
            _build(photos, size, folder=folder, found=found, room=room, workers=workers, label=label)
        index, pixels = _open(folder, len(photos), size)
        if index is None:
            raise UserError(f"{folder} was damaged while it was built; run the same command again")
    broken = index["broken"]
    for reason in list(broken.values())[:5]:
        print(f"left out, broken: {reason}")
    if len(broken) > 5:
        print(f"left out, broken: {len(broken) - 5} more, listed in {folder / 'index.json'}")
    if len(broken) == len(photos):
        raise UserError(f"none of the {len(photos)} photos can be read; the first: {next(iter(broken.values()))}")
    if pixels is None:
        print(
            f"{cache} has no room for {_bytes(photos, size) / 1e9:.3g} GB of decoded photos: they are decoded anew in "
            "each epoch, by worker processes (slower; --cache names another disk)"
        )
    usable = [photo for photo in photos if photo.name not in broken]
    return PhotoSet(usable, size, frozenset(index["near_gray"]), broken, pixels)


def refuse_broken(*sets: PhotoSet) -> None:
    """Raises UserError when more than 5 % of the photos of the sets, taken together, are broken."""
    broken = {name: reason for photo_set in sets for name, reason in photo_set.broken.items()}
    total = len(broken) + sum(len(photo_set.photos) for photo_set in sets)
    if len(broken) > MOST_BROKEN * total:
        raise UserError(
            f"{len(broken)} of {total} photos are broken, more than {MOST_BROKEN:.0%}: mend or remove them; the "
            f"first: {next(iter(broken.values()))}"
        )


def squash(image: Image.Image, size: int) -> np.ndarray:
    """An RGB image resized to (size, size, 3) uint8 without keeping its aspect, bicubic, as in the report."""
    return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC))


def _bytes(photos: list[Photo], size: int) -> int:
    return len(photos) * size * size * 3


def _key(photos: list[Photo], size: int) -> str:
    """A name for these photos in this order, as they are on the disk now."""
    digest = hashlib.sha256(f"{CACHE_VERSION} {size}\n".encode())
    states: dict[str, str] = {}  # of tar files, each asked once
    for photo in photos:
        state = states.get(photo.file) or _state(photo.file)
        if photo.length is not None:
            states[photo.file] = state
        entry = f"{photo.name}\0{photo.file}\0{photo.offset}\0{state}\n"
        digest.update(entry.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:16]


def _state(file: str) -> str:
    """What changes with a file's content: its size and time."""
    try:
        stat = os.stat(file)  # noqa: PTH116
    except OSError:
        stat = os.lstat(file)  # a link to nothing; reading it will say so
    return f"{stat.st_size} {stat.st_mtime_ns}"


def _open(folder: Path, count: int, size: int) -> tuple[dict | None, np.ndarray | None]:
    """A cache's index and its pixels (count, size, size, 3), None for what is missing or damaged."""
    try:
        index = json.loads((folder / "index.json").read_text())
        index = {"near_gray": list(index["near_gray"]), "broken": dict(index["broken"])}
    except (OSError, ValueError, KeyError, TypeError):
        return None, None
    try:
        pixels = np.load(folder / "photos.npy", mmap_mode="r")
    except (OSError, ValueError, EOFError):  # missing, or cut short
        return index, None
    return index, pixels if (pixels.shape, pixels.dtype) == ((count, size, size, 3), np.uint8) else None


def _identity(folder: Path) -> tuple[int, int] | None:
    """What tells a folder from another one that took its place."""
    try:
        stat = folder.stat()
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_mtime_ns


def _mended(photos: list[Photo], broken: dict[str, str], size: int) -> bool:
    """Whether a photo that could not be read can be read now, its file being the same (permissions, a network disk)."""
    return any(_decode((photo, size))[0] is not None for photo in photos if photo.name in broken)


def _build(
    photos: list[Photo],
    size: int,
    *,
    folder: Path,
    found: tuple[int, int] | None,
    room: bool,
    workers: int,
    label: str,
) -> None:
    """Write the cache `folder`, in place of the one whose identity is `found`, but of no other: that is newer."""
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    near_gray, broken = [], {}
    try:
        rows = _lay_out(temporary / "photos.npy", len(photos), size) if room else itertools.repeat(None)
        tasks = (_Task(photo, size, temporary / "photos.npy", row) for photo, row in zip(photos, rows, strict=False))
        with closing(_decode_all(tasks, workers if len(photos) > IN_PROCESS else 0)) as results:
            bar = tqdm(results, total=len(photos), unit="photo", desc=f"decoding {label}".strip())
            for photo, (reason, colour) in zip(photos, bar, strict=True):
                if reason:
                    broken[photo.name] = reason
                elif colour < NEAR_GRAY:
                    near_gray.append(photo.name)
        if room and broken:
            kept = [row for row, photo in zip(rows, photos, strict=True) if photo.name not in broken]
            _move_rows(temporary / "photos.npy", kept, rows)
        (temporary / "index.json").write_text(json.dumps({"near_gray": near_gray, "broken": broken}))
        if found is not None and _identity(folder) == found:
            shutil.rmtree(folder, ignore_errors=True)
        try:
            temporary.rename(folder)
        except OSError:
            if not (folder / "index.json").exists():  # else another run has built the same cache meanwhile
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _lay_out(path: Path, count: int, size: int) -> range:
    """Write an array file of so many black photos; returns the bytes where their rows begin."""
    with path.open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": (count, size, size, 3)}
        np.lib.format.write_array_header_1_0(file, header)
        start, row = file.tell(), size * size * 3
        file.truncate(start + count * row)
    return range(start, start + count * row, row)


def _move_rows(path: Path, places: list[int], rows: range) -> None:
    """Close the gaps that broken photos left: the rows at the bytes `places` become the first ones of `rows`."""
    with path.open("r+b") as file:
        for place, row in zip(places, rows, strict=False):
            if place != row:
                file.seek(place)
                pixels = file.read(rows.step)
                file.seek(row)
                file.write(pixels)


class _Task(NamedTuple):
    """A photo to decode, and the byte of the file `target` to write its pixels to; None: nowhere."""

    photo: Photo
    size: int
    target: Path
    row: int | None


def _decode_all(tasks: Iterator[_Task], workers: int) -> Iterator[tuple[str, float]]:
    """`_decode_into` of every task in order, by worker processes, or in this one for 0."""
    if not workers:
        yield from map(_decode_into, tasks)
        return
    with _without_main():
        pool = multiprocessing.get_context("spawn").Pool(workers, ignore_interrupts)
    with pool:
        while queued := list(itertools.islice(tasks, QUEUED)):
            yield from pool.imap(_decode_into, queued, chunksize=16)


@contextmanager
def _without_main() -> Iterator[None]:
    """Processes started inside the block do not import the script that is running, and with it torch: these need
    nothing of it, and start in a fifth of the time. multiprocessing finds the script by the attributes hidden here."""
    names, main = ("__spec__", "__file__"), vars(sys.modules["__main__"])
    with _main_hidden:
        hidden = {name: main[name] for name in names if name in main}
        main.update(dict.fromkeys(names))
        try:
            yield
        finally:
            for name in names:
                del main[name]
            main.update(hidden)


def _decode_into(task: _Task) -> tuple[str, float]:
    """Write a photo's pixels to its place; returns why that could not be, or "", and how much colour it has."""
    pixels, reason, colour = _decode((task.photo, task.size))
    if pixels is not None and task.row is not None:
        with task.target.open("r+b") as file:  # plainly written: a full disk is an error, not a crash
            file.seek(task.row)
            file.write(pixels.tobytes())
    return reason, colour


def _decode(task: tuple[Photo, int]) -> tuple[np.ndarray | None, str, float]:
    """The pixels (size, size, 3), or None and the reason, and how much colour they have, in 0..255."""
    photo, size = task
    try:
        pixels = squash(read_photo(photo), size)
    except UserError as error:
        return None, str(error), 0.0
    return pixels, "", _colour(pixels)


def _colour(pixels: np.ndarray) -> float:
    """The mean of max(R, G, B) - min(R, G, B) of pixels (H, W, 3), 0 to 255; plane by plane, 20 times as fast as along
    the last axis."""
    red, green, blue = np.moveaxis(pixels, -1, 0).copy()
    highest = np.maximum(np.maximum(red, green), blue)
    return float((highest - np.minimum(np.minimum(red, green), blue)).mean())


def ignore_interrupts(worker: int = 0) -> None:
    """For worker processes: Ctrl-C reaches them too, but their parent decides when they end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
