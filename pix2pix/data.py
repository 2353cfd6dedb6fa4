"""Training data: photos decoded and resized once into a memory-mapped uint8 cache, splits, and batches.

The cache of a set of photos at one size is a folder of two files, built by worker processes and reused by later runs:
`index.json` (names, near-gray and broken photos) and `photos.npy` (N, S, S, 3). It is written under a temporary
name and renamed, so that a cache is whole or absent and two runs may build it at once.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from pix2pix.errors import UserError
from pix2pix.photos import Photo, find_photos, read_photo

CACHE_VERSION = 1
NEAR_GRAY = 5.0  # mean of max(R, G, B) - min(R, G, B), of 255, under which a photo has next to no colour
MOST_BROKEN = 0.05
IN_PROCESS = 64  # as many photos are decoded faster than worker processes start


@dataclass(frozen=True)
class PhotoSet:
    """Photos of one size: the usable ones in order of name, and where their pixels are.

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


class ColorizationDataset(Dataset):
    """Photos as uint8 tensors (3, size, size), from the cache or, without one, decoded at each access."""

    def __init__(self, photo_set: PhotoSet, rows: np.ndarray | None = None) -> None:
        self.photo_set = photo_set
        self.rows = np.arange(len(photo_set.photos)) if rows is None else rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Tensor:
        row = self.rows[index]
        if self.photo_set.pixels is None:
            pixels = squash(read_photo(self.photo_set.photos[row]), self.photo_set.size)
        else:
            pixels = self.photo_set.pixels[row]
        return torch.from_numpy(np.array(pixels)).permute(2, 0, 1)

    def name(self, index: int) -> str:
        return self.photo_set.photos[self.rows[index]].name


def batches(
    dataset: ColorizationDataset, indices: list[list[int]], *, workers: int = 0, pin_memory: bool = False
) -> Iterator[Tensor]:
    """The photos of each list of indices as one uint8 tensor (n, 3, size, size).

    A cached set is read in this process; without a cache `workers` processes decode.
    """
    workers = workers if dataset.photo_set.pixels is None else 0
    loader = DataLoader(
        dataset,
        batch_sampler=indices,
        num_workers=workers,
        pin_memory=pin_memory,
        generator=torch.Generator(),  # its own, so that the global random state does not depend on restarts
        multiprocessing_context="spawn" if workers else None,
    )
    return iter(loader)


def epoch_order(count: int, batch_size: int, *, seed: int, epoch: int) -> list[list[int]]:
    """The shuffled batches of one epoch, the same for the same seed; a last, smaller batch is left out."""
    order = np.random.default_rng((seed, epoch)).permutation(count)
    return [order[start : start + batch_size].tolist() for start in range(0, count - batch_size + 1, batch_size)]


def split_names(names: list[str], *, validation: int, seed: int) -> tuple[list[str], list[str]]:
    """Sorted names, permuted by the seed: (training names, `validation` validation names)."""
    names = sorted(names)
    order = np.random.default_rng(seed).permutation(len(names))
    return [names[i] for i in order[validation:]], [names[i] for i in order[:validation]]


def choose_photos(sources: list[Path], names: list[str]) -> list[Photo]:
    """The photos called `names` among those of `sources`, in that order. Raises UserError when one is gone."""
    photos = {photo.name: photo for photo in find_photos(sources)}
    missing = [name for name in names if name not in photos]
    if missing:
        where = ", ".join(map(str, sources))
        raise UserError(f"{len(missing)} of the run's photos are no longer in {where}: {missing[0]} for one")
    return [photos[name] for name in names]


def count_cores() -> int:
    """The CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def squash(image: Image.Image, size: int) -> np.ndarray:
    """An RGB image resized to (size, size, 3) uint8 without keeping its aspect, bicubic, as in the report."""
    return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC))


def prepare_photos(photos: list[Photo], size: int, *, cache: Path, workers: int, label: str = "") -> PhotoSet:
    """Decode and resize every photo once, or open what an earlier run left in `cache`.

    Broken photos are named and left out. Where the pixels would not fit the disk only the index is kept, and this is
    said. Raises UserError when more than 5 % are broken or none is usable.
    """
    cache = cache.expanduser()
    key = _cache_key(photos, size)
    folder = cache / key
    if not (folder / "index.json").exists():
        cache.mkdir(parents=True, exist_ok=True)
        _build(photos, size, cache=cache, folder=folder, workers=workers, label=label)
    index = json.loads((folder / "index.json").read_text())
    broken = index["broken"]
    for name, reason in list(broken.items())[:5]:
        print(f"left out, broken: {reason}" if name in reason else f"left out, broken: {name}: {reason}")
    if len(broken) > 5:
        print(f"left out, broken: {len(broken) - 5} more, listed in {folder / 'index.json'}")
    if len(broken) == len(photos):
        raise UserError(f"none of the {len(photos)} photos can be read; the first: {next(iter(broken.values()))}")
    if len(broken) > MOST_BROKEN * len(photos):
        raise UserError(
            f"{len(broken)} of {len(photos)} photos are broken, more than {MOST_BROKEN:.0%}; mend or remove them "
            f"(all are listed in {folder / 'index.json'})"
        )
    pixels = np.load(folder / "photos.npy", mmap_mode="r") if (folder / "photos.npy").exists() else None
    usable = [photo for photo in photos if photo.name not in broken]
    return PhotoSet(usable, size, frozenset(index["near_gray"]), broken, pixels)


def _cache_key(photos: list[Photo], size: int) -> str:
    digest = hashlib.sha256(f"{CACHE_VERSION} {size}".encode())
    stats: dict[Path, os.stat_result] = {}
    for photo in photos:
        if photo.path not in stats:
            stats[photo.path] = photo.path.stat()
        stat = stats[photo.path]
        entry = (photo.name, str(photo.path.absolute()), photo.offset, stat.st_size, stat.st_mtime_ns)
        digest.update(json.dumps(entry).encode())
    return f"{size}px-{digest.hexdigest()[:16]}"


def _build(photos: list[Photo], size: int, *, cache: Path, folder: Path, workers: int, label: str) -> None:
    bytes_needed = len(photos) * size * size * 3
    fits = shutil.disk_usage(cache).free > 1.05 * bytes_needed
    if not fits:
        print(
            f"{cache} has no room for {bytes_needed / 1e9:.1f} GB of decoded photos: worker processes decode them in "
            "each epoch instead (slower; --cache names another disk)"
        )
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=cache))
    try:
        near_gray, broken, row = [], {}, 0
        pixels = None
        if fits:
            shape = (len(photos), size, size, 3)
            pixels = np.lib.format.open_memmap(temporary / "photos.npy", mode="w+", dtype=np.uint8, shape=shape)
        with _decoder(workers if len(photos) > IN_PROCESS else 0) as decode_all:
            results = decode_all(_decode, ((photo, size) for photo in photos))
            bar = tqdm(results, total=len(photos), unit="photo", desc=f"decoding {label}".strip())
            for photo, (decoded, reason) in zip(photos, bar, strict=True):
                if decoded is None:
                    broken[photo.name] = reason
                    continue
                if (decoded.max(axis=2).astype(np.int16) - decoded.min(axis=2)).mean() < NEAR_GRAY:
                    near_gray.append(photo.name)
                if pixels is not None:
                    pixels[row] = decoded
                row += 1
        if pixels is not None:
            pixels.flush()
        (temporary / "index.json").write_text(json.dumps({"near_gray": near_gray, "broken": broken}))
        with suppress(OSError):  # another run may have built the same cache meanwhile: then its folder is used
            temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _decoder(workers: int) -> Iterator[Callable]:
    """A `map` that keeps the order: over worker processes, or in this one for 0."""
    if not workers:
        yield map
        return
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield partial(pool.imap, chunksize=16)


def _decode(task: tuple[Photo, int]) -> tuple[np.ndarray | None, str]:
    photo, size = task
    try:
        return squash(read_photo(photo), size), ""
    except UserError as error:
        return None, str(error)
