"""Finding photos in folders and tar files, and reading one as RGB."""

from __future__ import annotations

import io
import itertools
import os
import tarfile
import warnings
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from pix2pix.errors import UserError
from pix2pix.files import refuse_special

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")


class Photo(NamedTuple):
    """Where a photo lies: a file, or `length` bytes from `offset` on inside a tar file.

    `name` is its path inside the folder or tar it was found in, with "/" between the parts. A million of them are made
    and compared at the start of a training, hence a tuple, and `file` is a plain string.
    """

    name: str
    file: str
    offset: int = 0
    length: int | None = None

    @property
    def path(self) -> Path:
        return Path(self.file)

    @property
    def place(self) -> tuple[str, int]:
        """What no other photo has: the file, as its system compares names, and the place in it."""
        return os.path.normcase(self.file), self.offset

    def read_bytes(self) -> bytes:
        refuse_special(self.path, self.name)
        if self.length is None:
            return self.path.read_bytes()
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.length)


def find_photos(sources: list[Path], suffixes: tuple[str, ...] = PHOTO_SUFFIXES) -> list[Photo]:
    """The photos, by their suffixes, of folders (searched recursively), tar files and single files, sorted by name.

    With several sources a name begins with its source's own name. The files are absolute paths. Raises UserError for a
    source that is missing, is no tar, or holds no photo, and when two photos have one name or one photo is in two
    sources.
    """
    photos: list[Photo] = []
    for source in sources:
        found = _photos_in(source, suffixes)
        if not found:
            raise UserError(f"no photos in {source} (looked for {' '.join(suffixes)})")
        if len(sources) > 1:
            found = [photo._replace(name=f"{source.name}/{photo.name}") for photo in found]
        photos += found
    photos.sort(key=attrgetter("name"))
    for first, second in itertools.pairwise(photos):
        if first.name == second.name:
            raise UserError(f"two photos are called {first.name}; give folders with different names")
    places: dict[tuple[str, int], Photo] = {}
    for photo in photos if len(sources) > 1 else ():
        twin = places.setdefault(photo.place, photo)
        if twin is not photo:
            raise UserError(f"{twin.name} and {photo.name} are one photo, in two of the sources; give each folder once")
    return photos


def _photos_in(source: Path, suffixes: tuple[str, ...]) -> list[Photo]:
    whole = source.absolute()
    if source.is_dir():
        found = []
        for folder, folders, files in os.walk(whole):
            folders.sort()
            inner = "".join(f"{part}/" for part in Path(folder).relative_to(whole).parts)
            start = os.path.join(folder, "")  # noqa: PTH118
            found += [Photo(inner + file, start + file) for file in files if _is_photo_name(file, suffixes)]
        return found
    if not source.exists():
        raise UserError(f"there is no {source}; give a folder of photos or a tar of photos")
    refuse_special(source, str(source))
    if source.suffix.lower() in suffixes:
        return [Photo(source.name, str(whole))]
    try:
        with tarfile.open(source, "r:") as tar:
            members = {m.name: m for m in tar if m.isreg() and _is_photo_name(m.name, suffixes)}  # a later one replaces
    except (tarfile.TarError, EOFError) as error:
        raise UserError(
            f"{source} is neither a folder of photos nor an uncompressed tar of photos ({error})"
        ) from error
    return [Photo(member.name, str(whole), member.offset_data, member.size) for member in members.values()]


def _is_photo_name(name: str, suffixes: tuple[str, ...]) -> bool:
    """By its ending; hidden files (macOS's `._photo.jpg`, a file half written) are none."""
    return name.lower().endswith(suffixes) and not name.rpartition("/")[2].startswith(".")


def read_photo(photo: Photo | Path) -> Image.Image:
    """The photo as an RGB Pillow image, turned upright by its EXIF orientation.

    Raises UserError, naming the photo and the reason, when it cannot be read.
    """
    photo = photo if isinstance(photo, Photo) else Photo(str(photo), str(photo))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of bad tags and large photos: what cannot be read is said below
            with Image.open(io.BytesIO(photo.read_bytes())) as image:
                image.load()
                ImageOps.exif_transpose(image, in_place=True)
                return to_rgb(image)
    except FileNotFoundError:
        raise UserError(f"there is no photo {photo.name}") from None
    except (MemoryError, UserError):
        raise
    except Image.UnidentifiedImageError:
        raise UserError(f"{photo.name} is not a photo that can be read") from None
    except Exception as error:  # a damaged file makes Pillow's readers raise almost anything
        raise UserError(f"{photo.name} cannot be read: {error}") from error


def to_rgb(image: Image.Image) -> Image.Image:
    """Any Pillow mode to RGB; 16-bit and floating gray is scaled to 8 bits, not clipped; alpha is dropped."""
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, dtype=np.float64)
        image = Image.fromarray(np.round(values * (255 / white_level(values, image.mode))).astype(np.uint8))
    if image.mode == "La":
        image = image.convert("LA")
    return image if image.mode == "RGB" else image.convert("RGB")


def white_level(values: np.ndarray, mode: str) -> int:
    """The value that is white in gray of Pillow's modes I, I;16 and F: 65535, unless the values suggest another.

    That is 255 for those of I and F up to 255, as Pillow's own conversion from 8 bits gives, and 1 for floats up to 1.

    Raises ValueError for values that are not in 0..65535.
    """
    low, high = float(values.min(initial=0)), float(values.max(initial=0))
    if not (low >= 0 and high <= 65535):  # nor NaN
        raise ValueError(f"gray values from {low:g} to {high:g} are outside 16 bits")
    if mode not in ("I", "F") or high > 255:
        return 65535
    return 255 if high > 1 or mode == "I" else 1
