"""Photos decoded and resized once, into a memory-mapped uint8 file that later runs use again.

The cache of a list of photos at one size is a folder of three files: `photos.npy` (N, size, size, 3), `index.json`
(near-gray and broken photos), and `states.npy` (N, 2), the size and time of each photo's file when it was read. It is
whole or absent, and two runs may build it at once. One that was damaged, or whose photos have changed, is built again.

Up to `LOOKED_AT` photos are each looked at to notice a change; of more, `DRAWN` drawn anew at each start, since to look
at a million takes seconds. New, removed and renamed photos are noticed wherever they change their folder's time.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from pix2pix.data.building import building, cache_folder
from pix2pix.data.photos import Photo, read_photo
from pix2pix.errors import UserError
from pix2pix.threads import map_ahead

CACHE_VERSION = 3
NEAR_GRAY = 5.0  # mean of max(R, G, B) - min(R, G, B), of 255, under which a photo has next to no color
MOST_BROKEN = 0.05
LOOKED_AT = 100_000  # up to so many photos, the file of each is compared with what it was when it was decoded
DRAWN = 20_000  # of more photos, so many are compared
AHEAD = 8  # decoded photos per thread that wait to be written

FileState = tuple[int, int]  # a file's size in bytes and its time in ns


@dataclass(frozen=True)
class PhotoSet:
    """Photos of one size: the usable ones in the order given, and where their pixels are.

    `near_gray` names those with next to no color, `broken` maps unreadable ones to the reason (they are not among
    `photos`), `pixels` is the memory-mapped cache (N, size, size, 3) uint8, or None where it would not fit the disk.
    """

    photos: list[Photo]
    size: int
    near_gray: frozenset[str]
    broken: dict[str, str]
    pixels: np.ndarray | None

    def colored(self) -> np.ndarray:
        """The rows of the photos that are not near-gray. Raises UserError when there are none."""
        if len(self.near_gray) == len(self.photos):
            raise UserError(
                f"none of the {len(self.photos)} photos has colors to learn from, they are gray or nearly so: give "
                "color photos"
            )
        if not self.near_gray:
            return np.arange(len(self.photos))
        return np.array([row for row, photo in enumerate(self.photos) if photo.name not in self.near_gray], dtype=int)


def prepare_photos(photos: list[Photo], size: int, *, cache: Path, workers: int, label: str = "") -> PhotoSet:
    """Decode and resize every photo once, by `workers` threads (0: this one), or open what an earlier run left.

    Broken photos are named and left out. Where the pixels would not fit the disk only the index is kept, and this is
    said. Raises UserError when no photo is usable or the cache cannot be written.
    """
    cache = cache_folder(cache)
    folder = cache / f"{size}px-{_key(photos, size)}"
    room = shutil.disk_usage(cache).free > 1.05 * _bytes(photos, size)
    photo_set = _open(folder, photos, size)
    if photo_set is None or (room and photo_set.pixels is None):
        photo_set = None  # Windows does not replace a file that is mapped
        _build(photos, size, folder=folder, room=room, workers=workers, label=label)
        photo_set = _open(folder, photos, size)
        if photo_set is None:
            raise UserError(f"{folder} or its photos changed while it was built; run the same command again")
    reasons = list(photo_set.broken.values())
    for reason in reasons[:5]:
        print(f"left out, broken: {reason}")
    if len(reasons) > 5:
        print(f"left out, broken: {len(reasons) - 5} more, listed in {folder / 'index.json'}")
    if not photo_set.photos:
        raise UserError(f"none of the {len(photos)} photos can be read; the first: {reasons[0]}")
    if photo_set.pixels is None:
        print(
            f"{cache} has no room for {_bytes(photos, size) / 1e9:.3g} GB of decoded photos: they are decoded anew in "
            "each epoch (slower; --cache names another disk)"
        )
    return photo_set


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


def mean_spread(pixels: np.ndarray) -> float:
    """How much color pixels (H, W, 3) have: the mean of max(R, G, B) - min(R, G, B), 0 to 255.

    It is taken plane by plane, 20 times as fast as along the last axis.
    """
    red, green, blue = np.moveaxis(pixels, -1, 0).copy()
    highest = np.maximum(np.maximum(red, green), blue)
    return float((highest - np.minimum(np.minimum(red, green), blue)).mean())


def _bytes(photos: list[Photo], size: int) -> int:
    return len(photos) * size * size * 3


def _key(photos: list[Photo], size: int) -> str:
    """A name for the cache of these photos in this order."""
    digest = hashlib.sha256(f"{CACHE_VERSION} {size}\n".encode())
    for part in ("name", "file"):
        digest.update("\0".join(map(attrgetter(part), photos)).encode("utf-8", "surrogatepass"))
    digest.update(np.fromiter(map(attrgetter("offset"), photos), np.int64, len(photos)).tobytes())
    return digest.hexdigest()[:16]


def _open(folder: Path, photos: list[Photo], size: int) -> PhotoSet | None:
    """What a cache holds, without `pixels` where they are missing or damaged; None when it has to be built."""
    try:
        index = json.loads((folder / "index.json").read_text())
        near_gray, broken = frozenset(index["near_gray"]), dict(index["broken"])
        states = np.lib.format.open_memmap(folder / "states.npy", mode="r")
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if states.shape != (len(photos), 2) or _changed(photos, states) or _mended(photos, broken, size):
        return None
    pixels = None
    try:
        found = np.lib.format.open_memmap(folder / "photos.npy", mode="r")
        if (found.shape, found.dtype) == ((len(photos), size, size, 3), np.uint8):
            pixels = found
    except (OSError, ValueError):  # missing, or cut short
        pass
    usable = [photo for photo in photos if photo.name not in broken] if broken else photos
    return PhotoSet(usable, size, near_gray, broken, pixels)


def _changed(photos: list[Photo], states: np.ndarray) -> bool:
    """Whether the file of a photo, of many photos that of a random part of them, is not the one that was decoded."""
    rows = list(range(len(photos)))
    if len(photos) > LOOKED_AT:
        rows = sorted(np.random.default_rng().permutation(len(photos))[:DRAWN].tolist())
    of_tars: dict[str, FileState] = {}  # each asked once
    for row, state in zip(rows, states[rows].tolist(), strict=True):
        photo = photos[row]
        now = of_tars.get(photo.file) or _state(photo)
        if photo.length is not None:
            of_tars[photo.file] = now
        if now != tuple(state):
            return True
    return False


def _state(photo: Photo) -> FileState:
    """What changes with a file's content; of a link to nothing it is the link's. Reading will say that."""
    for look in (os.stat, os.lstat):
        try:
            stat = look(photo.file)
        except OSError:
            continue
        return stat.st_size, stat.st_mtime_ns
    return -1, -1


def _mended(photos: list[Photo], broken: dict[str, str], size: int) -> bool:
    """Whether a photo that could not be read can be read now, its file being the same (permissions, a network disk)."""
    if not broken:
        return False
    return any(_decode(photo, size).pixels is not None for photo in photos if photo.name in broken)


def _build(photos: list[Photo], size: int, *, folder: Path, room: bool, workers: int, label: str) -> None:
    """Write the cache `folder`; with no `room` for pixels the rest of it."""
    near_gray, broken, used = [], {}, 0
    states = np.zeros((len(photos), 2), np.int64)
    with building(folder) as temporary:
        pixels = _new_array(temporary / "photos.npy", (len(photos), size, size, 3)) if room else None
        decode = partial(_decode, size=size)
        with closing(map_ahead(decode, photos, workers=workers, ahead=AHEAD * workers)) as results:
            bar = tqdm(results, total=len(photos), unit="photo", desc=f"decoding {label}".strip())
            for row, (photo, decoded) in enumerate(zip(photos, bar, strict=True)):
                states[row] = decoded.state
                if decoded.pixels is None:
                    broken[photo.name] = decoded.reason
                    continue
                if decoded.spread < NEAR_GRAY:
                    near_gray.append(photo.name)
                if pixels is not None:
                    pixels[used] = decoded.pixels
                used += 1
        del pixels  # Windows does not rename a folder with a mapped file
        np.save(temporary / "states.npy", states)
        (temporary / "index.json").write_text(json.dumps({"near_gray": near_gray, "broken": broken}))


def _new_array(path: Path, shape: tuple[int, ...]) -> np.memmap:
    """A new uint8 array file, mapped. Its room on the disk is taken at once: a disk that fills up while a mapped file
    is written would end the program without a message."""
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


class _Decoded(NamedTuple):
    """What a file was before it was read; its pixels (size, size, 3), or None and the reason; their mean spread."""

    state: FileState
    pixels: np.ndarray | None
    reason: str
    spread: float


def _decode(photo: Photo, size: int) -> _Decoded:
    state = _state(photo)
    try:
        pixels = squash(read_photo(photo), size)
    except UserError as error:
        return _Decoded(state, None, str(error), 0.0)
    return _Decoded(state, pixels, "", mean_spread(pixels))
