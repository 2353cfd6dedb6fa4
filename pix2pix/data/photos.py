"""Finding photos in folders and tar files, and reading one as sRGB."""

from __future__ import annotations

import gc
import itertools
import operator
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from pix2pix.data.listings import Listings
from pix2pix.decoding.measure import read_rgb
from pix2pix.decoding.opening import HEAD, PHOTO_SUFFIXES, begins_as_photo, is_photo_head, opened, without_pillow_limit
from pix2pix.decoding.pictures import pictures_of
from pix2pix.errors import UserError, lacks_memory
from pix2pix.files import refuse_special, walk_files

MOST_PIXELS = 180_000_000  # of a photo to train on; more is a mistake, or a file made to fill the memory


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


@contextmanager
def _without_collector() -> Iterator[None]:
    """Pauses Python's garbage collector, which takes a third of the time in which a million objects are made."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@_without_collector()
def find_photos(sources: list[Path], *, unreadable: list[str] | None = None, cache: Path | None = None) -> list[Photo]:
    """The photos of folders (searched recursively), tar files and single files, sorted by name.

    They are found by their suffixes (PHOTO_SUFFIXES), without a suffix by how they begin. Links to folders are
    followed, but no folder is searched twice. With several sources a name begins with its source's own name. The files
    are absolute paths. Folders that cannot be read are named in `unreadable`; without such a list they are an error.
    With a `cache` folder, large folders that have not changed since the last time are not listed again.
    Raises UserError for a source that is missing, is no tar, or holds no photo, and when two photos have one name or
    one photo is in two sources.
    """
    photos: list[Photo] = []
    problems: list[str] = []
    for source in sources:
        found = _photos_in(source, problems, cache)
        if problems and unreadable is None:
            raise UserError(f"{problems[0]}; change its permissions, or name the folders beside it")
        if not found and not problems:
            raise UserError(f"no photos in {source} (looked for {' '.join(PHOTO_SUFFIXES)})")
        if len(sources) > 1:
            found = [photo._replace(name=f"{source.name}/{photo.name}") for photo in found]
        photos += found
    if unreadable is not None:
        unreadable += problems
    names = [photo.name for photo in photos]
    if not all(map(operator.lt, names, names[1:])):  # often they are in order already, and no two are called the same
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


def read_photo(photo: Photo | Path) -> Image.Image:
    """The photo, of a TIFF its first page, as an upright sRGB image of mode RGB; its color profile is honored.

    Raises UserError, naming the photo and the reason, when it cannot be read.
    """
    photo = photo if isinstance(photo, Photo) else Photo(str(photo), str(photo))
    try:
        with without_pillow_limit(), opened(photo.read_bytes(), photo.name) as file:
            picture = next(pictures_of(file, photo.name))
            if picture.width * picture.height > MOST_PIXELS:
                raise UserError(f"{photo.name} has {picture.width}x{picture.height} pixels, too many to train on")
            return read_rgb(picture.load())
    except FileNotFoundError:
        raise UserError(f"there is no photo {photo.name}") from None
    except (MemoryError, UserError):
        raise
    except Exception as error:  # a damaged file makes Pillow's readers raise almost anything
        if lacks_memory(error):
            raise MemoryError from error
        raise UserError(f"{photo.name} cannot be read: {error}") from error


def _photos_in(source: Path, problems: list[str], cache: Path | None) -> list[Photo]:
    whole = source.absolute()
    if source.is_dir():
        if cache is None:
            return _photos_in_folder(whole, walk_files(whole, problems))
        listings = Listings(cache, whole)
        unreadable = list[str]()
        photos = _photos_in_folder(whole, walk_files(whole, unreadable, listings.list_folder))
        if unreadable and listings.remembered:  # perhaps a folder that is gone, on a disk that keeps its parent's time
            listings.forget()
            unreadable.clear()
            photos = _photos_in_folder(whole, walk_files(whole, unreadable, listings.list_folder))
        problems += unreadable
        listings.save()
        return photos
    if not source.exists():
        raise UserError(f"there is no {source}; give a folder of photos or a tar of photos")
    refuse_special(source, str(source))
    if source.suffix.lower() in PHOTO_SUFFIXES:
        return [Photo(source.name, str(whole))]
    try:
        with tarfile.open(source, "r:") as tar:
            members = {m.name: m for m in tar if m.isreg() and _is_photo_in_tar(tar, m)}  # a later one replaces
    except (tarfile.TarError, EOFError) as error:
        raise UserError(
            f"{source} is neither a folder of photos nor an uncompressed tar of photos ({error})"
        ) from error
    return [Photo(member.name, str(whole), member.offset_data, member.size) for member in members.values()]


def _photos_in_folder(whole: Path, walk: Iterator[tuple[str, list[str]]]) -> list[Photo]:
    names, files = list[str](), list[str]()
    for place, listed in walk:
        start = os.path.join(place, "")  # noqa: PTH118
        below = "".join(f"{part}/" for part in Path(place).relative_to(whole).parts)
        chosen = [file for file in listed if _is_photo(file, start)]
        names += [below + file for file in chosen]
        files += [start + file for file in chosen]
    make_photo = partial(tuple.__new__, Photo)  # a third of the time of calling Photo
    return list(map(make_photo, zip(names, files, itertools.repeat(0), itertools.repeat(None), strict=False)))


def _is_photo(name: str, start: str) -> bool:
    """By its suffix, or by its beginning where it has none; hidden files (macOS's `._photo.jpg`) are none."""
    if name.lower().endswith(PHOTO_SUFFIXES):
        return name[0] != "."
    return name[0] != "." and not Path(name).suffix and begins_as_photo(start + name)


def _is_photo_in_tar(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bool:
    name = member.name.rpartition("/")[2]
    if name.startswith("."):
        return False
    if Path(name).suffix:
        return name.lower().endswith(PHOTO_SUFFIXES)
    file = tar.extractfile(member)
    return file is not None and is_photo_head(file.read(HEAD))
